import json
from pathlib import Path

import numpy as np
import pytest
from small_studies import LESION, ORGAN, REPORT, StudiesCsv, blank, image, lesion_map, organ_map, write

from dictamen.cohort.build import build_cohort
from dictamen.cohort.layouts import detect, read_source
from dictamen.cohort.layouts.dataset_json import label_table
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError


def both() -> np.ndarray:
    """One exclusive label map: kidney 1, tumour 2."""
    labels = organ_map()
    labels[LESION] = 2
    return labels


@pytest.fixture
def nnunet(tmp_path: Path) -> Path:
    root = tmp_path / "Dataset001_Kidney"
    for number in range(3):
        write(root / f"imagesTr/case_{number}_0000.nii.gz", image(number))
        write(root / f"labelsTr/case_{number}.nii.gz", both())
    write(root / "imagesTs/case_9_0000.nii.gz", image(9))
    labels = {"background": 0, "kidney": [1, 2], "tumor": 2}
    dataset = {"channel_names": {"0": "CT"}, "labels": labels, "regions_class_order": [1, 2], "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(dataset))
    (root / "reports.csv").write_text(f'study_id,report\ncase_9,"{REPORT}"\nnobody,text\n')
    return root


@pytest.fixture
def decathlon(tmp_path: Path) -> Path:
    root = tmp_path / "Task03"
    for number in range(2):
        write(root / f"imagesTr/liver_{number}.nii.gz", image(number))
        write(root / f"labelsTr/liver_{number}.nii.gz", both())
    (root / "imagesTr/._liver_0.nii.gz").write_bytes(b"mac")
    write(root / "imagesTs/liver_5.nii.gz", image(5))
    entries = [{"image": f"./imagesTr/liver_{n}.nii.gz", "label": f"./labelsTr/liver_{n}.nii.gz"} for n in range(2)]
    labels = {"0": "background", "1": "liver", "2": "cancer"}
    dataset = {"labels": labels, "training": entries, "test": ["./imagesTs/liver_5.nii.gz"], "modality": {"0": "CT"}}
    (root / "dataset.json").write_text(json.dumps(dataset))
    return root


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    root = tmp_path / "cases"
    for number in range(2):
        folder = root / f"s{number:04d}"
        write(folder / "ct.nii.gz", image(number))
        write(folder / "segmentations/liver.nii.gz", organ_map())
        write(folder / "segmentations/kidney_left.nii.gz", blank())
        write(folder / "segmentations/liver_lesion.nii.gz", lesion_map())
        write(folder / "segmentations/widget.nii.gz", blank())
    (root / "s0000" / "report.txt").write_text(REPORT)
    return root


def test_every_layout_is_found_out(nnunet: Path, decathlon: Path, cases: Path, good: StudiesCsv) -> None:
    assert [detect(path) for path in (nnunet, decathlon, cases, good.root, good.path)] == [
        "nnunet", "decathlon", "case_folders", "studies_csv", "studies_csv",
    ]  # fmt: skip


def test_nnunet(nnunet: Path, tmp_path: Path) -> None:
    result = build_cohort(nnunet, tmp_path / "out")
    assert result.built == ("case_0", "case_1", "case_2", "case_9")
    assert [(p.study_id, p.code) for p in result.problems if p.severity == "warning" and p.study_id == "nobody"]
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.info.organ_labels == {1: "kidney"}
    assert cohort.info.lesion_labels == {1: "tumor"}
    study = cohort.study("case_1")
    assert (study.level("organs", 0) == (both() > 0)[::-1, ::-1]).all()  # the kidney under the tumour is kidney
    assert (study.level("lesions", 0) == (both() == 2)[::-1, ::-1]).all()
    assert "case_9" in cohort.ids("test", having=("report",))


def test_a_report_speaks_of_lesions_where_a_case_of_nnunet_shows_none(nnunet: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        write(nnunet / f"labelsTr/case_{number}.nii.gz", np.minimum(both(), 1))
    (nnunet / "reports.csv").write_text(f'study_id,report\ncase_0,"{REPORT}"\ncase_1,"{REPORT}"\n')
    build_cohort(nnunet, tmp_path / "out")
    cohort = Cohort.open(tmp_path / "out")
    annotated = {study: cohort.study(study).lesion_names_annotated for study in ("case_0", "case_1", "case_2")}
    assert annotated == {"case_0": ("tumor",), "case_1": (), "case_2": ("tumor",)}
    assert "case_1" not in cohort.ids(having=("lesions",)) and "case_1" in cohort.ids(having=("organs", "report"))


def test_decathlon_restores_the_organ_under_its_lesions(decathlon: Path, tmp_path: Path) -> None:
    result = build_cohort(decathlon, tmp_path / "out")
    assert result.built == ("liver_0", "liver_1", "liver_5")
    study = Cohort.open(tmp_path / "out").study("liver_0")
    assert (study.level("organs", 0) == organ_map()[::-1, ::-1]).all()
    assert (study.level("lesions", 0) == lesion_map()[::-1, ::-1]).all()


def test_case_folders(cases: Path, tmp_path: Path) -> None:
    result = build_cohort(cases, tmp_path / "out")
    assert result.built == ("s0000", "s0001")
    assert {p.code for p in result.problems} == {"unknown_structure", "empty_mask", "study_without_report"}
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.ids(having=("report",)) == ["s0000"]
    study = cohort.study("s0001")
    assert study.organ_names_annotated == ("kidney_left", "liver")
    assert set(study.boxes) == {"organ:liver", "lesion:liver_lesion"}


def test_masks_in_folders_may_overlap_and_the_smaller_wins(studies: StudiesCsv) -> None:
    part = blank()
    part[ORGAN[0], ORGAN[1], 5:8] = 1
    write(studies.root / "masks/liver.nii.gz", organ_map())
    write(studies.root / "masks/liver_segment_6.nii.gz", part)
    studies.add("a", organs="masks")
    build_cohort(studies.path, studies.root / "out")
    cohort = Cohort.open(studies.root / "out")
    labels = cohort.study("a").level("organs", 0)
    values = {name: value for value, name in cohort.info.organ_labels.items()}
    assert (labels == values["liver_segment_6"]).sum() == part.sum()
    assert (labels > 0).sum() == organ_map().sum()


def test_names_come_from_the_header_where_no_table_gives_them(studies: StudiesCsv) -> None:
    (studies.root / "labels.json").unlink()
    write(studies.root / "organs/named.nii.gz", organ_map(), names={1: "kidney_left"})
    studies.add("a", organs="organs/named.nii.gz")
    build_cohort(studies.path, studies.root / "out")
    info = Cohort.open(studies.root / "out").info
    assert info.organ_labels == {1: "kidney_left"}
    assert info.lesion_labels == {1: "lesion"}


def test_one_file_for_organs_and_lesions(studies: StudiesCsv) -> None:
    studies.labels({"organs": {"1": "liver"}, "lesions": {"2": "liver_metastasis"}})
    write(studies.root / "both.nii.gz", both())
    studies.add("a", organs="both.nii.gz", lesions="both.nii.gz")
    assert build_cohort(studies.path, studies.root / "out").built == ("a",)
    study = Cohort.open(studies.root / "out").study("a")
    assert (study.level("organs", 0) > 0).sum() == organ_map().sum()


@pytest.mark.parametrize(
    ("labels", "organs", "lesions"),
    [
        ({"background": 0, "liver": 1, "liver_tumor": 2}, {1: "liver"}, {2: "liver_tumor"}),
        ({"0": "background", "1": "pancreas", "2": "cancer"}, {1: "pancreas"}, {2: "cancer"}),
        (
            {"background": 0, "kidney": [1, 2, 3], "kidney_lesion": [2, 3], "kidney_tumor": 2},
            {1: "kidney", 2: "kidney", 3: "kidney"},
            {2: "kidney_tumor", 3: "kidney_lesion"},
        ),
    ],
)
def test_tables_of_dataset_json(labels: dict, organs: dict, lesions: dict, tmp_path: Path) -> None:
    table = label_table({"labels": labels}, tmp_path)
    assert table.organs == organs
    assert table.lesions == lesions


def test_several_channels_are_refused(nnunet: Path) -> None:
    dataset = json.loads((nnunet / "dataset.json").read_text())
    (nnunet / "dataset.json").write_text(json.dumps({**dataset, "channel_names": {"0": "T1", "1": "T2"}}))
    with pytest.raises(InputError, match="several channels"):
        read_source(nnunet)


def test_unknown_layouts_and_empty_folders(tmp_path: Path, good: StudiesCsv) -> None:
    with pytest.raises(InputError, match="not known"):
        read_source(tmp_path / "source" / "images")
    with pytest.raises(InputError, match="does not exist"):
        read_source(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="layout"):
        read_source(good.root, layout="bids")
    with pytest.raises(InputError, match="no study"):
        read_source(good.root, layout="case_folders")


def test_studies_with_unknown_voxels_are_refused(nnunet: Path, tmp_path: Path) -> None:
    dataset = json.loads((nnunet / "dataset.json").read_text())
    (nnunet / "dataset.json").write_text(json.dumps({**dataset, "labels": {**dataset["labels"], "ignore": 3}}))
    labels = both()
    labels[0, 0, 0] = 3
    write(nnunet / "labelsTr/case_1.nii.gz", labels)
    result = build_cohort(nnunet, tmp_path / "out")
    assert result.built == ("case_0", "case_2", "case_9")
    assert {p.code for p in result.problems if p.study_id == "case_1"} >= {"unknown_label_value"}


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"labels": {"liver": "x"}}'])
def test_bad_dataset_json(nnunet: Path, content: str) -> None:
    (nnunet / "dataset.json").write_text(content)
    with pytest.raises(InputError):
        read_source(nnunet)
