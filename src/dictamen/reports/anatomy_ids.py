"""From a finding's organ, side and parts to ids of the anatomy vocabulary: the smallest structures that they name."""

from __future__ import annotations

import re
from typing import Literal

from dictamen.anatomy.parts import canonical_part
from dictamen.anatomy.vocabulary import load
from dictamen.reports.schema import Finding

_LEVEL = re.compile(r"[CTLS]\d{1,2}")
_RIB = re.compile(r"rib (\d{1,2})")


def structure_ids(finding: Finding) -> frozenset[str]:
    """Vocabulary ids of the place: `lung_upper_lobe_right`, `vertebrae_L3`, `liver_segment_7`.

    A part that the vocabulary has no structure of its own for (a nodal station, the wall of the bladder) stands for the
    organ, on the side where one is given; both sides are two ids.
    """
    named = frozenset(structure for part in finding.parts for structure in _part(finding, part))
    larger = {above for structure in named for above in load().ancestors(structure)}
    return named - larger or _organ(finding)


def _part(finding: Finding, part: str) -> frozenset[str]:
    if finding.structure == "bone" and (special := _bone(finding, part)):
        return special
    vocabulary = load()
    found = vocabulary.named_part(finding.structure, canonical_part(part, finding.structure))
    if not found and finding.structure == "bone" and (bone := vocabulary.find(part)) is not None:
        found = frozenset([bone.id])
    if finding.side in ("left", "right"):
        sided = {vocabulary.on_side(structure, finding.side) for structure in found}
        found = frozenset(structure.id for structure in sided if structure is not None) or frozenset(
            structure for structure in found if vocabulary.whole(structure)[1] in (None, finding.side)
        )
    return found


def _bone(finding: Finding, part: str) -> frozenset[str]:
    """Vertebra levels and numbered ribs."""
    if _LEVEL.fullmatch(part):
        return frozenset([f"vertebrae_{part}"]) & {structure.id for structure in load()}
    if rib := _RIB.fullmatch(part):
        sides = [finding.side] if finding.side in ("left", "right") else ["left", "right"]
        return frozenset(f"rib_{side}_{int(rib[1])}" for side in sides if 1 <= int(rib[1]) <= 12)
    return frozenset()


def _organ(finding: Finding) -> frozenset[str]:
    vocabulary = load()
    if finding.side is None or finding.structure not in vocabulary:
        return frozenset([finding.structure])
    wanted: tuple[Literal["left", "right"], ...] = ("left", "right") if finding.side == "bilateral" else (finding.side,)
    sides = [vocabulary.on_side(finding.structure, side) for side in wanted]
    return frozenset(side.id for side in sides if side is not None) or frozenset([finding.structure])
