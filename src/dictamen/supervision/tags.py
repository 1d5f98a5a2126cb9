"""Tags of a report: which structures, and which kinds of lesion in them, are present, absent, or not spoken of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dictamen.anatomy import vocabulary
from dictamen.errors import InputError
from dictamen.reports.schema import Finding, ReportFindings

Attribute = Literal["lesion", "cyst", "tumour", "large lesion"]
Unmentioned = Literal["unknown", "absent"]
State = Literal["present", "absent", "unknown"]
ATTRIBUTES: tuple[Attribute, ...] = get_args(Attribute)
LARGE_MM = 30.0
"""From this diameter on a lesion is a mass in radiologists' words (lung: Fleischner glossary, Radiology 2008)."""
UNMENTIONED_WEIGHT = 0.25
"""Of an unmentioned tag that counts as absent: captions are incomplete, so such a negative is often wrong."""
FEWEST_STUDIES = 5
"""A tag that fewer reports say is there teaches the noise of those images."""
MOST_SYNONYMS = 4
_KINDS: Mapping[Attribute, frozenset[str]] = {
    "cyst": frozenset({"cyst"}),
    "tumour": frozenset({"tumour", "metastasis", "malignant"}),
}


@dataclass(frozen=True)
class Tag:
    """A structure of the vocabulary, one side of it, or a kind of lesion in it.

    Attributes:
        structure: id of the whole organ, as findings name it.
        side: of a paired organ; None for either.
        attribute: None for the structure itself.
    """

    structure: str
    side: Literal["left", "right"] | None = None
    attribute: Attribute | None = None

    @property
    def name(self) -> str:
        """`kidney`, `kidney:left`, `kidney/cyst`, `kidney:left/large lesion`."""
        side = f":{self.side}" if self.side else ""
        return f"{self.structure}{side}" + (f"/{self.attribute}" if self.attribute else "")

    @classmethod
    def parse(cls, name: str) -> Tag:
        """The tag of a `name`.

        Raises:
            InputError: a structure that the vocabulary lacks, another side or attribute.
        """
        place, _, attribute = name.partition("/")
        structure, _, side = place.partition(":")
        vocabulary.load()[structure]
        if side not in ("", "left", "right") or attribute not in ("", *ATTRIBUTES):
            raise InputError(
                "The tag is not understood.",
                got=name,
                expected=f"structure[:left|:right][/attribute], attribute one of {', '.join(ATTRIBUTES)}",
            )
        known_side: Literal["left", "right"] | None = "left" if side == "left" else "right" if side else None
        return cls(structure, known_side, next((known for known in ATTRIBUTES if known == attribute), None))

    def phrases(self) -> tuple[str, ...]:
        """What a text encoder reads for it, one phrase for each of a few synonyms."""
        found = vocabulary.load()[self.structure]
        side = f"{self.side} " if self.side else ""
        what = f"a {self.attribute} in the" if self.attribute else "the"
        return tuple(f"a CT of {what} {side}{word}" for word in (found.name, *found.synonyms)[:MOST_SYNONYMS])


def state_of(tag: Tag, report: ReportFindings, named: Collection[str] = ()) -> State:
    """What a report says of a tag.

    A structure is present where it is spoken of at all, a *negated finding* in it included, and absent where it was
    removed. A kind of lesion is present where a current finding says so, absent where the organ is free of lesions,
    removed, or has its lesions described completely without it; a doubted one is unknown.

    Args:
        named: structures that the text names beside findings, `kidney` and `kidney:left` (`reports.named_organs`).
    """
    if _covers(report.removed_structures, tag):
        return "absent"
    if tag.attribute is None:
        return "present" if _spoken_of(tag, report, named) else "unknown"
    return _lesion_state(tag, report)


