"""What holds for a lesion word: is it denied, only new ones denied, resolved, doubtful; is a size an old one."""

from __future__ import annotations

import re
from typing import NamedTuple

from dictamen.reports.anchors import Anchor
from dictamen.reports.measurements import Measurement
from dictamen.reports.mentions import Mention
from dictamen.reports.schema import Existence, Trend
from dictamen.reports.statement import Statement

_FORWARD_WORDS = 26
"""Words that a "no" reaches; long lists of denied things are common."""
_BACKWARD_WORDS = 24
"""Words that "was not observed" reaches back."""
_DOUBT_WORDS = 6
"""Words between "possible" and the lesion."""
_EXCLUDE_WORDS = 12
"""Words between a disease and "cannot be excluded"."""
_NEW_PHRASE = re.compile(
    r",\s{0,3}(?:and |with |but )?"
    r"(?:a|an|there|the|multiple|several|few|one|two|three|mild|moderate|small|unchanged|stable)\s",
    re.IGNORECASE,
)
_LIST = re.compile(r"\b(?:or|and|nor)\b|,|/|-", re.IGNORECASE)
_INCREASE_FROM = re.compile(
    r"increas|decreas|now|grown|progress|enlarg|changed|reduc|regress|compar|previous", re.IGNORECASE
)
_BEFORE_PRIOR_SIZE = re.compile(
    r"[\s,(:]{0,3}(?:(?:it|was|were|is|measur\w{1,6}|the|largest|with|a|an|diameter|size|of|approximately|about|at"
    r"|examination|study|ct|been|had|dated|on|and|in|to|up|as|[\d./]{4,10})[\s,:]{1,2}){0,8}$",
    re.IGNORECASE,
)
_TIME_SPAN = frozenset(["since", "after"])
"""Words before "the previous examination" that make it the beginning of a time, not the owner of a size."""
_RANGING = frozenset(["ranging", "range", "ranges", "varying", "vary", "measuring", "measure", "sizes", "size"])
"""Words before "from 1 to 6 cm" where it gives a range."""
_PRIOR_GAP = 60
"""Characters between a cue such as "previously" and its size."""
_WAS = re.compile(r"[(\[,;]\s?(?:was|were|prev|prior|before|formerly|earlier|old|then|p)\b[.:]?\s?$", re.IGNORECASE)
"""Right before an old size: "43 mm (was 51 mm)"."""
_WAS_REACH = 14
"""Characters that `_WAS` is long at most."""
_AFTER_SIZE = re.compile(r"[\s,()]{0,3}(?:in (?:size|diameter)[\s,]{0,2})?$", re.IGNORECASE)


class Assertion(NamedTuple):
    """What the sentence says of a lesion word."""

    denied: bool = False
    only_new: bool = False
    resolved: bool = False


def assertion(statement: Statement, anchor: Anchor, others: list[Anchor]) -> Assertion:
    """Negation, with its scope, of one anchor of the sentence."""
    if _resolved(statement, anchor):
        return Assertion(denied=True, resolved=True)
    cue = _forward(statement, anchor)
    if cue is None:
        return Assertion(denied=_backward(statement, anchor, others))
    only_new = any(cue.end <= new.start < anchor.start for new in statement.of("negation", "new")) or any(
        new.first in (cue.last, cue.last + 1) for new in statement.of("time", "new")
    )
    return Assertion(denied=True, only_new=only_new)


def _resolved(statement: Statement, anchor: Anchor) -> bool:
    cues = statement.of("negation", "resolved")
    return any(
        (
            cue.start >= anchor.end
            and cue.first - anchor.last <= _BACKWARD_WORDS
            and not _terminated(statement, anchor.end, cue.start)
        )
        or (
            cue.end <= anchor.start
            and anchor.first - cue.last <= _DOUBT_WORDS
            and not _terminated(statement, cue.end, anchor.start)
        )
        for cue in cues
    )


def _terminated(statement: Statement, start: int, end: int) -> bool:
    if ";" in statement.text[start:end] or statement.breaks(start, end):
        return True
    return any(start <= cue.start < end for cue in statement.of("negation", "terminator"))


def _forward(statement: Statement, anchor: Anchor) -> Mention | None:
    """The "no" whose scope holds the anchor."""
    for cue in reversed(statement.of("negation", "pre")):
        if cue.end > anchor.start:
            continue
        if anchor.first - cue.last > _FORWARD_WORDS or _terminated(statement, cue.end, anchor.start):
            return None
        if _NEW_PHRASE.search(statement.between(cue.end, anchor.start)):
            return None
        if any(cue.end <= size.start < anchor.start and not _limit(size) for size in statement.measurements):
            return None
        if _other_predicate(statement, cue, anchor):
            return None
        return cue
    return None


def _other_predicate(statement: Statement, cue: Mention, anchor: Anchor) -> bool:
    """Whether the denial's own clause ended before the anchor: "no effusion is seen, and nodules ..."."""
    seen = [verb for verb in statement.of("presence", "seen") if cue.end <= verb.start < anchor.start]
    return bool(seen) and re.search(r",|\band\b", statement.between(seen[0].end, anchor.start)) is not None


def _limit(size: Measurement) -> bool:
    """A size that belongs to a denial: "no nodule larger than 5 mm"."""
    return size.qualifier in ("min", "max")


