"""SEG and SR: every series of the matrix out and back, checked by dciodvfy; nothing of the patient where asked."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread
from synthetic_dicom import ACCESSION, BIRTH_DATE, PATIENT_ID, PATIENT_NAME, Scan, enhanced, uid, write
from test_dicom_series import GOOD

from dictamen.errors import InputError
from dictamen.imaging.dicom.deidentify import DUMMY_TIMES, Deidentifier, check_no_identity, mark_deidentified
from dictamen.imaging.dicom.measurements import Measured, make_report
from dictamen.imaging.dicom.segmentation import (
    Algorithm,
    Form,
    Segment,
    make_segmentation,
    read_segmentation,
    source_of,
    write_dataset,
)
from dictamen.imaging.dicom.series import Series, choose, find_series
from dictamen.imaging.dicom.volume import read_series
from dictamen.imaging.volume import Volume

ALGORITHM = Algorithm("dictamen unet", "0123456789ab")
SEGMENTS = [
    Segment(3, "kidney_left", "kidney_left", "left"),
    Segment(7, "liver", "liver"),
    Segment(9, "kidney_tumour 1", "kidney", "left", "kidney_tumour", "1.2.840.99999.1"),
]
SECRETS = (*PATIENT_NAME.split("^"), PATIENT_ID, BIRTH_DATE, ACCESSION, "Panza", "Mancha", "20200102", "030405")
MISSING_IN_DICOMDIR = "needed to build DICOMDIR"
"""dciodvfy warns of empty values that only an index on a CD would want."""


def series_at(path: Path) -> Series:
    return choose(find_series(path).series, where="test")


def label_map(shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    labels = np.zeros(shape, np.uint8)
    labels[2:6, 3:7, 1:4] = 3
    labels[8:11, 2:9, 0:6] = 7
    labels[3:5, 4:6, 2:4] = 9
    return labels


def objects(path: Path, *, form: Form = "binary", deidentify: bool = False) -> tuple[Volume, Dataset, Dataset, Dataset]:
    """The volume of a series, its SEG, its SR, and a header as it came."""
    series = series_at(path)
    volume = read_series(series)
    source = source_of(series, series.stacked("test"))
    original = source.headers[0]
    if deidentify:
        source = replace(source, headers=tuple(map(Deidentifier().header, source.headers)))
    seg = make_segmentation(label_map(volume.shape), SEGMENTS, source, algorithm=ALGORITHM, form=form)
    lesion = Measured(SEGMENTS[2], 3, 12.344, 8.0, 9.5, 512.0, 44.4)
    sr = make_report([lesion], seg, source, algorithm=ALGORITHM)
    for made in (seg, sr) if deidentify else ():
        mark_deidentified(made)
        check_no_identity(made, original)
    return volume, seg, sr, original


def complaints(made: Dataset, path: Path) -> list[str]:
    """What dciodvfy calls errors."""
    write_dataset(made, path)
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert any(line in ("Segmentation", "Comprehensive3DSR") for line in said) or said
    return [line for line in said if line.startswith("Error")]


@pytest.mark.parametrize("name", GOOD)
def test_each_series_goes_out_and_comes_back(name: str, tmp_path: Path) -> None:
    scan, make = GOOD[name]
    volume, seg, sr, _ = objects(make(scan, tmp_path / "scan"))
    write_dataset(seg, tmp_path / "seg.dcm")
    back, names = read_segmentation(tmp_path / "seg.dcm", volume)
    assert names == {1: "kidney_left", 2: "liver", 3: "kidney_tumour 1"}
    assert np.array_equal(back.array[0], np.array([0, 0, 0, 1, 0, 0, 0, 2, 0, 3])[label_map(volume.shape)])
    assert complaints(seg, tmp_path / "seg.dcm") == []
    assert complaints(sr, tmp_path / "sr.dcm") == []


@pytest.mark.parametrize("form", ["binary", "labelmap"])
@pytest.mark.parametrize("multi_frame", [False, True])
def test_highdicom_reads_the_same_mask_at_the_same_place(form: Form, multi_frame: bool, tmp_path: Path) -> None:
    import highdicom as hd

    scan = Scan()
    folder = write(tmp_path / "in", [enhanced(scan, (3, 0, 6, 1, 5, 2, 4))]) if multi_frame else scan.write(tmp_path)
    volume, seg, _, _ = objects(folder, form=form)
    write_dataset(seg, tmp_path / "seg.dcm")
    theirs = hd.seg.segread(tmp_path / "seg.dcm").get_volume(combine_segments=True, relabel=True)
    points = np.argwhere(theirs.array == 3) @ theirs.affine[:3, :3].T + theirs.affine[:3, 3]
    ours = np.argwhere(label_map(volume.shape) == 9) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    assert np.allclose(points.mean(0) * (-1, -1, 1), ours.mean(0), atol=1e-4)
    assert len(points) == len(ours)


def test_a_label_map_has_the_codes_of_the_standard_although_the_validator_is_older(tmp_path: Path) -> None:
    """dicom3tools of 2022 doesn't know Label Map Segmentation Storage (Supplement 243, 2024)."""
    _, seg, _, _ = objects(Scan().write(tmp_path / "in"), form="labelmap")
    assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    errors = complaints(seg, tmp_path / "seg.dcm")
    assert all("SegmentNumber of 0" in error or "Object Not found" in error for error in errors), errors


