"""Masks of any tool: what its folders look like, and on which grid."""

import json
from pathlib import Path

import numpy as np
import pytest

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.review.mask_folder import MaskFolder
from dictamen.review.masks import MaskSource, only_label

AFFINE = np.diag([-2.0, -2.0, 2.0, 1.0])
SHAPE = (20, 18, 24)


def box(*corners: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, dtype=np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(corners[::2], corners[1::2], strict=True))] = 1
    return mask


LEFT, RIGHT = box(3, 8, 4, 12, 5, 15), box(12, 17, 4, 12, 5, 15)
BOTH = LEFT + 2 * RIGHT


def written(array: np.ndarray, path: Path, names: dict[int, str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(array.astype(np.uint8)[None], AFFINE), path, label_names=names)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Two studies without any mask of their own."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("a", "b"):
        write_volume(Volume(np.zeros((1, *SHAPE), dtype=np.int16), AFFINE), folder / f"{name}.nii.gz")
    (folder / "studies.csv").write_text("study_id,image\na,a.nii.gz\nb,b.nii.gz\n", encoding="utf-8")
    build_cohort(folder / "studies.csv", folder / "cohort", spacing_mm=2.0)
    return Cohort.open(folder / "cohort")


def test_label_maps_with_the_table_of_each_tool(tmp_path: Path) -> None:
    written(BOTH, tmp_path / "ours" / "a.nii.gz")
    (tmp_path / "ours" / "labels.json").write_text('{"labels": {"1": "Left Kidney", "2": "kidney_right"}}')
    written(BOTH, tmp_path / "nnunet" / "a.nii.gz")
    table = {"background": 0, "kidney": [1, 2], "kidney_left": 1, "ignore": 3}
    (tmp_path / "nnunet" / "dataset.json").write_text(json.dumps({"labels": table, "file_ending": ".nii.gz"}))
    written(BOTH, tmp_path / "header" / "a.nii.gz", {1: "kidney_left", 2: "kidney_right"})
    for name, labels in {
        "ours": ("kidney_left", "kidney_right"),
        "nnunet": ("kidney", "kidney_left"),
        "header": ("kidney_left", "kidney_right"),
    }.items():
        found = MaskFolder.open(tmp_path / name)
        assert (found.labels, found.studies) == (labels, {"a"})
        left = found.read("a", "kidney_left")
        assert left is not None and np.array_equal(left.array[0], LEFT == 1)
        assert found.read("a", "liver") is None and found.read("b", "kidney_left") is None
    whole = MaskFolder.open(tmp_path / "nnunet").read("a", "kidney")
    assert whole is not None and np.array_equal(whole.array[0], BOTH > 0)


@pytest.mark.parametrize("inner", ["", "segmentations"])
def test_one_mask_a_structure(tmp_path: Path, inner: str) -> None:
    written(LEFT, tmp_path / "a" / inner / "kidney_left.nii.gz")
    written(np.zeros(SHAPE), tmp_path / "a" / inner / "kidney_right.nii.gz")
    written(LEFT, tmp_path / "a" / "ct.nii.gz")
    found = MaskFolder.open(tmp_path)
    assert found.labels == ("kidney_left", "kidney_right")
    left = found.read("a", "kidney_left")
    assert left is not None and np.array_equal(left.array[0], LEFT == 1)


def test_a_mask_without_a_name_is_what_the_user_says(tmp_path: Path, cohort: Cohort) -> None:
    written(LEFT, tmp_path / "a.nii.gz")
    written(BOTH, tmp_path / "b.nii.gz")
    source = MaskSource(cohort, tmp_path)
    with pytest.raises(UsageError, match="Which label"):
        only_label(source, None, set())
    label = only_label(source, "left kidney", set())
    seen = source.mask("a", label)
    assert seen is not None and (label, int(seen.mask.sum())) == ("kidney_left", int(LEFT.sum()))
    with pytest.raises(InputError, match="Nothing says what the numbers"):
        source.mask("b", label)


def test_masks_come_on_their_own_grid(tmp_path: Path, cohort: Cohort) -> None:
    # axes in another order, thick slices, turned by 20 degrees: the ball is where it is in millimetres
    turn, scale = np.deg2rad(20), np.diag([1.5, 1.2, 4.0])
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = (rotation @ scale)[:, [2, 0, 1]]
    shape = (16, 56, 56)
    middle = np.array([-20.0, -16.0, 24.0])
    affine[:3, 3] = middle - affine[:3, :3] @ (np.array(shape) / 2)
    place = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) @ affine[:3, :3].T + affine[:3, 3]
    ball = (np.linalg.norm(place - middle, axis=-1) < 12).astype(np.uint8)
    write_volume(Volume(ball[None], affine), tmp_path / "a.nii.gz", label_names={1: "spleen"})
    source = MaskSource(cohort, tmp_path)
    seen, native = source.mask("a", "spleen"), source.native("a", "spleen")
    assert seen is not None and native is not None
    assert native.shape == shape and np.allclose(native.affine, affine, atol=1e-5)
    centre = seen.affine[:3, :3] @ np.argwhere(seen.mask).mean(axis=0) + seen.affine[:3, 3]
    assert np.allclose(centre, middle, atol=1.0)
    volume = np.count_nonzero(seen.mask) * abs(np.linalg.det(seen.affine[:3, :3]))
    assert volume == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.1)


def test_what_is_wrong_is_told(tmp_path: Path, cohort: Cohort) -> None:
    with pytest.raises(InputError, match="no folder of masks"):
        MaskFolder.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no mask"):
        MaskFolder.open(tmp_path / "empty")
    written(LEFT, tmp_path / "other" / "patient7.nii.gz")
    with pytest.raises(InputError, match="name of a study"):
        MaskSource(cohort, tmp_path / "other")
    written(LEFT, tmp_path / "torn" / "a.nii.gz")
    (tmp_path / "torn" / "dataset.json").write_text("{")
    with pytest.raises(InputError, match="can't be read"):
        MaskFolder.open(tmp_path / "torn")
    (tmp_path / "torn" / "dataset.json").write_text("[]")
    with pytest.raises(InputError, match="missing"):
        MaskFolder.open(tmp_path / "torn")


def test_regions_where_two_tools_differ_belong_to_both_masks(tmp_path: Path, cohort: Cohort) -> None:
    names = {1: "spleen"}
    written(LEFT, tmp_path / "one" / "a.nii.gz", names)
    written(LEFT | box(8, 11, 4, 12, 5, 15), tmp_path / "two" / "a.nii.gz", names)
    written(LEFT | box(8, 10, 4, 12, 5, 15), tmp_path / "three" / "a.nii.gz", names)
    scheme = RegionScheme("disagreement")
    alone = MaskSource(cohort, tmp_path / "one").mask("a", "spleen")
    versions = set()
    for name in ("two", "three"):
        seen = MaskSource(cohort, tmp_path / "one", tmp_path / name).mask("a", "spleen")
        assert alone is not None and seen is not None and seen.other is not None
        assert np.array_equal(seen.regions(scheme) > 0, seen.mask ^ seen.other) and seen.regions(scheme).max() == 1
        assert seen.version(RegionScheme()) == alone.sha256
        versions.add(seen.version(scheme))
    assert len(versions) == 2 and alone.sha256 not in versions  # type: ignore[union-attr]