def _backward(statement: Statement, anchor: Anchor, others: list[Anchor]) -> bool:
    """Whether "was not observed" reaches back to the anchor."""
    cues = statement.of("negation", "post", "post_node") if anchor.node else statement.of("negation", "post")
    for cue in cues:
        if cue.start < anchor.reach_end:
            continue
        if cue.first == anchor.last:  # "New lesions: none"
            return True
        if cue.first - anchor.last > _BACKWARD_WORDS or _terminated(statement, anchor.end, cue.start):
            return False
        if any(anchor.end <= seen.start < cue.start for seen in statement.of("presence", "seen")):
            return False
        if any(anchor.end <= size.start < cue.start for size in statement.measurements):
            return False
        between = [other for other in others if anchor.end <= other.start < cue.start]
        return all(_LIST.search(statement.between(anchor.end, other.start)) for other in between)
    return False


def existence(statement: Statement, anchor: Anchor) -> Existence:
    """Possible where the lesion itself is doubted; doubt on its kind leaves it present."""
    for cue in statement.of("hedge"):
        if cue.value != "existence":
            continue
        if 0 <= anchor.first - cue.last < _DOUBT_WORDS and not statement.commas(cue.end, anchor.start):
            return "possible"
        if "excluded" in statement.text[cue.start : cue.end].lower() and 0 <= cue.first - anchor.last < _DOUBT_WORDS:
            return "possible"
    return "present"


def is_differential(statement: Statement, anchor: Anchor) -> bool:
    """Whether the word is only a diagnosis that can't be excluded, no lesion of its own."""
    if anchor.kind not in ("malignant", "metastasis", "tumour") or anchor.definite:
        return False
    return any(
        0 <= cue.first - anchor.last < _EXCLUDE_WORDS and _EXCLUDE.search(statement.text, cue.start, cue.end)
        for cue in (*statement.of("hedge", "existence"), *statement.of("negation", "pseudo"))
    )


_EXCLUDE = re.compile(r"exclude|ruled out|evaluated|assessed", re.IGNORECASE)


def trend(statement: Statement, anchor: Anchor) -> Trend | None:
    """What happened to the lesion since the last examination, from the nearest word on it."""
    names: dict[str, Trend] = {"new": "new", "stable": "stable", "increase": "increased", "decrease": "decreased"}
    cues = [(abs(cue.first - anchor.first), cue.value) for cue in statement.of("time") if cue.value in names]
    near = [cue for cue in cues if cue[0] <= _BACKWARD_WORDS]
    return names[min(near)[1]] if near else None


def is_prior(statement: Statement, size: Measurement) -> bool:
    """Whether a size is that of an earlier examination."""
    for cue in statement.of("time", "prior_pre"):
        if cue.end > size.start or size.start - cue.end > _PRIOR_GAP:
            continue
        if _TIME_SPAN & {statement.word(cue.first - 1), statement.word(cue.first - 2)}:
            continue
        if size.qualifier == "range" and statement.word(cue.first - 1) in _RANGING:
            continue
        if not _BEFORE_PRIOR_SIZE.match(statement.between(cue.end, size.start)):
            continue
        if statement.text[cue.start : cue.end].lower() == "from" and not _INCREASE_FROM.search(
            statement.text, 0, cue.start
        ):
            continue
        return True
    if _WAS.search(statement.text, max(0, size.start - _WAS_REACH), size.start):
        return True
    return any(
        0 <= cue.start - size.end <= 4 and _AFTER_SIZE.match(statement.text[size.end : cue.start])
        for cue in [*statement.of("time", "prior_post"), *statement.of("time", "prior_pre")]
        if not _opens_next_size(statement, cue) and not _describes(statement, cue)
    )


def _describes(statement: Statement, cue: Mention) -> bool:
    """Whether the cue tells another old property of the lesion: "19 mm, previously lytic"."""
    behind, adverb = statement.word(cue.last), statement.word(cue.last - 1).endswith("ly")
    return adverb and statement.text[cue.start - 2 : cue.start] == ", " and behind.isalpha() and behind not in _OF_SIZE


_OF_SIZE = frozenset(["in", "on", "at", "and", "measured", "measuring", "it", "was", "by", "with"])
"""Words behind "previously" that still speak of the size before it."""


def _opens_next_size(statement: Statement, cue: Mention) -> bool:
    """Whether the cue belongs to the size that follows it ("23 mm, previously 18 mm")."""
    return any(
        0 <= size.start - cue.end <= _PRIOR_GAP and _BEFORE_PRIOR_SIZE.match(statement.between(cue.end, size.start))
        for size in statement.measurements
    )


_NORMAL_WORDS = 14
"""Words behind a node in which it may be called normal: "a node of 8 mm short axis is within normal limits"."""


def called_normal(statement: Statement, anchor: Anchor, anchors: list[Anchor]) -> bool:
    """Whether the report itself calls the node normal: it is measured, but no lesion."""
    if not anchor.node:
        return False
    limit = min((other.start for other in anchors if other.start > anchor.start), default=statement.end)
    return any(
        anchor.end <= cue.start < limit
        and cue.first - anchor.last <= _NORMAL_WORDS
        and not any(anchor.end <= no.start < cue.start for no in (*statement.of("negation"), *statement.of("organ")))
        for cue in statement.of("normal", "clear", "again")
    )