def test_segments_are_coded_and_tracked() -> None:
    seg = _seg()
    kidney, liver, tumour = seg.SegmentSequence
    assert kidney.SegmentedPropertyTypeCodeSequence[0].CodeValue == "64033007"
    side = kidney.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert (side.CodeValue, side.CodeMeaning) == ("7771000", "Left")
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"
    assert tumour.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Mass"
    assert tumour.AnatomicRegionSequence[0].CodeValue == "64033007"
    assert tumour.TrackingUID == SEGMENTS[2].tracking_uid
    assert {one.SegmentAlgorithmType for one in seg.SegmentSequence} == {"AUTOMATIC"}


def test_the_report_says_what_was_measured_where(tmp_path: Path) -> None:
    import highdicom as hd

    _, seg, sr, _ = objects(Scan().write(tmp_path / "in"))
    write_dataset(sr, tmp_path / "sr.dcm")
    content = hd.sr.Comprehensive3DSR.from_dataset(dcmread(tmp_path / "sr.dcm")).content
    (group,) = content.get_volumetric_roi_measurement_groups()
    assert group.tracking_uid == SEGMENTS[2].tracking_uid
    assert group.finding_sites[0].value.meaning == "Kidney"
    assert group.finding_sites[0].laterality.meaning == "Left"
    found = {one.name.meaning: (one.value, one.unit.value) for one in group.get_measurements()}
    assert found == {
        "Long Axis": (12.34, "mm"),
        "Short Axis": (8.0, "mm"),
        "Height": (9.5, "mm"),
        "Volume": (512.0, "mm3"),
        "Attenuation Coefficient": (44.4, "[hnsf'U]"),
    }
    assert group.referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID


def test_a_report_of_nothing_is_valid_too(tmp_path: Path) -> None:
    series = series_at(Scan().write(tmp_path / "in"))
    sr = make_report([], None, source_of(series, series.stacked("test")), algorithm=ALGORITHM)
    assert "Not detected" in str(sr)
    assert complaints(sr, tmp_path / "sr.dcm") == []


def test_the_same_prediction_has_the_same_identifiers(tmp_path: Path) -> None:
    folder = Scan().write(tmp_path / "in")
    assert [one.SOPInstanceUID for one in objects(folder)[1:3]] == [one.SOPInstanceUID for one in objects(folder)[1:3]]


def test_the_study_stays_with_its_patient() -> None:
    seg = _seg()
    assert (seg.PatientID, seg.StudyInstanceUID) == (PATIENT_ID, uid("study", "1"))