def tag_targets(
    report: ReportFindings,
    tags: Sequence[Tag],
    *,
    named: Collection[str] = (),
    unmentioned: Unmentioned = "unknown",
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Target (1 present, 0 absent) and weight of each tag, [K] each.

    Args:
        unmentioned: "unknown", weight 0: a report need not name what is normal; "absent", weight .25: for captions.
    """
    states = [state_of(tag, report, named) for tag in tags]
    rest = UNMENTIONED_WEIGHT if unmentioned == "absent" else 0.0
    target = np.array([state == "present" for state in states], dtype=np.float32)
    weight = np.array([rest if state == "unknown" else 1.0 for state in states], dtype=np.float32)
    return target, weight


def choose_tags(
    pairs: Sequence[tuple[ReportFindings, Collection[str]]],
    *,
    unmentioned: Unmentioned = "unknown",
    fewest: int = FEWEST_STUDIES,
) -> tuple[Tag, ...]:
    """The tags that these reports can teach: present in at least `fewest`, and not in as many.

    Args:
        pairs: of each study, its findings and the structures that its text names.
    """
    chosen = []
    for tag in sorted(_candidates(pairs), key=lambda tag: tag.name):
        states = [state_of(tag, report, named) for report, named in pairs]
        against = sum(state == "absent" or (unmentioned == "absent" and state == "unknown") for state in states)
        if states.count("present") >= fewest and against >= fewest:
            chosen.append(tag)
    return tuple(chosen)


def _candidates(pairs: Iterable[tuple[ReportFindings, Collection[str]]]) -> set[Tag]:
    known, found = vocabulary.load(), set()
    for report, named in pairs:
        for structure in (*_wholes(named), *(finding.structure for finding in report.findings), *_said(report)):
            if structure not in known:
                continue
            sides: tuple[Literal["left", "right"] | None, ...] = (
                (None, "left", "right") if known.on_side(structure, "left") else (None,)
            )
            found |= {Tag(structure, side, attribute) for side in sides for attribute in (None, *ATTRIBUTES)}
    return found


def _said(report: ReportFindings) -> list[str]:
    return _wholes((*report.clear_structures, *report.removed_structures))


def _wholes(keys: Iterable[str]) -> list[str]:
    """Structures without their side."""
    return [key.partition(":")[0] for key in keys]


def _covers(keys: Collection[str], tag: Tag) -> bool:
    """Whether what is said of structures, with or without a side, holds for the whole of the tag's place."""
    sides = {f"{tag.structure}:{side}" for side in ((tag.side,) if tag.side else ("left", "right"))}
    return tag.structure in keys or sides <= set(keys)


def _spoken_of(tag: Tag, report: ReportFindings, named: Collection[str]) -> bool:
    own = f"{tag.structure}:{tag.side}" if tag.side else tag.structure
    if own in named or any(_at(tag, finding) for finding in report.findings):
        return True
    wanted = {tag.structure, own}
    said = {key if tag.side else key.partition(":")[0] for key in report.clear_structures}
    one_left = {"left": "right", "right": "left"}  # "status post left nephrectomy" speaks of the kidneys
    others = {f"{tag.structure}:{one_left[side]}" for side in ((tag.side,) if tag.side else ("left", "right"))}
    return bool(wanted & said or others & set(report.removed_structures))


def _at(tag: Tag, finding: Finding) -> bool:
    """Whether a finding lies at the tag's place for sure."""
    return finding.structure == tag.structure and (tag.side is None or finding.side in (tag.side, "bilateral"))


def _lesion_state(tag: Tag, report: ReportFindings) -> State:
    current = [
        finding
        for finding in report.findings
        if finding.structure == tag.structure and finding.temporal == "current" and finding.existence != "absent"
    ]
    could = [finding for finding in current if tag.side is None or finding.side in (tag.side, "bilateral", None)]
    sure = [f for f in could if f.existence == "present" and _at(tag, f) and _is(tag.attribute, f) == "present"]
    if sure:
        return "present"
    if any(_is(tag.attribute, finding) != "absent" for finding in could):
        return "unknown"
    complete = report.state(tag.structure, tag.side).status == "lesions_complete"
    denied = any(finding.existence == "absent" and _at(tag, finding) for finding in report.findings)
    return "absent" if _covers(report.clear_structures, tag) or complete or denied else "unknown"


def _is(attribute: Attribute | None, finding: Finding) -> State:
    """Whether a finding is a lesion of the attribute."""
    if attribute == "lesion":
        return "present"
    if attribute == "large lesion":
        if not finding.diameters_mm:
            return "unknown"
        return "present" if finding.diameters_mm[0] >= LARGE_MM else "absent"
    if finding.kind == "uncertain" or attribute is None:
        return "unknown"
    return "present" if finding.kind in _KINDS[attribute] else "absent"
