"""Findings of a report as prompts: the words that mean each of them, and what is known of the voxels they mean.

Where the study has lesion masks and a finding fits exactly one of their lesions, the sentence is taught voxel by voxel;
else by the constraints of its report: region, volume, ball. Either way everything else is negative: another lesion is
not the one that is meant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dictamen.anatomy.lesion_labels import ALL_KINDS, LesionLabel
from dictamen.reports.phrases import phrases, refers, sentence_span
from dictamen.reports.schema import Finding, ReportFindings
from dictamen.supervision.constraint import Constraint
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.region_geometry import Dilation, OrganMap, label_regions
from dictamen.supervision.sizes import ELLIPSOID
from dictamen.supervision.study_regions import BoolArray, StudyRegion, StudyRegions, study_region

SIZE_RATIO = 2.0
"""Stated largest diameter over that of a mask, and the other way round, up to which they may be the same lesion."""
LONGEST_SENTENCE = 200
"""Characters; a longer one speaks of more than one thing."""


@dataclass(frozen=True)
class Referent:
    """One finding that can be asked for.

    Attributes:
        index: of the finding in the report.
        texts: phrases and sentences that mean it and no other.
        lesion: its voxels, where a mask has them.
        regions: what its report says of them, where no mask has them; positive, in all of the study.
    """

    index: int
    texts: tuple[str, ...]
    lesion: StudyRegion | None
    regions: StudyRegions | None

    @property
    def box(self) -> npt.NDArray[np.int64] | None:
        """[[lo], [hi]] of where it lies, voxels; hi exclusive."""
        if self.lesion is not None:
            return self.lesion.box
        boxes = self.regions.boxes if self.regions is not None else ()
        return boxes[0] if boxes else None


@dataclass(frozen=True)
class Component:
    """One lesion of a mask.

    Attributes:
        mask: in the whole study.
        diameter_mm: of the ball of its volume.
        label: what lesion label drew it.
    """

    mask: BoolArray
    diameter_mm: float
    label: LesionLabel


def referents(
    report: ReportFindings,
    text: str | None,
    organs: npt.NDArray[np.integer],
    organ_names: Mapping[int, str],
    affine: npt.NDArray[np.float64],
    components: Sequence[Component],
    dilation: Dilation,
) -> list[Referent]:
    """The findings of a report that can be asked for in this study.

    Args:
        text: of the report, for its own sentences; None: phrases made from the findings alone.
        organs: canonical organ map of the whole study at training spacing, with its names and affine.
        components: lesions of the study's masks; empty where it has none.
    """
    organ_map = OrganMap(organs, organ_names, affine)
    wanted = [(index, finding) for index, finding in enumerate(report.findings) if refers(finding)]
    said = {index: phrases(finding, [other for i, other in wanted if i != index]) for index, finding in wanted}
    asked: dict[int, tuple[Constraint, BoolArray]] = {}
    for index, finding in wanted:
        placed = _placed(report.study_id, index, finding, organ_map, dilation) if said[index] else None
        if placed is not None:
            asked[index] = placed
    owned = _matched({i: f for i, f in wanted if i in asked}, {i: m for i, (_, m) in asked.items()}, components)
    found = []
    for index, (constraint, mask) in asked.items():
        finding = report.findings[index]
        texts = (*said[index], *_sentence(text, finding, report.findings))
        own = owned.get(index)
        region = study_region(0, constraint, own.mask if own is not None else mask)
        if region is None:
            continue
        regions = None if own is not None else _study(organ_map, region)
        found.append(Referent(index, texts, region if own is not None else None, regions))
    return found


def _placed(
    study_id: str, index: int, finding: Finding, organs: OrganMap, dilation: Dilation
) -> tuple[Constraint, BoolArray] | None:
    """The finding alone as a constraint on its region; None where it can't be placed."""
    name = f"finding {index}"
    target = LesionLabel(name, finding.structure, ALL_KINDS, None)
    made, _ = constraints(ReportFindings(study_id=study_id, findings=(finding,)), [target])
    own = [c for c in made if c.weight > 0 and not c.count.is_absent and c.count.lo > 0]
    if len(own) != 1:
        return None
    complete = math.isfinite(own[0].count.hi)
    constraint = replace(own[0], rest="negative" if complete else "ignore")
    placed = label_regions(organs, [constraint], dilation).placed
    return placed[0] if len(placed) == 1 else None


def _study(organs: OrganMap, region: StudyRegion) -> StudyRegions:
    x, y, z = organs.labels.shape
    return StudyRegions((x, y, z), organs.spacing_mm, (region,), (True,), frozenset(organs.names.values()), ())


def _matched(
    findings: Mapping[int, Finding], regions: Mapping[int, BoolArray], components: Sequence[Component]
) -> dict[int, Component]:
    """Finding -> the only lesion that it can be and that no other finding can be."""
    fits = {
        index: {place for place, one in enumerate(components) if _can_be(findings[index], regions[index], one)}
        for index in findings
        if findings[index].count.hi == 1
    }
    found: dict[int, Component] = {}
    while True:
        sure = next((i for i, places in fits.items() if len(places) == 1), None)
        if sure is None:
            return found
        (place,) = fits.pop(sure)
        if any(other == {place} for other in fits.values()):  # two findings for one lesion: neither is sure
            fits = {i: places for i, places in fits.items() if places != {place}}
        else:
            found[sure] = components[place]
        fits = {i: places - {place} for i, places in fits.items()}


def _can_be(finding: Finding, region: BoolArray, one: Component) -> bool:
    if one.label.structure not in (None, finding.structure) or finding.kind not in one.label.kinds:
        return False
    if finding.diameters_mm and not (
        1 / SIZE_RATIO <= max(finding.diameters_mm) / max(one.diameter_mm, 1e-3) <= SIZE_RATIO
    ):
        return False
    return bool(np.count_nonzero(one.mask & region) >= 0.5 * np.count_nonzero(one.mask))


def mask_components(
    lesions: npt.NDArray[np.integer], labels: Mapping[int, LesionLabel], spacing_mm: Sequence[float]
) -> list[Component]:
    """The lesions of a lesion map [X, Y, Z] of a whole study."""
    from scipy import ndimage

    found = []
    voxel = float(np.prod(spacing_mm))
    for value, label in labels.items():
        numbered, count = ndimage.label(lesions == value, structure=np.ones((3, 3, 3)))
        for number in range(1, count + 1):
            mask = numbered == number
            volume = float(np.count_nonzero(mask)) * voxel
            found.append(Component(mask, float((volume / ELLIPSOID) ** (1 / 3)), label))
    return found


def _sentence(text: str | None, finding: Finding, findings: Sequence[Finding]) -> tuple[str, ...]:
    """The report's own sentence, where it speaks of this finding alone."""
    if text is None:
        return ()
    start, end = sentence_span(text, finding.span)
    alone = not any(other is not finding and start <= other.span[0] < end for other in findings)
    return (text[start:end],) if alone and end - start <= LONGEST_SENTENCE else ()
