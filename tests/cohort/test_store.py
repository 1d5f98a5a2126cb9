import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError
from dictamen.imaging import geometry
from dictamen.imaging.nifti import read_volume

Triple = tuple[int, int, int]


@pytest.fixture(scope="module")
def cohort(shared_cohort: tuple[Path, Path]) -> Cohort:
    return Cohort.open(shared_cohort[1])


def reference(level: np.ndarray, start: Triple, size: Triple, fill: int) -> np.ndarray:
    """Pad by more than any start, then slice."""
    far = 120
    padded = np.pad(level, far, constant_values=fill)
    return padded[tuple(slice(s + far, s + far + n) for s, n in zip(start, size, strict=True))]


@settings(max_examples=20, deadline=None)
@given(start=st.tuples(*[st.integers(-50, 60)] * 3), size=st.tuples(*[st.integers(1, 60)] * 3))
def test_patches_equal_slices_of_the_padded_level(cohort: Cohort, start: Triple, size: Triple) -> None:
    study = cohort.study("a")
    for kind, fill in (("image", -1024), ("organs", 0), ("lesions", 0)):
        patch = study.patch(kind, start, size)
        assert patch.shape == size
        assert (patch == reference(study.level(kind, 1), start, size, fill)).all()


def test_level_0_is_the_file_in_ras(cohort: Cohort, shared_cohort: tuple[Path, Path]) -> None:
    for name in "abcd":
        original = geometry.to_canonical(read_volume(shared_cohort[0] / f"images/{name}.nii.gz"))
        study = cohort.study(name)
        assert (study.level("image", 0) == original.array[0]).all()
        assert np.allclose(study.native_affine, original.affine)
        assert study.level("image", 0).dtype == np.int16


def test_level_1_is_resampled_to_the_cohort_s_spacing(cohort: Cohort, shared_cohort: tuple[Path, Path]) -> None:
    study = cohort.study("b")
    original = geometry.to_canonical(read_volume(shared_cohort[0] / "images/b.nii.gz"))
    expected = geometry.resample(original, spacing_mm=(2, 2, 2))
    assert study.spacing_mm == pytest.approx((2, 2, 2))
    assert study.shape == expected.shape == study.level("organs", 1).shape
    assert (study.level("image", 1) == expected.array[0]).all()
    assert np.allclose(study.affine, expected.affine)


def test_boxes_enclose_the_labels(cohort: Cohort) -> None:
    study = cohort.study("a")
    for name, kind in (("organ:liver", "organs"), ("lesion:liver_lesion", "lesions")):
        where = np.argwhere(study.level(kind, 1) == 1)
        assert study.boxes[name].tolist() == [where.min(0).tolist(), (where.max(0) + 1).tolist()]
    assert study.component_boxes["lesion:liver_lesion"].shape == (1, 2, 3)
    assert study.component_boxes["lesion:liver_lesion"][0].tolist() == study.boxes["lesion:liver_lesion"].tolist()


def test_a_study_without_masks_gives_zeros_that_mean_nothing(cohort: Cohort) -> None:
    study = cohort.study("e")
    assert not study.has("lesions")
    assert study.lesion_names_annotated == study.organ_names_annotated == ()
    assert not study.patch("lesions", (0, 0, 0), (4, 4, 4)).any()
    assert study.level("organs", 0).shape == study.level("image", 0).shape
    assert cohort.study("a").lesion_names_annotated == ("liver_lesion",)


def test_ids_by_split_and_by_what_they_have(cohort: Cohort) -> None:
    assert cohort.ids() == list("abcde")
    assert cohort.ids(having=("lesions", "report")) == list("abcd")
    assert sorted(name for split in ("train", "val", "test") for name in cohort.ids(split)) == list("abcde")
    with pytest.raises(UsageError, match="split"):
        cohort.ids("validation")
    with pytest.raises(UsageError, match="having"):
        cohort.ids(having=("masks",))


def test_findings_and_reports(cohort: Cohort) -> None:
    findings = cohort.findings("a")
    assert findings is not None
    assert findings.findings[0].structure == "liver"
    assert cohort.findings("e") is None
    assert "cyst" in (cohort.report("a") or "")
    assert cohort.report("e") is None


def test_info(cohort: Cohort) -> None:
    assert cohort.info.spacing_mm == (2, 2, 2)
    assert cohort.info.organ_labels == {1: "liver"}
    assert cohort.info.lesion_labels == {1: "liver_lesion"}


def test_a_cohort_can_be_sent_to_another_process(cohort: Cohort) -> None:
    before = cohort.study("a").patch("image", (0, 0, 0), (8, 8, 8))
    study = pickle.loads(pickle.dumps(cohort.study("a")))
    other = pickle.loads(pickle.dumps(cohort))
    assert (study.patch("image", (0, 0, 0), (8, 8, 8)) == before).all()
    assert (other.study("a").patch("image", (0, 0, 0), (8, 8, 8)) == before).all()


def test_what_is_not_there(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such study"):
        cohort.study("nobody")
    with pytest.raises(UsageError, match="no such array"):
        cohort.study("a").patch("masks", (0, 0, 0), (1, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no cohort"):
        Cohort.open(tmp_path)
