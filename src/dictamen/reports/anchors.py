"""Anchors: the words of a sentence that name a focal lesion, each with the names that qualify it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, cast

from dictamen.reports.drafts import KIND_RANK
from dictamen.reports.mentions import Mention
from dictamen.reports.schema import Kind
from dictamen.reports.statement import Statement

_SAME_NAME = re.compile(r"[\s(]{0,3}(?:or (?:[A-Z][a-z]{2,15}(?= ))?|and/or|vs\.?|versus|/|-)?[\s]{0,3}")
_PARENTHESIS = re.compile(r"\s?\((?:[A-Za-z]{1,20}\s){0,2}")
_IS_A = re.compile(
    r"(?<!\bthere )\b(?:is|are) (?:therefore |thus |hence )?(?:an? )?(?:[a-z\-]{3,20} ){0,3}$", re.IGNORECASE
)
"""Before the second name in "the lesion measures 4 HU and is therefore an adenoma"."""
_BEHIND_DASH = re.compile(r"\s[-–—]\s?$")
_HEDGED_WORDS = 22
"""Words that may stand between a lesion and its hedged second name ("... which most likely represents a cyst")."""
_HISTORY_WORDS = 12
"""Words that may stand between "status post cystectomy with ileal conduit for" and the disease."""
_HISTORY_CLOSE = 6
"""Words within which a comma does not end the history."""
_PURPOSE_WORDS = 3
"""Words between "in terms of" and what is looked for."""
_NOUN_PHRASE_WORDS = 4
"""Words before the noun in which its adjectives are looked for."""
_VAGUE_HEDGE, _NAMED_HEDGE = 60, 3
"""Words between a focus, or a lesion named as such, and the hedge behind which stands what it is instead."""
_HEDGE_TO_NAME = 3
"""Words between "in favour of" and what it is."""
_GOES_ON = frozenset(
    [
        *("has", "have", "extends", "extend", "compresses", "compress", "invades", "dimensions", "dimension", "sizes"),
        *("encases", "abuts", "contacts", "displaces", "involves", "narrows", "obstructs", "infiltrates"),
    ]
)
"""Words behind the subject of a sentence on a lesion already known: "Left adrenal metastasis has infiltration"."""
_OF_THEM = frozenset(["one", "each", "this", "that"])
"""Words before a focus that pick one of several opacities named before."""
_INDEFINITE = frozenset(["a", "an", "another", "multiple", "several", "new", "few", "one", "two", "three"])
_DEFINITE = frozenset(["the", "these", "this", "those", "aforementioned", "described"])


@dataclass(slots=True)
class Anchor:
    """A lesion word (or several that name the same lesion).

    Args:
        mention: the first word that names it.
        end, last: where its own noun phrase ends (offset, word).
        reach_end: where its last name ends, e.g. the cyst in "lesion, likely a cyst".
    """

    mention: Mention
    kind: Kind
    node: bool
    plural: bool
    end: int
    last: int
    reach_end: int
    kind_certainty: Literal["certain", "probable", "possible"] = "certain"
    definite: bool = False
    indefinite: bool = False
    history: bool = False
    negated_only: bool = False

    @property
    def start(self) -> int:
        """Offset of the first character."""
        return self.mention.start

    @property
    def first(self) -> int:
        """Index of the first word."""
        return self.mention.first


def find_anchors(statement: Statement) -> list[Anchor]:
    """Anchors in order; second names of one lesion are folded into the first."""
    anchors: list[Anchor] = []
    for mention in _with_ones(statement, statement.of("lesion")):
        if _is_other_use(statement, mention):
            continue
        history = mention.value in ("malignant", "metastasis", "tumour") and _after_history(statement, mention)
        if anchors and _in_sized_parenthesis(statement, anchors[-1], mention):
            continue
        if anchors and statement.word(mention.first - 1) == "mural":
            continue
        if anchors and (_is_label(statement, anchors[-1]) or _is_node_label(statement, anchors[-1], mention)):
            anchors.pop()
        if anchors and _names_again(statement, anchors[-1], mention):
            _fold(statement, anchors[-1], mention)
            continue
        anchors.append(_anchor(statement, mention, history=history))
    _judge(statement, anchors)
    return anchors


_ONE_WORDS = 4
"""Words between an article and the "one" that stands for a lesion: "a subserosal one"."""


def _with_ones(statement: Statement, mentions: list[Mention]) -> list[Mention]:
    """The lesion words, and each "one" that is another lesion of that name: "a cyst ... and a larger one"."""
    if not mentions:
        return mentions
    words, first = statement.tokens.words, mentions[0].last
    ones = []
    for index in range(first, statement.last):
        if words[index] != "one" or statement.word(index + 1) in ("of", "or"):
            continue
        before = words[max(first, index - _ONE_WORDS) : index]
        name = max((m for m in mentions if m.last <= index), key=lambda m: m.last)
        if any(0 < mention.first - index <= _ONE_WORDS for mention in mentions):  # "one 4 mm nodule": a number
            continue
        excepted = any(0 <= index - cue.last <= 1 for cue in statement.of("exception"))  # "resolved apart from one"
        if excepted or ({"a", "an", "another"} & set(before) and before[-1:] != ["the"]):
            tokens = statement.tokens
            term = replace(name.term, plural=False)
            ones.append(Mention(term, tokens.starts[index], tokens.ends[index], index, index + 1))
    return sorted([*mentions, *ones], key=lambda mention: mention.first)


_LABEL = re.compile(r"\s?#?\d{1,2}\s?[:.)\-–]\s")


def _is_label(statement: Statement, anchor: Anchor) -> bool:
    """Whether the word only numbers what follows: "Lesion 3: lymph node"."""
    return anchor.first == 0 and _LABEL.match(statement.text, anchor.end) is not None


def _is_node_label(statement: Statement, anchor: Anchor, mention: Mention) -> bool:
    """Whether the word only says what the next node is: "LNs: 13 mm AP window node"."""
    opens = anchor.node and anchor.first == 0 and statement.text[anchor.end : anchor.end + 1] == ":"
    return opens and bool(mention.term.attributes.get("node"))


def _anchor(statement: Statement, mention: Mention, *, history: bool) -> Anchor:
    attributes = mention.term.attributes
    node, negated_only = bool(attributes.get("node")), bool(attributes.get("negated_only"))
    kind = kind_of(mention)
    anchor = Anchor(
        mention,
        kind,
        node,
        mention.term.plural,
        mention.end,
        mention.last,
        mention.end,
        history=history,
        negated_only=negated_only,
    )
    anchor.definite = _is_definite(statement, mention)
    anchor.indefinite = not anchor.definite and _is_indefinite(statement, mention)
    for adjective in statement.of("adjective"):
        if 0 <= mention.first - adjective.last < _NOUN_PHRASE_WORDS and not statement.commas(
            adjective.end, mention.start
        ):
            _raise_kind(anchor, cast(Kind, adjective.value))
    return anchor


def _judge(statement: Statement, anchors: list[Anchor]) -> None:
    """Let adjectives behind a hedge decide the kind of the lesion before: "a 2 cm lesion, presumed metastatic"."""
    for adjective in statement.of("adjective"):
        before = [anchor for anchor in anchors if anchor.end <= adjective.start]
        if not before or before[-1].kind != "uncertain" or before[-1].node:
            continue
        hedged = any(
            hedge.start >= before[-1].end and 0 <= adjective.first - hedge.last <= _HEDGE_TO_NAME
            for hedge in statement.of("hedge", "kind")
        )
        named = any(adjective.end <= mention.start < adjective.end + 40 for mention in statement.of("lesion"))
        if hedged and not named:
            before[-1].kind, before[-1].kind_certainty = cast(Kind, adjective.value), "probable"


def kind_of(mention: Mention) -> Kind:
    """Kind that a lesion word names."""
    return cast(Kind, mention.term.attributes.get("kind", mention.value))


def _raise_kind(anchor: Anchor, kind: Kind) -> None:
    if KIND_RANK[kind] > KIND_RANK[anchor.kind]:
        anchor.kind = kind


def _is_definite(statement: Statement, mention: Mention) -> bool:
    words = [statement.word(index) for index in range(mention.first - 3, mention.first)]
    if any(word.startswith(("largest", "larger", "bigg")) for word in words):
        return False
    if mention.first <= _NOUN_PHRASE_WORDS and statement.word(mention.last) in _GOES_ON:
        return not any(word in _INDEFINITE for word in statement.tokens.words[: mention.first])
    procedure = any(0 <= mention.first - cue.last <= _NOUN_PHRASE_WORDS for cue in statement.of("time", "procedure"))
    return procedure or any(word in _DEFINITE for word in words)


def _is_indefinite(statement: Statement, mention: Mention) -> bool:
    """Whether an article introduces the lesion as a new one: "there is a simple cyst"."""
    first = max(0, mention.first - _NOUN_PHRASE_WORDS)
    return any(word in _INDEFINITE for word in statement.tokens.words[first : mention.first])


_CIRCA = re.compile(r"\.? ?\d")
"""Behind a "ca" that means about."""


def _is_other_use(statement: Statement, mention: Mention) -> bool:
    """Whether the word is part of something else: a procedure ("mass biopsy"), a distractor ("consolidation foci")."""
    if statement.word(mention.first) == "ca" and _CIRCA.match(statement.text, mention.end):
        return True
    follows = [cue for cue in statement.of("time", "history_post") if cue.first == mention.last]
    if follows and statement.tokens.joined(follows[0].first):
        return True
    if kind_of(mention) == "uncertain" and any(
        other.last == mention.first and statement.tokens.joined(mention.first) for other in statement.of("distractor")
    ):
        return True
    if mention.term.attributes.get("vague") and statement.word(mention.first - 1) in _OF_THEM:
        return True
    if any(0 <= mention.first - cue.last <= _PURPOSE_WORDS for cue in statement.of("purpose")):
        return True
    if kind_of(mention) == "uncertain" and _is_distractor(statement, mention):
        return True
    return bool(mention.term.attributes.get("node")) and statement.word(mention.last) in ("size", "sizes", "stations")


def _is_distractor(statement: Statement, mention: Mention) -> bool:
    """Whether a vague word is said to be something else: "focus of air", "hypodense area, in favour of effusion"."""
    if mention.term.attributes.get("vague") and any(
        0 < other.first - mention.last <= _HEDGE_TO_NAME and statement.word(mention.last) == "of"
        for other in statement.of("distractor")
    ):
        return True
    reach = mention.last + (_VAGUE_HEDGE if mention.term.attributes.get("vague") else _NAMED_HEDGE)
    return any(
        mention.end <= hedge.start
        and hedge.first < reach
        and any(0 <= other.first - hedge.last <= _HEDGE_TO_NAME for other in statement.of("distractor"))
        for hedge in statement.of("hedge", "kind")
    )


def _after_history(statement: Statement, mention: Mention) -> bool:
    return any(
        0 <= mention.first - cue.last < _HISTORY_WORDS
        and not statement.breaks(cue.end, mention.start)
        and (mention.first - cue.last < _HISTORY_CLOSE or _one_clause(statement, cue.end, mention.start))
        for cue in statement.of("time", "history")
    ) or any(
        0 <= mention.first - cue.last < _HISTORY_CLOSE and statement.word(cue.last) in ("for", "of", "due")
        for cue in statement.of("removed")
    )


def _one_clause(statement: Statement, start: int, end: int) -> bool:
    """Whether text[start:end] holds neither a comma nor a predicate nor a size."""
    inside = [seen.start for seen in statement.of("presence", "seen")] + [size.start for size in statement.measurements]
    return not statement.commas(start, end) and not any(start <= offset < end for offset in inside)


def _names_again(statement: Statement, anchor: Anchor, mention: Mention) -> bool:
    """Whether `mention` is another name of the lesion of `anchor`."""
    node = bool(mention.term.attributes.get("node"))
    if node and not anchor.node and anchor.kind not in ("uncertain", "benign"):
        return False
    gap = statement.between(anchor.reach_end, mention.start)
    if mention.term.attributes.get("score") and ";" not in gap:
        return True
    if _SAME_NAME.fullmatch(gap) or (anchor.reach_end > anchor.end and gap == " and "):
        return True
    if _in_question(statement, mention) or _is_called(statement, anchor, mention, gap):
        return True
    if _is_largest_of(statement, anchor, mention) or _BEHIND_DASH.search(gap):
        return True
    if _sized_between(statement, anchor.reach_end, mention.start) or (
        ";" in gap and not _opens_clause(statement, gap, mention)
    ):
        return False
    if _in_parenthesis(gap) or _in_apposition(statement, anchor, mention, gap):
        return True
    reach = _HEDGED_WORDS + (_HEDGE_TO_NAME * 3 if _right_behind_hedge(statement, mention) else 0)
    if mention.first - anchor.last > reach or re.search(r"\band (?:a|an|there|multiple|several|another)\b", gap):
        return False
    return any(anchor.reach_end <= hedge.start < mention.start for hedge in statement.of("hedge")) and not any(
        anchor.reach_end <= seen.start < mention.start and not _hedge_after(statement, seen, mention)
        for seen in statement.of("presence", "seen")
    )


def _is_called(statement: Statement, anchor: Anchor, mention: Mention, gap: str) -> bool:
    """Whether the lesion "is a" what the second name says: no negation between, and both of one number."""
    if anchor.plural != mention.term.plural or kind_of(mention) == "uncertain" or not _IS_A.search(gap):
        return False
    return not any(anchor.end <= cue.start < mention.start for cue in statement.of("negation", "pre"))


def _in_parenthesis(gap: str) -> bool:
    """Whether the second name is put right behind the first: "a benign mixed tumor (pleomorphic adenoma)"."""
    return _PARENTHESIS.fullmatch(gap) is not None


def _in_apposition(statement: Statement, anchor: Anchor, mention: Mention, gap: str) -> bool:
    """Whether a bare name right behind a comma says what it is: "nodule in the parotid, pleomorphic adenoma"."""
    if anchor.kind != "uncertain" or anchor.plural or mention.term.plural or kind_of(mention) == "uncertain":
        return False
    words = gap.rpartition(",")[2].split() if gap.count(",") == 1 else None
    bare = (
        words is not None
        and len(words) <= 1
        and anchor.node == bool(mention.term.attributes.get("node"))
        and not set(words) & (_INDEFINITE | {"and", "with", "no", "or"})
    )
    return bare and not any(size.start > mention.end for size in statement.measurements)


def _opens_clause(statement: Statement, gap: str, mention: Mention) -> bool:
    """Whether a hedge stands right behind the semicolon: "lesion; differential diagnosis includes metastasis"."""
    semicolon = mention.start - len(gap) + gap.rindex(";")
    hedges = statement.of("hedge", "kind")
    return _right_behind_hedge(statement, mention) and any(0 < h.start - semicolon <= 2 for h in hedges)


def _right_behind_hedge(statement: Statement, mention: Mention) -> bool:
    return any(0 <= mention.first - hedge.last <= _HEDGE_TO_NAME for hedge in statement.of("hedge", "kind"))


def _is_largest_of(statement: Statement, anchor: Anchor, mention: Mention) -> bool:
    """Whether the word names the largest of the group before: "nodes, the largest of which was the hilar node"."""
    if not (anchor.plural or anchor.node) or mention.term.plural or mention.first - anchor.last > _HEDGED_WORDS:
        return False
    if ";" in statement.text[anchor.end : mention.start] or _is_indefinite(statement, mention):
        return False
    return any(anchor.end <= cue.start < mention.start for cue in statement.of("group", "largest"))


def _hedge_after(statement: Statement, seen: Mention, mention: Mention) -> bool:
    return any(seen.end <= hedge.start < mention.start for hedge in statement.of("hedge", "kind"))


def _sized_between(statement: Statement, start: int, end: int) -> bool:
    """A size between two names parts them, unless it stands right behind the first one's hedge."""
    sizes = [size for size in statement.measurements if start <= size.start < end]
    hedges = [hedge for hedge in statement.of("hedge") if start <= hedge.start < end]
    return bool(sizes) and not (hedges and hedges[-1].start > sizes[-1].end)


