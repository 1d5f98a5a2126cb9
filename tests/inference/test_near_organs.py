"""Looking near organs only: the same there, nothing elsewhere, fewer windows."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_models import CARD, Bright, ball, grid, random_network

from dictamen.errors import InputError
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.inference.near_organs import organs_of_labels, read_organs
from dictamen.inference.predict import predict
from dictamen.inference.sliding import predict_probabilities
from dictamen.inference.study import Settings, segment
from dictamen.models.card import OutputLabel

SHAPE, AFFINE = (40, 24, 24), grid("LPS", (2, 2, 2))
LEFT = ball(SHAPE, AFFINE, AFFINE[:3] @ [10, 12, 12, 1], 8.0)
RIGHT = ball(SHAPE, AFFINE, AFFINE[:3] @ [30, 12, 12, 1], 8.0)


def image() -> Volume:
    """A bright ball in each half."""
    array = np.where(LEFT | RIGHT, 140, -100).astype(np.int16)
    return Volume(array[None], AFFINE, "a")


def write_masks(folder: Path, layout: str) -> Path:
    mask = Volume(LEFT[None].astype(np.uint8), AFFINE, "a")
    empty = Volume(np.zeros((1, *SHAPE), np.uint8), AFFINE, "a")
    if layout == "header":
        write_volume(mask, folder / "a.nii.gz", label_names={1: "kidney_left"})
    elif layout in ("table", "table above"):
        write_volume(mask, folder / ("a.nii.gz" if layout == "table" else "organs/a.nii.gz"))
        (folder / "labels.json").write_text(json.dumps({"organs": {"1": "kidney_left", "2": "spleen"}}))
    else:
        place = folder / "a" / ("segmentations" if layout == "totalsegmentator" else "")
        write_volume(mask, place / "kidney_left.nii.gz")
        write_volume(empty, place / "kidney_right.nii.gz")
        (place / "spleen.nii.gz").write_bytes(b"not asked for, and never opened")
    return folder / "organs" if layout == "table above" else folder


@pytest.mark.parametrize("layout", ["header", "table", "table above", "single masks", "totalsegmentator"])
def test_lesions_are_found_near_the_organ_and_nowhere_else(tmp_path: Path, layout: str) -> None:
    structures = organs_of_labels(CARD)
    organs = read_organs(write_masks(tmp_path, layout), "a", image(), structures)
    settings = Settings(precision="32-true", device="cpu")
    everywhere = segment(Bright(), CARD, image(), settings)  # type: ignore[arg-type]
    near = segment(Bright(), CARD, image(), settings, organs=organs)  # type: ignore[arg-type]
    assert len(everywhere.lesions) == 2 and len(near.lesions) == 1
    assert np.array_equal(near.labels.array[0] == 1, (everywhere.labels.array[0] == 1) & LEFT)


def test_an_organ_that_is_not_in_the_scan(tmp_path: Path) -> None:
    write_volume(Volume(np.zeros((1, *SHAPE), np.uint8), AFFINE, "a"), tmp_path / "a.nii.gz", label_names={1: "kidney"})
    organs = read_organs(tmp_path, "a", image(), organs_of_labels(CARD))
    found = segment(Bright(), CARD, image(), Settings(device="cpu"), organs=organs)  # type: ignore[arg-type]
    assert not found.labels.array.any() and not found.lesions
    assert set(found.scores.values()) == {0.0}


def test_fewer_windows_and_the_same_in_the_region() -> None:
    array = np.random.default_rng(0).normal(size=(40, 40, 70)).astype(np.float32)
    region = np.zeros(array.shape, dtype=bool)
    region[3:9, 20:22, 50:60] = True
    network, calls = random_network(), []
    network.register_forward_pre_hook(lambda *_: calls.append(1))
    options = {"patch_size": (16, 16, 16), "precision": "32-true", "mirror": (0,)}
    whole, of_all = predict_probabilities(network, array, **options), len(calls)
    calls.clear()
    part = predict_probabilities(network, array, **options, region=region)
    assert len(calls) < of_all / 5
    assert np.array_equal(part[:, region], whole[:, region])
    assert not part[:, ~region].any()


def test_what_is_refused(tmp_path: Path) -> None:
    structures = organs_of_labels(CARD)
    with pytest.raises(InputError, match="no organ masks of the study"):
        read_organs(tmp_path, "a", image(), structures)
    write_volume(
        Volume(np.zeros((1, 9, 9, 9), np.uint8), AFFINE, "a"), tmp_path / "a.nii.gz", label_names={1: "kidney"}
    )
    with pytest.raises(InputError, match="not on the image's grid"):
        read_organs(tmp_path, "a", image(), structures)
    write_volume(Volume(LEFT[None].astype(np.uint8), AFFINE, "a"), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="no names"):
        read_organs(tmp_path, "a", image(), structures)
    write_volume(Volume(LEFT[None].astype(np.uint8), AFFINE, "a"), tmp_path / "a.nii.gz", label_names={1: "spleen"})
    organs = read_organs(tmp_path, "a", image(), structures)
    with pytest.raises(InputError, match="no mask of the organ of `kidney_tumour`"):
        organs.around(structures, image(), 10.0)
    nodes = OutputLabel(name="lymph_node_lesion", kind="lesion", structure="lymph_node")
    with pytest.raises(InputError, match="no organ to look near to"):
        organs_of_labels(CARD.model_copy(update={"labels": (nodes,)}))


def test_in_a_batch(run: Path, tmp_path: Path) -> None:
    write_volume(image(), tmp_path / "in" / "a.nii.gz")
    write_volume(image(), tmp_path / "in" / "b.nii.gz")
    organs = write_masks(tmp_path / "organs", "header")
    result = predict(run, tmp_path / "in", tmp_path / "out", device="cpu", near_organs=organs)
    assert result.predicted == ("a",)
    assert [failure.study_id for failure in result.failed] == ["b"]  # without masks
    with pytest.raises(InputError, match="does not exist"):
        predict(run, tmp_path / "in", tmp_path / "other", device="cpu", near_organs=tmp_path / "nowhere")
