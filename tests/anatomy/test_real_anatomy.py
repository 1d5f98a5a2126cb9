"""Regions of a real CT with TotalSegmentator's labels: sides, lobes and volumes as in a patient."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dictamen.anatomy.regions import region_mask
from dictamen.anatomy.totalsegmentator import CLASS_NAMES

SHARED = Path(os.environ.get("DICTAMEN_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
EXAMPLE = SHARED / "ct" / "totalsegmentator" / "example_seg_117cls.nii.gz"

pytestmark = pytest.mark.skipif(not EXAMPLE.exists(), reason="the shared CTs are not here")


@pytest.fixture(scope="module")
def example() -> tuple[np.ndarray, np.ndarray]:
    image = nib.as_closest_canonical(nib.load(EXAMPLE))
    return np.asanyarray(image.dataobj), image.affine


def measure(
    example: tuple[np.ndarray, np.ndarray], structure: str, side: str | None = None, *parts: str
) -> tuple[float, np.ndarray]:
    """Volume in ml and centre in mm (RAS+)."""
    labels, affine = example
    region = region_mask(labels, CLASS_NAMES, affine, structure=structure, side=side, parts=parts)
    assert region is not None
    centre = affine[:3, :3] @ np.argwhere(region.mask).mean(axis=0) + affine[:3, 3]
    return float(region.mask.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000), centre


@pytest.mark.parametrize(
    ("structure", "side", "smallest_ml", "largest_ml"),
    [
        ("liver", None, 800, 2500),
        ("kidney", "left", 80, 300),
        ("kidney", "right", 80, 300),
        ("spleen", None, 80, 500),
        ("pancreas", None, 10, 150),
        ("vertebra", None, 200, 1500),
    ],
)
def test_plausible_volumes(
    example: tuple[np.ndarray, np.ndarray], structure: str, side: str | None, smallest_ml: float, largest_ml: float
) -> None:
    assert smallest_ml < measure(example, structure, side)[0] < largest_ml


@pytest.mark.parametrize("structure", ["kidney", "lung", "adrenal_gland", "rib", "femur", "iliopsoas", "bone"])
def test_left_is_at_the_patients_left(example: tuple[np.ndarray, np.ndarray], structure: str) -> None:
    spine = measure(example, "vertebra")[1]
    assert measure(example, structure, "left")[1][0] < spine[0] < measure(example, structure, "right")[1][0]


def test_lobes_lie_within_their_lung(example: tuple[np.ndarray, np.ndarray]) -> None:
    left = measure(example, "lung", "left")[0]
    assert sum(measure(example, "lung", "left", part)[0] for part in ("upper lobe", "lower lobe")) == pytest.approx(
        left
    )


def test_poles_go_up_and_pancreas_goes_left(example: tuple[np.ndarray, np.ndarray]) -> None:
    for side in ("left", "right"):
        heights = [measure(example, "kidney", side, part)[1][2] for part in ("lower pole", "mid pole", "upper pole")]
        assert heights == sorted(heights)
    rights = [measure(example, "pancreas", None, part)[1][0] for part in ("tail", "body", "head")]
    assert rights == sorted(rights)


def test_sides_of_a_joined_label_equal_the_labelled_sides(example: tuple[np.ndarray, np.ndarray]) -> None:
    labels, affine = example
    values = {name: value for value, name in CLASS_NAMES.items()}
    joined = np.isin(labels, [values["kidney_left"], values["kidney_right"]]).astype(np.uint8)
    for side in ("left", "right"):
        region = region_mask(joined, {1: "kidney"}, affine, structure="kidney", side=side)
        assert region is not None
        assert np.array_equal(region.mask, labels == values[f"kidney_{side}"])