@pytest.mark.parametrize("multi_frame", [False, True])
def test_deidentified_objects_hold_nothing_of_the_patient(multi_frame: bool, tmp_path: Path) -> None:
    scan = Scan()
    folder = write(tmp_path / "in", [enhanced(scan)]) if multi_frame else scan.write(tmp_path / "in")
    volume, *made, _ = objects(folder, deidentify=True)
    originals = {str(element.value) for one in scan.datasets() for element in one if element.VR == "UI"}
    for number, one in enumerate(made):
        path = tmp_path / f"{number}.dcm"
        assert complaints(one, path) == []
        data = path.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in data]
        kept = {str(e.value) for e in one.iterall() if e.VR == "UI"} & originals
        assert kept <= {str(scan.dataset(0).SOPClassUID), str(enhanced(scan).SOPClassUID)}
        assert one.PatientIdentityRemoved == "YES"
        assert one.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    seg, sr = made
    assert seg.StudyInstanceUID == sr.StudyInstanceUID
    assert seg.FrameOfReferenceUID != uid("frame", "1")
    back, _ = read_segmentation(tmp_path / "0.dcm", volume)
    assert (back.array[0] == 3).sum() == (label_map(volume.shape) == 9).sum()


def test_what_the_profile_removes_is_empty_or_ours(tmp_path: Path) -> None:
    """By the table of PS3.15 E.1-1 as another project keeps it."""
    database = pytest.importorskip("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
    named: set[Any] = {
        tag for name in dir(database) if name.endswith("_TAGS") for tag in getattr(database, name) if len(tag) == 2
    }
    assert (0x0010, 0x0010) in named and len(named) > 300
    ours = {"dictamen segmentation", "dictamen measurements", ALGORITHM.model, "Automatic; research use only"}
    # of highdicom
    ours |= {"Software library used to create this instance", "Acquisition equipment of the source image(s)"}
    for made in objects(Scan().write(tmp_path / "in"), deidentify=True)[1:3]:
        for element in made.iterall():
            if (element.tag.group, element.tag.element) in named and element.VR not in ("UI", "SQ"):
                value = str(element.value)
                assert value in ("", "None") or value in ours or value == DUMMY_TIMES.get(element.VR), element.name


def test_a_leak_is_refused() -> None:
    seg = _seg()
    with pytest.raises(InputError, match="something of the patient") as refused:
        check_no_identity(seg, Scan().dataset(0))
    assert PATIENT_ID not in str(refused.value)


def test_headers_with_odd_values_are_taken_over_or_refused(tmp_path: Path) -> None:
    def odd(slices: list[Dataset]) -> list[Dataset]:
        for one in slices:
            one.PatientSex = "X"
            del one.AccessionNumber
        return slices

    _, seg, sr, _ = objects(Scan().write(tmp_path / "in", odd))
    assert seg.PatientSex == sr.PatientSex == ""
    assert complaints(seg, tmp_path / "seg.dcm") == complaints(sr, tmp_path / "sr.dcm") == []


def test_nothing_segmented_and_a_grid_that_is_not_the_images(tmp_path: Path) -> None:
    series = series_at(Scan().write(tmp_path / "in"))
    source = source_of(series, series.stacked("test"))
    with pytest.raises(InputError, match="Nothing was segmented"):
        make_segmentation(np.zeros((14, 12, 7), np.uint8), [], source, algorithm=ALGORITHM)
    volume, seg, _, _ = objects(tmp_path / "in")
    write_dataset(seg, tmp_path / "seg.dcm")
    moved = volume.affine.copy()
    moved[0, 3] += 1
    with pytest.raises(InputError, match="lies on no slice"):
        read_segmentation(tmp_path / "seg.dcm", Volume(volume.array, moved))
    with pytest.raises(InputError, match="not on the grid"):
        read_segmentation(tmp_path / "seg.dcm", Volume(volume.array[:, :-1], volume.affine))
    with pytest.raises(InputError, match="no DICOM SEG"):
        read_segmentation(next((tmp_path / "in").iterdir()), volume)


def _seg() -> Dataset:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return objects(Scan().write(Path(folder)))[1]


def test_a_real_series_goes_out_and_comes_back(tmp_path: Path) -> None:
    """Five slices of a CT that pydicom ships."""
    import pydicom

    folder = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests" / "98892001" / "CT5N"
    volume, seg, sr, _ = objects(folder)
    write_dataset(seg, tmp_path / "seg.dcm")
    back, _ = read_segmentation(tmp_path / "seg.dcm", volume)
    assert np.array_equal(back.array[0] == 2, label_map(volume.shape) == 7)
    assert complaints(seg, tmp_path / "seg.dcm") == complaints(sr, tmp_path / "sr.dcm") == []
