"""Constraints and masks turned into the supervision of a patch. Output channels: targets (lesions), then organs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dictamen.anatomy import lesion_labels
from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.errors import UsageError
from dictamen.supervision.constraint import Constraint, Deferred, LesionSize
from dictamen.supervision.image_planes import ImagePlanes
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.mask_states import NEGATIVE, UNKNOWN, StateTable, lesion_states, organ_states
from dictamen.supervision.patch import NOT_SAID
from dictamen.supervision.region_geometry import Dilation, LabelRegions, OrganMap, label_regions
from dictamen.supervision.sizes import ELLIPSOID, SMALLEST_MM, ball_volume
from dictamen.supervision.study_patch import StudyPatch, collate, without_regions
from dictamen.supervision.study_regions import StudyRegion, StudyRegions, study_region

__all__ = ["StudyPatch", "StudyRegions", "StudySupervisor", "collate"]

LabelMap = npt.NDArray[np.integer]
UInt8Array = npt.NDArray[np.uint8]

DILATION = Dilation()
"""As published for parts; see `reach.measured_dilation` for one that a cohort gives."""
WHOLE_SHARE = 0.95
"""A region with less of it in the patch is cut: its lesions may lie outside. The rest is the rim of the dilation."""
MOST_REGIONS = 254
"""Regions of one label that one byte a voxel can tell apart."""
ABSENT_WHAT, CUT_WHAT = "absent", "upper bound only: region cut by the patch"
"""Names of what was used, in the ledger."""


class StudySupervisor:
    """Translates for fixed outputs and fixed names of the maps.

    Args:
        targets: lesion labels of the first channels.
        organs: structure ids of the channels after them (`kidney`, `kidney_left`).
        organ_names: value -> name of the organ maps.
        lesion_names: value -> name of the lesion maps.
        dilation: how far regions reach beyond their masks.
    """

    def __init__(
        self,
        targets: Sequence[LesionLabel],
        organs: Sequence[str],
        organ_names: Mapping[int, str],
        lesion_names: Mapping[int, str],
        *,
        dilation: Dilation = DILATION,
    ) -> None:
        self.targets = tuple(targets)
        self.organs = tuple(organs)
        self.organ_names = dict(organ_names)
        self.dilation = dilation
        known_organs = tuple(self.organ_names.values())
        self.lesion_labels = {v: lesion_labels.parse(name, organs=known_organs) for v, name in lesion_names.items()}
        self._organ_tables = lru_cache(self._make_organ_tables)
        self._lesion_tables = lru_cache(self._make_lesion_tables)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the output channels."""
        return (*(target.name for target in self.targets), *self.organs)

    def regions(
        self,
        organs: LabelMap,
        affine: npt.NDArray[np.float64],
        constraints: Sequence[Constraint],
        deferred: Sequence[Deferred] = (),
        *,
        annotated_organs: Collection[str] | None = None,
        images: ImagePlanes | None = None,
        study_id: str = "",
    ) -> StudyRegions:
        """Geometry of a study's constraints, for `patch_from_regions`.

        Args:
            organs: canonical (RAS+) organ map [X, Y, Z] of the whole study at training spacing.
            affine: 4x4 of that grid.
            deferred: what the report said that became no constraint; counted with the rest.
            annotated_organs: names of the map whose absence means absence; None for all of them.
            images: where the numbered slices lie; None where that is not known.
        """
        labels = tuple(self.organ_names.values()) if annotated_organs is None else annotated_organs
        organ_map = OrganMap(organs, self.organ_names, affine, images)
        placed: list[StudyRegion] = []
        outside: list[bool] = []
        missed = list(deferred)
        for index, target in enumerate(self.targets):
            own = [constraint for constraint in constraints if constraint.label == target.name]
            found = label_regions(organ_map, own, self.dilation)
            placed += _packed(index, found)
            outside.append(found.negative_outside)
            missed += [Deferred(study_id, target.name, reason) for reason in found.reasons]
        order = ("positive", "possible", "absent", "unknown")
        return StudyRegions(
            shape=_triple(organs.shape),
            spacing_mm=organ_map.spacing_mm,
            regions=tuple(sorted(placed, key=lambda region: order.index(region.kind))),
            negative_outside=tuple(outside),
            annotated_organs=frozenset(labels),
            deferred=tuple(missed),
        )

    def patch_from_regions(
        self,
        regions: StudyRegions,
        organs_patch: LabelMap,
        start: Sequence[int],
        size: Sequence[int],
        *,
        ledger: Ledger | None = None,
    ) -> StudyPatch:
        """Supervision of the patch [start, start + size) of a study that has a report and organ masks.

        Lesion labels: unknown inside positive, possible and unknown regions, negative inside absent ones and, where the
        report and the masks allow, outside all. A region of which less than 95 % is in the patch keeps its upper bound
        only. What lies outside the study is unknown and in no region. Organs: as in the map, where annotated.

        Args:
            organs_patch: the organ map in the patch, [X, Y, Z] of `size`.
            ledger: counts what was used and what was deferred.
        """
        _check_size(organs_patch, size)
        ledger = Ledger() if ledger is None else ledger
        ledger.patches += 1
        ledger.defer_all(regions.deferred)
        state = self._state(organs_patch, regions.annotated_organs)
        for index, known in enumerate(regions.negative_outside):
            state[index] = NEGATIVE if known else UNKNOWN
        rows = _Rows(len(self.labels), state.shape)
        for region in regions.regions:
            crop = region.crop(start, size)
            if crop is None or not crop[1].any():
                continue
            place, mask = crop
            state[region.label][place][mask] = NEGATIVE if region.kind == "absent" else UNKNOWN
            if region.kind != "unknown":
                share = int(np.count_nonzero(mask)) / region.voxels
                self._add(rows, region, place, mask, whole=share >= WHOLE_SHARE, ledger=ledger)
        _forget_padding(state, start, regions.shape)
        return rows.patch(state, regions.spacing_mm)

    def patch_from_maps(
        self,
        regions: StudyRegions,
        maps: npt.NDArray[np.integer],
        state: UInt8Array,
        spacing_mm: Sequence[float],
        *,
        ledger: Ledger | None = None,
    ) -> StudyPatch:
        """Supervision of a patch that was rotated, scaled or mirrored together with maps of its regions.

        Args:
            maps: [targets, X, Y, Z], n + 1 where the n-th of the label's `regions` lies, as `StudyRegions.maps` writes
                them.
            state: [L, X, Y, Z] of what is known, used as it is.
            spacing_mm: of the patch as it is now; a region is whole when its volume in mm3 is.
            ledger: counts what was used and what was deferred.
        """
        ledger = Ledger() if ledger is None else ledger
        ledger.patches += 1
        ledger.defer_all(regions.deferred)
        rows, everywhere = _Rows(len(state), state.shape), (slice(None),) * 3
        voxel_share = float(np.prod(spacing_mm) / np.prod(regions.spacing_mm))
        for region, number in regions.numbered():
            mask = maps[region.label] == number
            voxels = int(np.count_nonzero(mask))
            if voxels and region.kind != "unknown":
                whole = voxels * voxel_share / region.voxels >= WHOLE_SHARE
                self._add(rows, region, everywhere, mask, whole=whole, ledger=ledger)
        return rows.patch(state, spacing_mm)

    def patch_from_masks(
        self,
        organs_patch: LabelMap,
        lesions_patch: LabelMap,
        annotated_organs: Collection[str],
        annotated_lesions: Collection[str],
        *,
        start: Sequence[int] = (0, 0, 0),
        shape: Sequence[int] | None = None,
        spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> StudyPatch:
        """Supervision of a patch of a study that has masks: every voxel known, except labels that nobody annotated.

        Args:
            organs_patch, lesions_patch: the maps in the patch, [X, Y, Z].
            annotated_organs, annotated_lesions: names whose absence in the map means absence.
            start, shape: place of the patch and voxels of the study; what lies outside it is unknown.
            spacing_mm: of the patch; only losses on regions need it.
        """
        _check_size(lesions_patch, organs_patch.shape)
        state = self._state(organs_patch, annotated_organs)
        tables = self._lesion_tables(frozenset(annotated_lesions))
        for index, table in enumerate(tables):
            state[index] = table.of(lesions_patch)
        if shape is not None:
            _forget_padding(state, start, shape)
        return without_regions(state, spacing_mm)

    def _state(self, organs_patch: LabelMap, annotated: Collection[str]) -> UInt8Array:
        """[L, X, Y, Z]: organs as known, lesions unknown."""
        state = np.full((len(self.labels), *organs_patch.shape), UNKNOWN, dtype=np.uint8)
        for index, table in enumerate(self._organ_tables(frozenset(annotated))):
            state[len(self.targets) + index] = table.of(organs_patch)
        return state

    def _add(
        self,
        rows: _Rows,
        region: StudyRegion,
        place: tuple[slice, ...],
        mask: npt.NDArray[np.bool_],
        *,
        whole: bool,
        ledger: Ledger,
    ) -> None:
        name = self.targets[region.label].name
        if rows.count(region.label) == MOST_REGIONS:
            ledger.defer(name, "more regions than one label can hold")
            return
        if region.kind == "absent":
            ledger.use(name, ABSENT_WHAT)
        elif not whole:
            ledger.defer(name, "lower bound and lesions: region cut by the patch")
            ledger.use(name, CUT_WHAT)
            region = replace(
                region,
                volume_mm3=replace(region.volume_mm3, lo=0.0),
                lesions=(),
                rest_negative=False,
                attenuation=NOT_SAID,
            )
        else:
            ledger.use(name, region.kind)
        rows.add(region, place, mask)

    def _make_organ_tables(self, annotated: frozenset[str]) -> list[StateTable]:
        return [organ_states(organ, self.organ_names, annotated) for organ in self.organs]

    def _make_lesion_tables(self, annotated: frozenset[str]) -> list[StateTable]:
        return [lesion_states(target, self.lesion_labels, annotated) for target in self.targets]


class _Rows:
    """Region index maps and tables of one patch, as they fill."""

    def __init__(self, labels: int, shape: Sequence[int]) -> None:
        self.region = np.zeros(tuple(shape), dtype=np.uint8)
        self.rows: list[list[StudyRegion]] = [[] for _ in range(labels)]

    def count(self, label: int) -> int:
        """Rows of a label so far."""
        return len(self.rows[label])

    def add(self, region: StudyRegion, place: tuple[slice, ...], mask: npt.NDArray[np.bool_]) -> None:
        """One more row, whose voxels are `mask` at `place`."""
        self.rows[region.label].append(region)
        self.region[region.label][place][mask] = len(self.rows[region.label])

    def patch(self, state: UInt8Array, spacing_mm: Sequence[float]) -> StudyPatch:
        """The filled patch."""
        empty = without_regions(state, spacing_mm)
        depth = max(len(row) for row in self.rows)
        lo, hi, weight = (np.zeros((len(self.rows), depth), np.float32) for _ in range(3))
        absent, rest = (np.zeros((len(self.rows), depth), bool) for _ in range(2))
        attenuation = np.zeros((len(self.rows), depth), np.int8)
        for label, row, region in self._all():
            lo[label, row], hi[label, row] = region.volume_mm3.lo, region.volume_mm3.hi
            weight[label, row] = region.weight
            absent[label, row] = region.kind == "absent"
            rest[label, row] = region.rest_negative
            attenuation[label, row] = region.attenuation
        index = [(label, row) for label, row, region in self._all() for _ in region.lesions]
        sizes = [_seed(size) for _, _, region in self._all() for size in region.lesions]
        return replace(
            empty, region=self.region, volume_lo=lo, volume_hi=hi, weight=weight, absent=absent, rest_negative=rest,
            attenuation=attenuation,
            lesion_index=np.array(index, np.int64).reshape(-1, 2),
            lesion_diameters_mm=np.array([diameters for diameters, _, _ in sizes], np.float32).reshape(-1, 3),
            lesion_volume_mm3=np.array([volume for _, volume, _ in sizes], np.float32),
            lesion_known=np.array([known for _, _, known in sizes], bool),
        )  # fmt: skip

    def _all(self) -> Iterator[tuple[int, int, StudyRegion]]:
        return ((label, row, region) for label, rows in enumerate(self.rows) for row, region in enumerate(rows))


def _seed(size: LesionSize) -> tuple[tuple[float, float, float], float, bool]:
    """Diameters, target volume, whether stated; a 5 mm ball, or the nearest that its limits allow, where it was not."""
    if size.diameters_mm is not None:
        a, b, c = size.diameters_mm
        return size.diameters_mm, min(max(ELLIPSOID * a * b * c, size.volume_mm3.lo), size.volume_mm3.hi), True
    volume = min(max(ball_volume(SMALLEST_MM), size.volume_mm3.lo), size.volume_mm3.hi)
    diameter = (volume / ELLIPSOID) ** (1 / 3)
    return (diameter, diameter, diameter), volume, False


def _packed(label: int, found: LabelRegions) -> list[StudyRegion]:
    packed = [study_region(label, constraint, mask) for constraint, mask in found.placed]
    return [region for region in packed if region is not None]


def _forget_padding(state: UInt8Array, start: Sequence[int], shape: Sequence[int]) -> None:
    """Voxels of the patch outside [0, shape) become unknown."""
    for axis, (begin, extent) in enumerate(zip(start, shape, strict=True)):
        along = np.moveaxis(state, axis + 1, 0)
        along[: max(0, -begin)] = UNKNOWN
        along[max(0, extent - begin) :] = UNKNOWN


def _check_size(labels: LabelMap, size: Sequence[int]) -> None:
    if labels.shape != tuple(size):
        raise UsageError("The label map does not fill the patch.", got=labels.shape, expected=tuple(size))


def _triple(shape: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = shape
    return x, y, z