def _in_sized_parenthesis(statement: Statement, anchor: Anchor, mention: Mention) -> bool:
    """Whether the word explains one of several sizes and is no kind of all: "nodules: 21 mm (adenoma) and 13 mm"."""
    if len(statement.measurements) < 2:
        return False
    opened = statement.text.rfind("(", anchor.end, mention.start)
    if opened < 0 or ")" in statement.text[opened : mention.start]:
        return False
    sizes = [anchor.end <= size.start < opened for size in statement.measurements]
    return any(sizes) and not any(opened <= size.start < mention.start for size in statement.measurements)


def _in_question(statement: Statement, mention: Mention) -> bool:
    """Whether the word stands in "(cyst?)"."""
    if statement.text[mention.start - 1 : mention.start] == "?":
        return True
    before = statement.text.rfind("(", max(0, mention.start - 40), mention.start)
    after = statement.text[mention.end : mention.end + 20]
    return (
        before >= 0
        and ")" not in statement.text[before : mention.start]
        and re.match(r"[^()]{0,12}\?", after) is not None
    )


def _only_not_excluded(statement: Statement, mention: Mention) -> bool:
    """Whether the name is only one that can't be excluded: "adenoma, although carcinoma cannot be excluded"."""
    cues = (*statement.of("hedge", "existence"), *statement.of("negation", "pseudo"))
    return any(
        0 <= cue.first - mention.last <= _HEDGE_TO_NAME and "exclu" in statement.text[cue.start : cue.end].lower()
        for cue in cues
    )


