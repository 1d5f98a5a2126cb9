"""TotalSegmentator's class table and case folders."""

from pathlib import Path

from dictamen.anatomy.totalsegmentator import CLASS_NAMES, mask_stem, structure_of


def test_class_table() -> None:
    assert list(CLASS_NAMES) == list(range(1, 118))
    assert (CLASS_NAMES[1], CLASS_NAMES[3], CLASS_NAMES[117]) == ("spleen", "kidney_left", "costal_cartilages")
    assert len(set(CLASS_NAMES.values())) == 117


def test_files_of_a_case_folder() -> None:
    assert mask_stem(Path("case/segmentations/lung_upper_lobe_left.nii.gz")) == "lung_upper_lobe_left"
    assert mask_stem("a.b.NII") == "a.b"
    structure = structure_of("case/segmentations/kidney_left.nii.gz")
    assert structure is not None and structure.id == "kidney_left"
    assert structure_of("case/segmentations/notes.nii.gz") is None
