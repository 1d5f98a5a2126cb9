import numpy as np
import pytest
import torch
from small_models import CARD, LESION_HU, ORGAN_HU, Bright, ball, grid

from dictamen.errors import InputError
from dictamen.imaging.volume import Volume
from dictamen.inference.study import Settings, StudyPrediction, is_paired, label_values, segment
from dictamen.models.card import Architecture, ModelCard, OutputLabel

GRIDS = {
    "RAS, isotropic": ((40, 36, 30), grid("RAS", (2, 2, 2))),
    "LPS": ((40, 36, 30), grid("LPS", (2, 2, 2))),
    "sagittal, anisotropic": ((24, 48, 60), grid("PSR", (3, 1.5, 1.3))),
    "coronal, oblique": ((50, 30, 40), grid("LSA", (1.6, 2.5, 1.8), degrees=20)),
}
SETTINGS = Settings(device="cpu", precision="32-true")


def middle(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    return affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]


def kidney(shape: tuple[int, int, int], affine: np.ndarray, *, tumour_at: float = 8.0) -> tuple[Volume, np.ndarray]:
    """A kidney (a ball of 18 mm radius) with a tumour of 8 mm radius, and where the tumour is."""
    centre = middle(shape, affine)
    image = np.full(shape, -100, dtype=np.int16)
    image[ball(shape, affine, centre, 18)] = ORGAN_HU
    tumour = ball(shape, affine, centre + np.array([tumour_at, 0, 0]), 8)
    image[tumour] = LESION_HU
    return Volume(image[None], affine, "s"), tumour


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def predicted(volume: Volume, card: ModelCard = CARD, **options: object) -> StudyPrediction:
    return segment(Bright(), card, volume, SETTINGS, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", GRIDS)
def test_labels_come_back_on_the_input_s_own_grid(name: str) -> None:
    shape, affine = GRIDS[name]
    volume, tumour = kidney(shape, affine)
    found = predicted(volume)
    assert found.labels.array.shape == (1, *shape)
    assert found.labels.array.dtype == np.uint8
    assert np.array_equal(found.labels.affine, affine)
    assert dice(found.labels.array[0] == 1, tumour) > 0.85
    assert dice(found.labels.array[0] > 0, volume.array[0] > -50) > 0.9
    (lesion,) = found.lesions
    assert lesion.volume_mm3 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.25)
    assert (lesion.diameter_mm_1, lesion.diameter_mm_2, lesion.diameter_mm_3) == pytest.approx((16, 16, 16), abs=4)
    assert lesion.centroid_mm == pytest.approx(tuple(middle(shape, affine) + np.array([8, 0, 0])), abs=1)
    assert found.scores["kidney_tumour"] > 0.9


def test_a_lesion_far_from_the_organ_is_dropped_and_does_not_score() -> None:
    shape, affine = (60, 36, 30), grid("RAS", (2, 2, 2))
    volume, _ = kidney(shape, affine, tumour_at=50.0)
    found = predicted(volume)
    assert not found.lesions
    assert not (found.labels.array == 1).any()
    assert found.scores["kidney_tumour"] < 0.1
    wide = segment(Bright(), CARD, volume, Settings(precision="32-true", organ_margin_mm=40.0))
    assert len(wide.lesions) == 1


def test_without_an_organ_in_the_image_lesions_stay() -> None:
    shape, affine = (40, 36, 30), grid("RAS", (2, 2, 2))
    image = np.full(shape, -100, dtype=np.int16)
    image[ball(shape, affine, middle(shape, affine), 8)] = 220  # its blurred border passes through organ values
    found = predicted(
        Volume(image[None], affine, "s"),
        CARD.model_copy(
            update={"labels": (*CARD.labels[:1], OutputLabel(name="liver", kind="organ", structure="liver"))}
        ),
    )
    assert len(found.lesions) == 1


def test_small_lesions_are_dropped() -> None:
    shape, affine = (40, 36, 30), grid("RAS", (2, 2, 2))
    volume, tumour = kidney(shape, affine)
    size = float(tumour.sum() * 8)
    assert segment(Bright(), CARD, volume, Settings(precision="32-true", smallest_mm3=size * 0.5)).lesions
    assert not segment(Bright(), CARD, volume, Settings(precision="32-true", smallest_mm3=size * 2)).lesions


def test_sides_of_two_kidneys() -> None:
    shape, affine = (100, 36, 30), grid("LPS", (2, 2, 2))
    centre = middle(shape, affine)
    image = np.full(shape, -100, dtype=np.int16)
    for side in (-1, 1):
        image[ball(shape, affine, centre + np.array([side * 50, 0, 0]), 18)] = ORGAN_HU
    image[ball(shape, affine, centre + np.array([55, 0, 0]), 8)] = LESION_HU  # x grows towards the patient's right
    found = predicted(Volume(image[None], affine, "s"))
    assert [lesion.side for lesion in found.lesions] == ["right"]
    sides = found.scores_by_side["kidney_tumour"]
    assert sides["right"] > 0.9 > 0.1 > sides["left"]


def test_unpaired_organs_have_no_side() -> None:
    assert is_paired("kidney")
    assert not is_paired("liver")
    assert not is_paired("something_else")


def test_probabilities_come_on_the_input_s_grid() -> None:
    shape, affine = GRIDS["sagittal, anisotropic"]
    volume, tumour = kidney(shape, affine)
    found = predicted(volume, keep_probabilities=True)
    assert found.probabilities is not None
    assert found.probabilities.array.shape == (2, *shape)
    assert np.array_equal(found.probabilities.affine, affine)
    assert dice(found.probabilities.array[0] >= 0.5, tumour) > 0.85
    assert predicted(volume).probabilities is None


def test_labels_of_many_channels_need_16_bits() -> None:
    labels = tuple(OutputLabel(name=f"structure_{n}", kind="organ") for n in range(300))

    class Many(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = torch.nn.Parameter(torch.linspace(-5, 0, 300).view(1, -1, 1, 1, 1))

        def forward(self, image: torch.Tensor) -> object:
            from dictamen.models.presets import SegmentationOutput

            return SegmentationOutput(self.bias + 0 * image, None)

    card = ModelCard(
        architecture=Architecture(preset="x", out_channels=300),
        labels=labels,
        spacing_mm=(2, 2, 2),
        patch_size=(8, 8, 8),
    )
    found = segment(Many(), card, Volume(np.zeros((1, 8, 8, 8), dtype=np.int16), grid(), "s"), SETTINGS)
    assert (found.labels.array == 300).all()
    assert label_values(card)[300] == "structure_299"


def test_wrong_number_of_channels() -> None:
    with pytest.raises(InputError, match="channels"):
        predicted(Volume(np.zeros((2, 8, 8, 8), dtype=np.int16), grid(), "s"))
