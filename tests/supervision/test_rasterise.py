"""Constraints and masks to tensors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from supervision_builders import (
    KIDNEY_CYST,
    KIDNEY_LESION,
    KIDNEY_TUMOUR,
    LIVER_TUMOUR,
    NAMES,
    affine,
    body,
    finding,
    report,
    state,
)

from dictamen.errors import UsageError
from dictamen.reports.schema import ReportFindings
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.patch import NEGATIVE, POSITIVE, UNKNOWN
from dictamen.supervision.picture import describe, picture
from dictamen.supervision.rasterise import StudyPatch, StudyRegions, StudySupervisor, collate
from dictamen.supervision.region_geometry import Dilation
from dictamen.supervision.study_patch import block_means, coarser

SPACING = (3.0, 2.0, 1.5)
SHAPE = (80, 60, 60)
TARGETS = [KIDNEY_TUMOUR, LIVER_TUMOUR]


def supervisor(names: dict[int, str] = NAMES, lesions: dict[int, str] | None = None) -> StudySupervisor:
    return StudySupervisor(TARGETS, ["kidney", "liver"], names, lesions or {1: "kidney_tumour"})


def regions_of(said: ReportFindings, labels: np.ndarray | None = None, names: dict[int, str] = NAMES) -> StudyRegions:
    known, deferred = constraints(said, TARGETS)
    return supervisor(names).regions(body() if labels is None else labels, affine(*SPACING), known, deferred)


def whole_patch(regions: StudyRegions, ledger: Ledger | None = None) -> StudyPatch:
    return supervisor().patch_from_regions(regions, body(), (0, 0, 0), SHAPE, ledger=ledger)


LEFT = report(finding(side="left", diameters_mm=(20,)), clear_structures=("kidney:right", "liver"))


def test_left_is_the_small_index_and_the_region_is_dilated_in_mm() -> None:
    patch = whole_patch(regions_of(LEFT))
    left = body() == 1
    reference = ndimage.distance_transform_edt(~left, sampling=SPACING) <= 10
    assert np.array_equal(patch.region[0] == 1, reference)
    assert (patch.state[0][reference] == UNKNOWN).all()
    assert (patch.state[0][~reference] == NEGATIVE).all()
    assert np.array_equal(patch.region[0] == 2, body() == 2)
    assert patch.absent[0].tolist() == [False, True]
    assert patch.rest_negative[0].tolist() == [True, True]
    assert patch.volume_lo[0, 0] > 0
    assert patch.lesion_index.tolist() == [[0, 0]]
    np.testing.assert_allclose(patch.spacing_mm, SPACING)


def test_poles_lie_along_the_body() -> None:
    said = report(
        finding(side="right", parts=("upper pole",), diameters_mm=(9,)),
        organ_states=(state("kidney", "lesions_complete"),),
    )
    found = next(r for r in regions_of(said).regions if r.kind == "positive")
    assert found.box[0][0] > 40
    assert found.box[1][2] > 50
    assert found.box[0][2] > 10 + 40 / 3


def test_a_part_reaches_beyond_its_borders_but_not_far_out_of_the_organ() -> None:
    said = report(finding(side="right", parts=("upper pole",), diameters_mm=(9,)))
    known, deferred = constraints(said, TARGETS)
    narrow = StudySupervisor(TARGETS, [], NAMES, {1: "kidney_tumour"}, dilation=Dilation(organ_mm=3.0, lesion_share=0))
    regions = narrow.regions(body(), affine(*SPACING), known, deferred)
    (found,) = [r for r in regions.regions if r.kind == "positive"]
    inside = whole_patch(regions).region[0] == 1
    outside = ndimage.distance_transform_edt(body() != 2, sampling=SPACING)[inside]
    pole = 10 + 40 * 2 / 3  # first voxel of the upper third
    assert 0 < outside.max() <= 3
    assert pole - 15 / 1.5 - 1 <= found.box[0][2] < pole - 8


def test_a_coarser_patch_keeps_what_is_said_and_where() -> None:
    patch = whole_patch(regions_of(LEFT))
    half = coarser(patch, 2)
    assert half.state.shape == (len(patch.state), *(n // 2 for n in SHAPE))
    assert np.array_equal(half.region, patch.region[:, 1::2, 1::2, 1::2])
    assert np.array_equal(half.lesion_volume_mm3, patch.lesion_volume_mm3)
    volumes = [np.count_nonzero(p.region[0] == 1) * p.spacing_mm.prod() for p in (patch, half)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.05)
    image = np.arange(4 * 4 * 2, dtype=np.int16).reshape(4, 4, 2)
    assert block_means(image, 2)[1, 0, 0] == image[2:4, 0:2, 0:2].mean()


@pytest.mark.parametrize(
    ("said", "code"),
    [("hypo", -1), ("fat", -1), ("hyper", 1), ("calcified", 1), ("iso", 2), ("mixed", 0), (None, 0)],
)
def test_density_as_said(said: str | None, code: int) -> None:
    regions = regions_of(report(finding(side="left", diameters_mm=(20,), attenuation=said)))
    assert whole_patch(regions).attenuation[0].tolist() == [code]
    cut = supervisor().patch_from_regions(regions, body()[:14], (0, 0, 0), (14, *SHAPE[1:]))
    assert cut.attenuation[0].tolist() == [0]


def test_unknown_sides_are_unknown_and_not_constrained() -> None:
    patch = whole_patch(regions_of(report(finding(side="left", diameters_mm=(20,)))))
    assert (patch.state[0][body() == 2] == UNKNOWN).all()
    assert (patch.region[0][body() == 2] == 0).all()
    assert (patch.state[1][body() == 3] == UNKNOWN).all()


def test_organs_are_as_in_the_map_where_annotated() -> None:
    known, deferred = constraints(LEFT, TARGETS)
    assert np.array_equal(whole_patch(regions_of(LEFT)).state[2] == POSITIVE, (body() == 1) | (body() == 2))
    regions = supervisor().regions(body(), affine(*SPACING), known, deferred, annotated_organs=["liver"])
    patch = whole_patch(regions)
    assert set(np.unique(patch.state[2])) == {POSITIVE, UNKNOWN}
    assert set(np.unique(patch.state[3])) == {POSITIVE, NEGATIVE}


def test_overlapping_parts_are_joined() -> None:
    near = [finding("liver", parts=(f"segment {n}",), diameters_mm=(d,)) for n, d in ((6, 10), (7, 30))]
    labels = body()
    labels[40:60][labels[40:60] == 3] = 5
    names = {**NAMES, 3: "liver_segment_6", 5: "liver_segment_7"}
    regions = regions_of(report(*near), labels, names)
    (joined,) = [r for r in regions.regions if r.kind == "positive"]
    assert [size.diameters_mm[0] for size in joined.lesions if size.diameters_mm] == [30, 10]
    assert joined.volume_mm3.lo == pytest.approx(sum(size.volume_mm3.lo for size in joined.lesions))
    assert regions.regions[0] is joined


def test_a_missing_organ_makes_the_label_unknown_and_is_counted() -> None:
    labels = np.where(body() == 1, 0, body()).astype(np.uint8)
    regions = regions_of(LEFT, labels)
    assert [item.reason for item in regions.deferred] == ["no mask of the organ"]
    assert regions.negative_outside == (False, True)
    ledger = Ledger()
    patch = supervisor().patch_from_regions(regions, labels, (0, 0, 0), SHAPE, ledger=ledger)
    assert (patch.state[0][labels != 2] == UNKNOWN).all()
    assert ledger.deferred["kidney_tumour", "no mask of the organ"] == 1


def test_a_removed_organ_without_mask_is_negative() -> None:
    labels = np.where(body() == 1, 0, body()).astype(np.uint8)
    regions = regions_of(report(removed_structures=("kidney:left",), clear_structures=("kidney:right",)), labels)
    assert regions.negative_outside[0]
    assert not regions.deferred


def test_sides_that_the_masks_cannot_tell_are_not_negative() -> None:
    labels = (body() == 1).astype(np.uint8)
    labels[12:18, 20:30, 20:30] = 0
    said = report(finding("spleen"), clear_structures=("kidney:right",))
    patch = whole_patch(regions_of(said))
    assert (patch.state[0][body() == 1] == UNKNOWN).all()
    assert (patch.state[0][body() == 2] == NEGATIVE).all()


def test_a_cut_region_keeps_only_its_upper_bound() -> None:
    ledger = Ledger()
    size = (30, 60, 30)
    patch = supervisor().patch_from_regions(regions_of(LEFT), body()[:30, :, :30], (0, 0, 0), size, ledger=ledger)
    assert patch.volume_lo[0, 0] == 0
    assert patch.volume_hi[0, 0] > 0
    assert not patch.rest_negative[0, 0]
    assert len(patch.lesion_index) == 0
    assert ledger.deferred["kidney_tumour", "lower bound and lesions: region cut by the patch"] == 1


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(-20, 70)] * 3), st.tuples(*[st.integers(8, 50)] * 3))
def test_any_patch_is_the_crop_of_the_whole(start: tuple[int, ...], size: tuple[int, ...]) -> None:
    regions = REGIONS
    pad = [(60, 90)] * 3
    whole = whole_patch(regions)
    index = tuple(slice(s + 60, s + 60 + n) for s, n in zip(start, size, strict=True))
    organs = np.pad(body(), pad)[index]
    patch = supervisor().patch_from_regions(regions, organs, start, size)
    state = np.stack([np.pad(channel, pad, constant_values=UNKNOWN)[index] for channel in whole.state])
    inside = np.stack([np.pad(channel > 0, pad)[index] for channel in whole.region])
    assert np.array_equal(patch.state, state)
    assert np.array_equal(patch.region > 0, inside)
    assert patch.region.max(initial=0) <= patch.weight.shape[1]


REGIONS = regions_of(LEFT)


def test_boxes_put_positive_regions_first_and_memory_is_small() -> None:
    assert len(REGIONS.boxes) == 3
    assert (REGIONS.boxes[0] == REGIONS.positive_boxes[0]).all()
    assert len(REGIONS.other_boxes) == 2
    box = REGIONS.positive_boxes[0]
    found = np.argwhere(whole_patch(REGIONS).region[0] == 1)
    assert (found.min(0) == box[0]).all()
    assert (found.max(0) + 1 == box[1]).all()
    assert REGIONS.nbytes < np.prod(SHAPE) / 2


LESIONS = np.zeros((4, 4, 4), np.uint8)
LESIONS[0], LESIONS[1], LESIONS[2] = 1, 2, 3


@pytest.mark.parametrize(
    ("target", "names", "annotated", "expected"),
    [
        (KIDNEY_TUMOUR, {1: "kidney_tumour"}, ["kidney_tumour"], [1, None, None, 0]),
        (KIDNEY_TUMOUR, {1: "kidney_tumour"}, [], [1, None, None, 2]),
        (KIDNEY_TUMOUR, {1: "kidney_lesion"}, ["kidney_lesion"], [2, None, None, 0]),
        (KIDNEY_LESION, {1: "kidney_tumour", 2: "kidney_cyst"}, ["kidney_tumour", "kidney_cyst"], [1, 1, None, 0]),
        (KIDNEY_LESION, {1: "kidney_tumour", 2: "kidney_cyst"}, ["kidney_tumour"], [1, 1, None, 2]),
        (KIDNEY_TUMOUR, {1: "kidney_cyst", 2: "liver_tumour"}, ["kidney_cyst", "liver_tumour"], [0, 0, None, 2]),
        (KIDNEY_CYST, {1: "kidney_tumour", 2: "kidney_cyst"}, ["kidney_cyst"], [0, 1, None, 0]),
    ],
)
def test_maps_of_other_kinds(
    target: object, names: dict[int, str], annotated: list[str], expected: list[int | None]
) -> None:
    both = StudySupervisor([target], [], {1: "kidney"}, names)  # type: ignore[list-item]
    state = both.patch_from_masks(np.zeros((4, 4, 4), np.uint8), LESIONS, [], annotated).state[0]
    for value, want in zip((0, 1, 2, 3), expected, strict=True):
        if want is not None:
            assert (state[value] == want).all()


def test_masks_beyond_the_study_are_unknown() -> None:
    organs, lesions = np.ones((8, 8, 8), np.uint8), np.zeros((8, 8, 8), np.uint8)
    patch = supervisor().patch_from_masks(
        organs,
        lesions,
        ["kidney_left", "kidney_right", "liver"],
        ["kidney_tumour"],
        start=(-2, 0, 4),
        shape=(80, 60, 10),
    )
    known = patch.state[0] == NEGATIVE
    assert known[2:, :, :6].all()
    assert known.sum() == 6 * 8 * 6
    assert (patch.state[1] == UNKNOWN).all()


def test_collate_pads_rows_and_numbers_studies() -> None:
    first = whole_patch(REGIONS)
    second = supervisor().patch_from_masks(body(), np.zeros(SHAPE, np.uint8), [], [])
    batch = collate([second, first])
    assert batch.lesion_index.tolist() == [[1, 0, 0]]
    assert batch.weight[0].sum() == 0
    assert batch.weight.shape == (2, 4, 2)
    assert batch.state.dtype == batch.region.dtype == torch.uint8
    assert collate([second]).lesion_diameters_mm.shape == (0, 3)
    with pytest.raises(UsageError):
        collate([first, supervisor().patch_from_masks(np.zeros((4, 4, 4), np.uint8), LESIONS, [], [])])


def test_the_label_map_must_fill_the_patch() -> None:
    with pytest.raises(UsageError):
        supervisor().patch_from_regions(REGIONS, body(), (0, 0, 0), (10, 10, 10))


def test_ledgers_add_and_survive_json() -> None:
    ledger = Ledger()
    whole_patch(REGIONS, ledger)
    double = ledger + ledger
    assert double.patches == 2
    assert double.used["liver_tumour", "absent"] == 2
    assert Ledger.from_json(double.to_json()) == double


def test_descriptions_are_plain() -> None:
    lines = [describe(constraint) for constraint in constraints(LEFT, TARGETS)[0]]
    assert lines == [
        "1 kidney_tumour in left kidney: 20 mm, 2.3-6.4 ml",
        "no kidney_tumour in right kidney",
        "no liver_tumour in liver",
    ]
    volume, rows = picture(REGIONS, 0, "kidney_tumour")
    assert [row.kind for row in rows] == ["positive", "absent"]
    assert set(np.unique(volume)) == {0, 1, 2}
    assert rows[1].region_ml == pytest.approx((body() == 2).sum() * np.prod(SPACING) / 1000)