def _fold(statement: Statement, anchor: Anchor, mention: Mention) -> None:
    gap = statement.between(anchor.reach_end, mention.start)
    adjacent = _SAME_NAME.fullmatch(gap) is not None
    anchor.plural = anchor.plural or _is_largest_of(statement, anchor, mention)
    if adjacent and "(" not in gap:
        anchor.end, anchor.last = mention.end, mention.last
        anchor.plural = mention.term.plural or (anchor.plural and mention.first - anchor.last > 0)
    anchor.reach_end = mention.end
    if mention.term.attributes.get("node"):
        if kind_of(mention) == "metastasis" and anchor.kind == "uncertain":
            anchor.kind, anchor.kind_certainty = "metastasis", "probable"
        if not anchor.node and "(" not in gap and not adjacent and anchor.kind == "uncertain":
            anchor.kind, anchor.kind_certainty = "benign", "probable"
        anchor.node = anchor.node or adjacent
        return
    if mention.term.attributes.get("negated_only"):
        return
    kind = kind_of(mention)
    if KIND_RANK[kind] > KIND_RANK[anchor.kind] and not _only_not_excluded(statement, mention):
        anchor.kind = kind
        if not adjacent:
            anchor.kind_certainty = "possible" if _in_question(statement, mention) else "probable"
