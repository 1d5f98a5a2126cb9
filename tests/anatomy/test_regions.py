"""Regions from label maps: sides, parts, and what happens where labels can't tell."""

import itertools

import numpy as np
import pytest

from dictamen.anatomy.regions import RegionMask, label_values, region_mask
from dictamen.errors import InputError

SHAPE = (120, 60, 80)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
LEFT_KIDNEY = (slice(20, 45), slice(20, 40), slice(20, 62))
RIGHT_KIDNEY = (slice(75, 100), slice(20, 40), slice(10, 52))
SPINE = (slice(54, 66), slice(5, 20), slice(0, 80))


def label_map(**boxes: tuple[slice, slice, slice]) -> tuple[np.ndarray, dict[int, str]]:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    names = {}
    for value, (name, box) in enumerate(boxes.items(), start=1):
        labels[box] = value
        names[value] = name
    return labels, names


def box_mask(*boxes: tuple[slice, slice, slice]) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    for box in boxes:
        mask[box] = True
    return mask


def found(
    labels: np.ndarray, names: dict[int, str], structure: str, side: str | None = None, *parts: str
) -> RegionMask:
    region = region_mask(labels, names, AFFINE, structure=structure, side=side, parts=parts)
    assert region is not None
    return region


TWO_KIDNEYS = label_map(kidney_left=LEFT_KIDNEY, kidney_right=RIGHT_KIDNEY)


@pytest.mark.parametrize(
    ("side", "boxes", "precision"),
    [
        ("left", [LEFT_KIDNEY], "side"),
        ("right", [RIGHT_KIDNEY], "side"),
        ("bilateral", [LEFT_KIDNEY, RIGHT_KIDNEY], "organ"),
        (None, [LEFT_KIDNEY, RIGHT_KIDNEY], "organ"),
    ],
)
def test_sides_by_label(side: str | None, boxes: list, precision: str) -> None:
    region = found(*TWO_KIDNEYS, "kidney", side)
    assert region.precision == precision
    assert np.array_equal(region.mask, box_mask(*boxes))


def test_a_side_can_be_asked_by_its_id() -> None:
    assert np.array_equal(found(*TWO_KIDNEYS, "kidney_left").mask, box_mask(LEFT_KIDNEY))


@pytest.mark.parametrize("landmark", [True, False])
def test_sides_of_one_label_by_components(landmark: bool) -> None:
    labels, names = label_map(kidney=LEFT_KIDNEY, vertebrae_L1=SPINE)
    labels[RIGHT_KIDNEY] = 1
    if not landmark:
        labels[labels == 2] = 0
    assert np.array_equal(found(labels, names, "kidney", "right").mask, box_mask(RIGHT_KIDNEY))
    assert np.array_equal(found(labels, names, "kidney", "left").mask, box_mask(LEFT_KIDNEY))


def test_midline_comes_from_the_spine_not_from_the_crop() -> None:
    """In a crop of the right half, the right kidney lies left of the volume's middle."""
    labels, names = label_map(kidney=(slice(30, 50), *RIGHT_KIDNEY[1:]), vertebrae_L1=(slice(5, 15), *SPINE[1:]))
    assert found(labels, names, "kidney", "right").mask.any()
    assert region_mask(labels, names, AFFINE, structure="kidney", side="left") is None


def test_one_kidney_only() -> None:
    labels, names = label_map(kidney=RIGHT_KIDNEY)
    assert np.array_equal(found(labels, names, "kidney", "right").mask, box_mask(RIGHT_KIDNEY))
    assert region_mask(labels, names, AFFINE, structure="kidney", side="left") is None


def test_a_crop_around_one_kidney_gets_no_side() -> None:
    labels, names = label_map(kidney=(slice(50, 72), slice(20, 40), slice(20, 60)))
    region = found(labels, names, "kidney", "left")
    assert region.precision == "organ"
    assert region.mask.sum() == (labels == 1).sum()


def test_horseshoe_kidney_is_cut_at_the_midline() -> None:
    labels, names = label_map(
        kidney=(slice(20, 100), slice(20, 40), slice(20, 60)), spinal_cord=(slice(59, 62), slice(0, 5), slice(0, 80))
    )
    left, right = found(labels, names, "kidney", "left").mask, found(labels, names, "kidney", "right").mask
    assert not (left & right).any()
    assert abs(int(left.sum()) - int(right.sum())) <= 20 * 40
    assert np.argwhere(left)[:, 0].max() < np.argwhere(right)[:, 0].min()


