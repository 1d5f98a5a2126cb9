"""Augmentation moves image, states and regions together and keeps millimetres true."""

import numpy as np
import pytest
import torch

from dictamen.supervision.patch import UNKNOWN
from dictamen.training.augmentation import Augmenter, _rotate
from dictamen.training.config import Augmentation

STILL = Augmentation(flip=(0, 0, 0), rotate_probability=0, intensity_probability=0)


def patch(size: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright ball, its state and a region around it."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(size)] * 3, indexing="ij")).float() - torch.tensor(
        [14.0, 9.0, 12.0]
    ).view(3, 1, 1, 1)
    distance = grid.norm(dim=0)
    state, region = (distance < 5).to(torch.uint8), (distance < 8).to(torch.uint8)
    return (distance < 5).float()[None], torch.stack([state[None], region[None]])


def test_no_change_is_identity() -> None:
    image, labels = patch()
    moved, moved_labels, zoom = Augmenter(STILL)(image, labels, rng=np.random.default_rng(0))
    torch.testing.assert_close(moved, image)
    assert torch.equal(moved_labels, labels)
    assert zoom == 1


def test_flip_moves_everything_together() -> None:
    image, labels = patch()
    settings = STILL.model_copy(update={"flip": (1.0, 0.0, 1.0)})
    moved, moved_labels, _ = Augmenter(settings)(image, labels, rng=np.random.default_rng(0))
    assert torch.equal(moved, image.flip([1, 3]))
    assert torch.equal(moved_labels, labels.flip([2, 4]))


@pytest.mark.parametrize("angle", [0.0, 0.2, -0.3])
@pytest.mark.parametrize("zoom", [0.85, 1.2])
def test_rotation_and_zoom_keep_image_with_labels_and_volume_with_zoom(angle: float, zoom: float) -> None:
    image, labels = patch()
    moved, moved_labels = _rotate(image, labels, angle=angle, zoom=zoom)
    inside = moved_labels[0, 0] == 1
    assert ((moved[0] > 0.5) ^ inside).float().mean() < 0.01
    before, after = (labels[1] == 1).sum().item(), (moved_labels[1] == 1).sum().item()
    assert after / zoom**3 == pytest.approx(before, rel=0.12)


def test_rotation_turns_by_the_angle_in_a_patch_that_is_not_square() -> None:
    labels = torch.zeros(2, 1, 32, 16, 8, dtype=torch.uint8)
    labels[1, 0, 22, 8, 4] = 1
    labels[1, 0, 21:24, 7:10, 3:6] = 1
    _, moved = _rotate(torch.zeros(1, 32, 16, 8), labels, angle=0.3, zoom=1.0)
    centre = torch.nonzero(moved[1, 0]).float().mean(dim=0) - torch.tensor([15.5, 7.5, 3.5])
    assert float(torch.linalg.norm(centre[:2])) == pytest.approx(6.5, abs=0.6)
    assert abs(float(torch.atan2(centre[1], centre[0]))) == pytest.approx(0.3, abs=0.12)


def test_voxels_from_outside_are_unknown_and_in_no_region() -> None:
    labels = torch.ones(2, 1, 16, 16, 16, dtype=torch.uint8)
    _, moved = _rotate(torch.zeros(1, 16, 16, 16), labels, angle=0.0, zoom=0.5)
    assert moved[0, 0, 0, 0, 0] == UNKNOWN
    assert moved[1, 0, 0, 0, 0] == 0


def test_same_generator_same_patch() -> None:
    image, labels = patch()
    augment = Augmenter(Augmentation())
    first = augment(image, labels, rng=np.random.default_rng(3))
    augment(image, labels, rng=np.random.default_rng(4))
    again = augment(image, labels, rng=np.random.default_rng(3))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert type(first[0]) is torch.Tensor
