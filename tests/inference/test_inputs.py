from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dictamen.cohort.study_ids import safe_id, unique_ids
from dictamen.errors import InputError, UsageError
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.inference.inputs import find_inputs


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def ids(path: Path, **options: object) -> list[str]:
    return [study.study_id for study in find_inputs(path, **options)]  # type: ignore[arg-type]


def test_one_file(tmp_path: Path) -> None:
    touch(tmp_path, "scan.v2.nii.gz", "other.nii")
    (study,) = find_inputs(tmp_path / "scan.v2.nii.gz")
    assert (study.study_id, study.image) == ("scan.v2", tmp_path / "scan.v2.nii.gz")


def test_a_folder_of_files(tmp_path: Path) -> None:
    assert ids(touch(tmp_path, "b.nii", "a.nii.gz", "notes.txt", "._a.nii.gz")) == ["a", "b"]


def test_other_formats_and_names_without_an_ending(tmp_path: Path) -> None:
    touch(tmp_path, "a.nrrd", "a.seg.nrrd", "b.MHA", "c.mhd", "c.raw", "d.nhdr", "notes", "README.md")
    for name in ("e", "study.17", "study.18"):
        write_volume(Volume(np.zeros((1, 2, 2, 2), np.uint8), np.eye(4)), tmp_path / "made.nii.gz")
        (tmp_path / "made.nii.gz").rename(tmp_path / name)
    assert sorted(ids(tmp_path)) == ["a", "b", "c", "d", "e", "study.17", "study.18"]
    assert ids(tmp_path / "study.17") == ["study.17"]
    with pytest.raises(InputError, match="no image of a known format"):
        find_inputs(tmp_path / "notes")


def test_nnunet_images(tmp_path: Path) -> None:
    assert ids(touch(tmp_path, "case_1_0000.nii.gz", "case_2_0000.nii.gz", "case_2_0001.nii.gz")) == [
        "case_1",
        "case_2",
    ]


def test_case_folders_at_any_depth_without_their_masks(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "p1/ct.nii.gz",
        "p1/segmentations/liver.nii.gz",
        "p1/other.nii.gz",
        "site/p2/ct.nii",
        "masks/p1.nii.gz",
    )
    assert ids(tmp_path) == ["p1", "p2"]
    assert ids(tmp_path / "p1") == ["p1"]
    assert ids(tmp_path / "p1" / "ct.nii.gz") == ["p1"]


def test_same_names_in_two_folders_stay_apart(tmp_path: Path) -> None:
    found = ids(touch(tmp_path, "a/x.nii.gz", "b/x.nii.gz", "b/y.nii.gz", "x.nii"))
    assert found == ["x", "a_x", "b_x", "y"]


def test_the_output_inside_the_input_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "x.nii.gz", "out/x.nii.gz")
    assert ids(tmp_path, leave_out=tmp_path / "out") == ["x"]


def test_a_table_with_splits_and_its_problems(tmp_path: Path) -> None:
    touch(tmp_path, "i/a.nii.gz", "i/b.nii.gz")
    (tmp_path / "studies.csv").write_text("study_id,image,split\na,i/a.nii.gz,test\nb,i/b.nii.gz,train\nc,,\n")
    assert ids(tmp_path, split="test")[0] == "a"
    found = {study.study_id: study for study in find_inputs(tmp_path / "studies.csv")}
    assert set(found) == {"a", "b", "c"}
    assert found["c"].error is not None


@pytest.mark.parametrize("name", ["nothing", "empty", "file.txt"])
def test_no_study(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(InputError, match="input"):
        find_inputs(tmp_path / name)


def test_splits_need_an_input_that_has_them(tmp_path: Path) -> None:
    touch(tmp_path, "x.nii.gz")
    with pytest.raises(UsageError, match="no such split"):
        find_inputs(tmp_path, split="testing")
    with pytest.raises(UsageError, match="no splits"):
        find_inputs(tmp_path, split="test")


@given(
    st.lists(
        st.tuples(st.sampled_from(["x", "X", "a_x", "x_2", "a:x"]), st.sampled_from(["x", "a_x", "b_x", "x_2"])),
        max_size=12,
    )
)
def test_ids_are_unique_safe_and_as_many_as_given(names: list[tuple[str, str]]) -> None:
    found = unique_ids(names)
    assert len(found) == len(names)
    assert len({study_id.casefold() for study_id in found}) == len(names)
    assert all(safe_id(study_id) == study_id for study_id in found)


def test_ids_can_be_file_names() -> None:
    assert safe_id("a/b\\c:d") == "a_b_c_d"
    assert safe_id("..") == "._" or "/" not in safe_id("..")


def test_a_number_like_a_channel_is_part_of_the_name_where_no_first_channel_is(tmp_path: Path) -> None:
    assert ids(touch(tmp_path, "patient_0001.nii.gz", "patient_0010.nii.gz")) == ["patient_0001", "patient_0010"]