@pytest.mark.parametrize("part", ["superior pole", "mid", "lower pole"])
def test_poles_are_thirds_of_each_kidney_by_itself(part: str) -> None:
    expected = {"superior pole": (2, 3), "mid": (1, 2), "lower pole": (0, 1)}[part]
    boxes = [
        (*box[:2], slice(box[2].start + expected[0] * 14, box[2].start + expected[1] * 14))
        for box in (LEFT_KIDNEY, RIGHT_KIDNEY)
    ]
    both = found(*TWO_KIDNEYS, "kidney", None, part)
    assert both.precision == "part"
    assert np.array_equal(both.mask, box_mask(*boxes))
    assert np.array_equal(found(*TWO_KIDNEYS, "kidney", "right", part).mask, box_mask(boxes[1]))


def test_poles_are_disjoint_and_complete() -> None:
    masks = [found(*TWO_KIDNEYS, "kidney", "left", part).mask for part in ("upper pole", "mid pole", "lower pole")]
    assert not any((a & b).any() for a, b in itertools.combinations(masks, 2))
    assert np.array_equal(np.logical_or.reduce(masks), box_mask(LEFT_KIDNEY))
    assert np.array_equal(found(*TWO_KIDNEYS, "kidney", "left", "upper pole", "mid pole").mask, masks[0] | masks[1])


LIVER = {f"liver_segment_{n}": (slice(10 * n, 10 * n + 10), slice(0, 60), slice(0, 20)) for n in range(1, 9)}


@pytest.mark.parametrize(
    ("part", "segments"),
    [
        ("segment 6", [6]),
        ("VI", [6]),
        ("right lobe", [5, 6, 7, 8]),
        ("left lobe", [2, 3, 4]),
        ("caudate lobe", [1]),
        ("segment 4a", [4]),
        ("dome", [4, 7, 8]),
    ],
)
def test_liver_parts_by_segment_labels(part: str, segments: list[int]) -> None:
    region = found(*label_map(**LIVER), "liver", None, part)
    assert region.precision == "part"
    assert np.array_equal(region.mask, box_mask(*(LIVER[f"liver_segment_{n}"] for n in segments)))


def test_liver_is_the_union_of_its_segments() -> None:
    assert found(*label_map(**LIVER), "liver").mask.sum() == 8 * 10 * 60 * 20


def test_left_of_an_unpaired_organ_is_its_left_lobe() -> None:
    labels, names = label_map(**LIVER)
    assert np.array_equal(
        found(labels, names, "liver", "left").mask, found(labels, names, "liver", None, "left lobe").mask
    )


@pytest.mark.parametrize("part", ["segment 6", "right lobe", "some corner"])
def test_parts_that_can_not_be_made_become_the_organ(part: str) -> None:
    labels, names = label_map(liver=(slice(40, 100), slice(0, 60), slice(40, 80)))
    region = found(labels, names, "liver", None, part)
    assert region.precision == "organ"
    assert region.mask.sum() == (labels == 1).sum()


def test_one_unknown_part_widens_the_whole_region() -> None:
    region = found(*TWO_KIDNEYS, "kidney", "left", "upper pole", "renal hilum")
    assert region.precision == "side"
    assert np.array_equal(region.mask, box_mask(LEFT_KIDNEY))


LUNGS = {
    "lung_upper_lobe_left": (slice(5, 50), slice(0, 60), slice(40, 80)),
    "lung_lower_lobe_left": (slice(5, 50), slice(0, 60), slice(0, 40)),
    "lung_upper_lobe_right": (slice(70, 115), slice(0, 60), slice(50, 80)),
    "lung_middle_lobe_right": (slice(70, 115), slice(0, 60), slice(30, 50)),
    "lung_lower_lobe_right": (slice(70, 115), slice(0, 60), slice(0, 30)),
}


@pytest.mark.parametrize(
    ("side", "part", "names"),
    [
        ("right", "upper lobe", ["lung_upper_lobe_right"]),
        ("right", "RML", ["lung_middle_lobe_right"]),
        ("left", "lower lobe", ["lung_lower_lobe_left"]),
        (None, "lower lobe", ["lung_lower_lobe_left", "lung_lower_lobe_right"]),
        ("left", "lingula", ["lung_upper_lobe_left"]),
    ],
)
def test_lobes(side: str | None, part: str, names: list[str]) -> None:
    region = found(*label_map(**LUNGS), "lung", side, part)
    assert region.precision == "part"
    assert np.array_equal(region.mask, box_mask(*(LUNGS[name] for name in names)))


