"""Ways to speak of one finding so that no other finding of the report is meant: "the larger cyst in the liver"."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from dictamen.anatomy import vocabulary
from dictamen.reports import lexicon
from dictamen.reports.schema import Finding
from dictamen.reports.sections import find_sections
from dictamen.reports.sentences import split_sentences

NOUNS = {
    "cyst": "cyst",
    "tumour": "tumor",
    "metastasis": "metastasis",
    "benign": "benign lesion",
    "malignant": "malignant lesion",
    "uncertain": "lesion",
}
"""Words for the kinds of finding."""
ATTENUATIONS = {
    "hypo": "hypodense",
    "iso": "isodense",
    "hyper": "hyperdense",
    "mixed": "heterogeneous",
    "fat": "fat-containing",
    "calcified": "calcified",
}
CLEARLY_LARGER = 1.2
"""Ratio of diameters from which one lesion is called the larger one: twice a reader's error."""
ATTRIBUTES = ("size", "attenuation", "kind", "part", "side")


@dataclass(frozen=True)
class _Facts:
    """What may be said of a finding; None where nothing is known."""

    structure: str
    size: float | None
    attenuation: str | None
    kind: str
    part: tuple[str, ...] | None
    side: str | None

    @classmethod
    def of(cls, finding: Finding) -> _Facts:
        size = max(finding.diameters_mm, default=0.0) or None
        return cls(finding.structure, size, finding.attenuation, finding.kind, finding.parts or None, finding.side)


def refers(finding: Finding) -> bool:
    """Whether a finding is something that can be painted: there, or possibly there, now."""
    return (
        finding.existence != "absent"
        and finding.temporal == "current"
        and finding.trend != "resolved"
        and not finding.count.is_absent
    )


def phrases(finding: Finding, others: Sequence[Finding]) -> tuple[str, ...]:
    """Phrases that mean this finding and none of the others, the fullest first; none where they can't be told apart.

    Args:
        others: the other findings of the report that can be painted.
    """
    own, rest = _Facts.of(finding), [_Facts.of(other) for other in others]
    single = finding.count.hi == 1
    found = [
        _phrase(own, said, single=single)
        for length in range(len(ATTRIBUTES), -1, -1)
        for said in itertools.combinations(ATTRIBUTES, length)
        if all(getattr(own, name) is not None for name in said) and not any(_fits(other, own, said) for other in rest)
    ]
    if single:
        found += _relative(own, rest)
    return tuple(dict.fromkeys(found))


def describe(finding: Finding) -> str:
    """All that is known of a finding in one phrase, whether or not it tells it from others."""
    own = _Facts.of(finding)
    said = [name for name in ATTRIBUTES if getattr(own, name) is not None]
    return _phrase(own, said, single=finding.count.hi == 1)


def _phrase(own: _Facts, said: Sequence[str], *, single: bool) -> str:
    noun = NOUNS[own.kind] if "kind" in said else "lesion"
    words = [
        f"{own.size:g} mm" if "size" in said else "",
        ATTENUATIONS[own.attenuation] if "attenuation" in said and own.attenuation else "",
        noun if single else _plural(noun),
    ]
    return f"{' '.join(word for word in words if word)} in the {_place(own, said)}"


def _place(own: _Facts, said: Sequence[str]) -> str:
    words = vocabulary.load()
    organ = words[own.structure].name if own.structure in words else own.structure.replace("_", " ")
    if "side" in said and own.side in ("left", "right"):
        organ = f"{own.side} {organ}"
    return f"{' and '.join(own.part)} of the {organ}" if "part" in said and own.part else organ


def _plural(noun: str) -> str:
    return noun.removesuffix("is") + "es" if noun.endswith("is") else f"{noun}s"


def _fits(other: _Facts, own: _Facts, said: Sequence[str]) -> bool:
    """Whether the other finding could be meant by what is said of the own one."""
    if other.structure != own.structure:
        return False
    return all(_same(getattr(other, name), getattr(own, name), name) for name in said)


def _same(other: object, own: object, name: str) -> bool:
    if other is None or other == "bilateral":
        return True
    if name == "size" and isinstance(other, float) and isinstance(own, float):
        return max(other, own) < CLEARLY_LARGER * min(other, own)
    if name == "part" and isinstance(other, tuple) and isinstance(own, tuple):
        return bool(set(other) & set(own))
    return other == own


def _relative(own: _Facts, rest: Sequence[_Facts]) -> list[str]:
    """ "The larger lesion of the left kidney", where the sizes of all lesions there are known."""
    found = []
    for said in (("kind", "side"), ("side",), ("kind",), ()):
        if "side" in said and own.side not in ("left", "right"):
            continue
        fellows = [other for other in rest if _fits(other, own, said)]
        sizes = [other.size for other in fellows if other.size is not None]
        if own.size is None or not fellows or len(sizes) < len(fellows):
            continue
        two = len(fellows) == 1
        noun = f"{NOUNS[own.kind] if 'kind' in said else 'lesion'} in the {_place(own, said)}"
        if own.size >= CLEARLY_LARGER * max(sizes):
            found.append(f"{'larger' if two else 'largest'} {noun}")
        elif CLEARLY_LARGER * own.size <= min(sizes):
            found.append(f"{'smaller' if two else 'smallest'} {noun}")
    return found


def sentence_span(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """Offsets of the sentence of a report in which a span begins; the span itself where no sentence has it."""
    words = lexicon.load()
    for sentence in split_sentences(text, find_sections(text, words), words):
        if sentence.start <= span[0] < sentence.end:
            return sentence.start, max(sentence.end, span[1])
    return span
