"""Rules first, a language model for what they are unsure of; where the two disagree it is asked again, or people are.

1. The rules read every report. Those with flags or uncertain findings (or all, if wanted) go to the model.
2. Each lesion of its answer is verified against the text; what is refused is counted by reason and never used.
3. Findings on which both agree are accepted. For the others the model is asked, with the sentences around them, yes or
   no, three times; the majority decides.
4. What stays unclear, and what the rules found but the model denies, keeps the rules' reading with a flag `review`.
Organ states come from the rules alone; where a finding is added, its organ is no longer called free of lesions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dictamen.reports import llm_cache
from dictamen.reports.highlights import describe
from dictamen.reports.lexicon import Lexicon, load
from dictamen.reports.llm_answer import (
    PROMPT_VERSION,
    Answer,
    ReadSentences,
    Refused,
    messages,
    understood,
    verified,
    yes_or_no,
)
from dictamen.reports.llm_cache import AnswerCache
from dictamen.reports.llm_server import AnswerError, Sampling, Server, parsed
from dictamen.reports.merge import same_size
from dictamen.reports.reader import Report
from dictamen.reports.rules import read_report, sentences_of
from dictamen.reports.schema import SCHEMA_VERSION, Finding, Flag, OrganState, ReportFindings

SURE = 0.9
"""Findings that the rules are less sure of send their report to the model."""
VOTES = 3
VOTE_TEMPERATURE = 0.7
"""Answers to one question differ only if they are drawn; the first, exhaustive answer is not drawn (0)."""
AROUND = 1
"""Sentences before and behind the one in question that are shown with it."""
AGREED = 0.99
"""Confidence of what both readers read."""

Which = Literal["flagged", "all"]


@dataclass(slots=True)
class LlmReader:
    """Reads reports with the rules and a model.

    Args:
        server: where the model is.
        cache: of its answers; in memory by default.
        which: reports that the model sees.

    Attributes:
        counts: reports asked, answers from the cache, repairs, lesions accepted, refused by reason, votes, failures.
    """

    server: Server
    cache: AnswerCache = field(default_factory=AnswerCache)
    lexicon: Lexicon = field(default_factory=load)
    which: Which = "flagged"
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """What stands as `reader` in the output: also reports that only the rules read carry it."""
        return f"rules+{self.server.model}"

    def find(self, reports: Iterable[Report]) -> Iterator[ReportFindings]:
        """Findings of each report, in order."""
        for report in reports:
            yield self.read(report.text, report.study_id)

    def read(self, text: str, study_id: str) -> ReportFindings:
        """Findings of one report; where the model fails, those of the rules with a flag `llm_failed`."""
        by_rules = read_report(text, study_id, lexicon=self.lexicon).model_copy(update={"reader": self.name})
        unsure = bool(by_rules.flags) or any(finding.confidence < SURE for finding in by_rules.findings)
        if not text.strip() or not (unsure or self.which == "all"):
            return by_rules
        self.counts["asked"] += 1
        report = [(sentence, said.statement) for sentence, said in sentences_of(text, self.lexicon)]
        try:
            answer = self._answer(report)
            return self._joined(by_rules, self._verified(answer, report, study_id), report)
        except AnswerError as error:
            self.counts["failed"] += 1
            flag = Flag(code="llm_failed", message=f"The language model gave no usable answer: {error}.")
            return by_rules.model_copy(update={"flags": (*by_rules.flags, flag)})

    def _answer(self, report: ReadSentences) -> Answer:
        """The whole answer, with one turn of repair if it has a wrong shape."""
        asked, schema = messages(report, self.lexicon), Answer.model_json_schema()
        content = self._ask(asked, schema, Sampling())
        try:
            return understood(content)
        except AnswerError as error:
            self.counts["repairs"] += 1
            repair = f"This can't be used: {error}. Answer again, with JSON only."
            again = [*asked, {"role": "assistant", "content": content}, {"role": "user", "content": repair}]
            return understood(self._ask(again, schema, Sampling()))

    def _ask(self, asked: list[dict[str, str]], schema: dict[str, Any], sampling: Sampling) -> str:
        key = llm_cache.key(asked, schema, PROMPT_VERSION, SCHEMA_VERSION, self.server.model, asdict(sampling))
        known = self.cache.get(key)
        if known is not None:
            self.counts["from cache"] += 1
            return known
        content = self.server.ask(asked, schema, sampling)
        self.cache.put(key, content)
        return content

    def _verified(self, answer: Answer, report: ReadSentences, study_id: str) -> list[Finding]:
        found = []
        for lesion in answer.lesions:
            result = verified(lesion, report, study_id=study_id, model=self.server.model)
            if isinstance(result, Refused):
                self.counts[f"refused: {result.reason}"] += 1
            else:
                found.append(result)
        return found

    def _joined(self, by_rules: ReportFindings, by_model: list[Finding], report: ReadSentences) -> ReportFindings:
        findings: list[Finding] = []
        flags = list(by_rules.flags)
        left = [finding for finding in by_model if finding.temporal == "current"]
        for finding in by_rules.findings:
            twin = next((other for other in left if _same(finding, other)), None)
            if twin is not None:
                left.remove(twin)
                finding = finding.model_copy(update={"confidence": max(finding.confidence, AGREED)})
            elif finding.temporal == "current" and not self._confirmed(finding, report):
                message = (
                    f"Only the rules found a lesion here ({finding.structure}); the language model does not agree."
                )
                flags.append(Flag(code="review", message=message, span=finding.span))
            findings.append(finding)
        for finding in left:
            confirmed = self._confirmed(finding, report)
            if confirmed:
                findings.append(finding)
                self.counts["added"] += 1
            elif confirmed is None:
                message = f"The language model may have found a lesion here ({finding.structure}); it is left out."
                flags.append(Flag(code="review", message=message, span=finding.span))
        return _consistent(by_rules, findings, flags)

    def _confirmed(self, finding: Finding, report: ReadSentences) -> bool | None:
        """Majority of three answers; None where there is none."""
        index = next((i for i, (sentence, _) in enumerate(report) if finding.span[0] < sentence.end), 0)
        context = [statement for _, statement in report[max(0, index - AROUND) : index + AROUND + 1]]
        asked, schema = yes_or_no(describe(finding), context)
        votes: Counter[bool] = Counter()
        for seed in range(VOTES):
            try:
                vote = parsed(self._ask(asked, schema, Sampling(VOTE_TEMPERATURE, seed))).get("yes")
            except AnswerError:
                continue
            if isinstance(vote, bool):
                votes[vote] += 1
        self.counts["votes"] += votes.total()
        return next((vote for vote, number in votes.items() if number > VOTES / 2), None)


def _same(a: Finding, b: Finding) -> bool:
    """Whether two readers mean one lesion: the same organ, no other side, and one size, or one place in the text."""
    if a.structure != b.structure or {a.side, b.side} == {"left", "right"}:
        return False
    if a.diameters_mm and b.diameters_mm:
        return same_size(a.diameters_mm, b.diameters_mm)
    return any(start < b.span[1] and b.span[0] < end for start, end in (a.span, *a.mentions))


def _consistent(by_rules: ReportFindings, findings: list[Finding], flags: list[Flag]) -> ReportFindings:
    """The report with the findings; organs that have gained one are no longer free of lesions, nor fully described."""
    gained = {finding.structure for finding in findings if _is_new(finding)}
    states = [state for state in by_rules.organ_states if state.structure not in gained]
    states += [OrganState(structure=structure, status="lesions_incomplete") for structure in sorted(gained)]
    clear = tuple(name for name in by_rules.clear_structures if name.split(":")[0] not in gained)
    return by_rules.model_copy(
        update={
            "findings": tuple(findings),
            "organ_states": tuple(states),
            "clear_structures": clear,
            "flags": tuple(flags),
        }
    )


def _is_new(finding: Finding) -> bool:
    return finding.reader != "rules" and finding.existence != "absent"