def test_pancreas_parts_by_geometry_run_from_right_to_left() -> None:
    labels, names = label_map(pancreas=(slice(30, 90), slice(20, 26), slice(30, 36)))
    head, body, tail = (found(labels, names, "pancreas", None, part).mask for part in ("head", "body", "tail"))
    places = [np.argwhere(mask)[:, 0].mean() for mask in (head, body, tail)]
    assert places == sorted(places, reverse=True)
    assert np.array_equal(head | body | tail, labels == 1)
    assert not (head & tail).any()


def test_pancreas_parts_by_labels_win() -> None:
    labels, names = label_map(
        pancreas=(slice(30, 90), slice(20, 26), slice(30, 36)),
        pancreas_head=(slice(80, 90), slice(20, 26), slice(30, 36)),
    )
    region = found(labels, names, "pancreas", None, "head")
    assert region.mask.sum() == 10 * 6 * 6
    assert found(labels, names, "pancreas").mask.sum() == 60 * 6 * 6


def test_vertebra_levels() -> None:
    labels, names = label_map(
        vertebrae_L1=SPINE, vertebrae_L2=(slice(54, 66), slice(5, 20), slice(0, 10)), rib_left_4=LEFT_KIDNEY
    )
    assert np.array_equal(found(labels, names, "vertebra", None, "L2").mask, labels == 2)
    assert np.array_equal(found(labels, names, "bone", None, "L2").mask, labels == 2)
    assert np.array_equal(found(labels, names, "vertebra", None, "lumbar").mask, (labels == 1) | (labels == 2))
    assert np.array_equal(found(labels, names, "bone").mask, labels > 0)
    assert np.array_equal(found(labels, names, "bone", "left", "rib").mask, labels == 3)


def test_lesions_and_cysts_of_an_organ_belong_to_it() -> None:
    labels, names = label_map(
        kidney_left=LEFT_KIDNEY,
        kidney_cyst_left=(slice(20, 25), slice(20, 25), slice(20, 25)),
        kidney_tumour=(slice(40, 48), slice(25, 30), slice(30, 40)),
    )
    assert np.array_equal(found(labels, names, "kidney", "left").mask, labels > 0)


def test_spread_structures_are_not_their_labelled_parts() -> None:
    labels, names = label_map(iliopsoas_left=LEFT_KIDNEY)
    assert region_mask(labels, names, AFFINE, structure="soft_tissue") is None


def test_a_crop_of_one_limb_is_not_halved() -> None:
    labels, names = label_map(soft_tissue=(slice(5, 115), slice(5, 55), slice(0, 80)))
    region = found(labels, names, "soft_tissue", "left")
    assert region.precision == "organ"
    assert region.mask.sum() == labels.sum()


def test_missing_organ_is_none() -> None:
    labels, names = TWO_KIDNEYS
    assert region_mask(labels, names, AFFINE, structure="spleen") is None
    assert region_mask(np.zeros_like(labels), names, AFFINE, structure="kidney") is None
    assert region_mask(labels, {1: "odd thing"}, AFFINE, structure="kidney") is None


def test_label_values() -> None:
    names = {1: "kidney_left", 2: "kidney_right", 5: "kidney", 7: "spleen"}
    assert label_values(names, "kidney") == [1, 2, 5]
    assert label_values(names, "kidney", "left") == [1, 5]


def test_maps_must_be_canonical() -> None:
    with pytest.raises(InputError, match="canonical"):
        region_mask(*TWO_KIDNEYS, np.diag([-2.0, 2, 2, 1]), structure="kidney")


def test_unknown_structure() -> None:
    with pytest.raises(InputError, match="kidney"):
        region_mask(*TWO_KIDNEYS, AFFINE, structure="kidny")


def test_a_labelled_part_outside_the_volume_is_none() -> None:
    labels, names = label_map(**LUNGS)
    labels[labels == 3] = 0  # an abdominal CT: of the right lung only middle and lower lobe
    assert region_mask(labels, names, AFFINE, structure="lung", side="right", parts=("upper lobe",)) is None
    assert found(labels, names, "lung", "right", "upper lobe", "lower lobe").mask.sum() == (labels == 5).sum()


def test_an_empty_part_label_beside_a_label_of_the_organ_does_not_count() -> None:
    labels, names = label_map(pancreas=(slice(30, 90), slice(20, 26), slice(30, 36)))
    region = found(labels, {**names, 9: "pancreas_head"}, "pancreas", None, "head")
    assert region.precision == "part"
