"""Segmentations for 3D Slicer, read by ITK and by ourselves."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from dictamen.errors import InputError
from dictamen.imaging.read import read_image_header, read_label_map
from dictamen.imaging.slicer import Segment, write_segmentation
from dictamen.imaging.volume import Volume

SEGMENTS = {
    1: Segment("kidney", (70, 160, 255)),
    2: Segment("kidney_tumour", (255, 0, 0)),
    7: Segment("milz \\ Rate\nzwei", (0, 0, 0)),
}


def oblique(kind: str) -> Volume:
    rng = np.random.default_rng(0)
    labels = np.zeros((9, 8, 7), dtype=kind)
    labels[2:5, 1:4, 3:6], labels[4:8, 3:6, 0:2] = 1, 2
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * (0.7, 0.8, 2.5)
    affine[:3, 3] = (-100.25, 30.5, 7)
    return Volume(labels[None], affine, "S1")


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_itk_and_we_read_the_same_labels_at_the_same_place(tmp_path: Path, kind: str) -> None:
    volume, path = oblique(kind), tmp_path / "a.seg.nrrd"
    write_segmentation(volume, path, segments=SEGMENTS)
    ours, header = read_label_map(path), read_image_header(path)
    assert np.array_equal(ours.array, volume.array)
    assert np.allclose(ours.affine, volume.affine, atol=1e-9)
    assert header.label_names is not None and header.label_names[2] == "kidney_tumour"
    image = SimpleITK.ReadImage(str(path))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).T, volume.array[0])
    point = np.diag([-1, -1, 1, 1]) @ volume.affine @ (4, 3, 2, 1)
    assert np.allclose(image.TransformIndexToPhysicalPoint((4, 3, 2)), point[:3])


def test_each_segment_has_name_colour_and_extent(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(oblique("u1"), path, segments=SEGMENTS)
    image = SimpleITK.ReadImage(str(path))
    said = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert said["Segment0_Name"] == "kidney" and said["Segment1_LabelValue"] == "2"
    assert said["Segment0_Extent"] == "2 4 1 3 3 5" and said["Segment2_Extent"] == "0 -1 0 -1 0 -1"
    assert [float(part) for part in said["Segment0_Color"].split()] == pytest.approx([70 / 255, 160 / 255, 1], abs=1e-6)
    assert said["Segment2_ID"] == "Segment_7" and "Segment3_ID" not in said
    assert said["Segmentation_MasterRepresentation"] == "Binary labelmap"


def test_the_same_bytes_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_segmentation(oblique("u1"), tmp_path / f"{name}.seg.nrrd", segments=SEGMENTS)
    assert (tmp_path / "a.seg.nrrd").read_bytes() == (tmp_path / "b.seg.nrrd").read_bytes()


def test_what_is_no_label_map(tmp_path: Path) -> None:
    volume = oblique("u1")
    for array in (volume.array.astype(np.float32), np.concatenate([volume.array] * 2)):
        with pytest.raises(InputError, match="one label map of uint8 or uint16"):
            write_segmentation(Volume(array, volume.affine), tmp_path / "a.seg.nrrd", segments=SEGMENTS)
    assert not (tmp_path / "a.seg.nrrd").exists()
