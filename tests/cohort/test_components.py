import numpy as np

from dictamen.cohort.components import components, label_boxes, restore_organ


def test_components_come_largest_first_with_their_boxes() -> None:
    mask = np.zeros((10, 10, 10), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True  # joined over a corner
    mask[5:9, 5:9, 5:9] = True
    found = list(components(mask))
    assert [c.voxels for c in found] == [64, 2]
    again = np.zeros_like(mask)
    for component in found:
        again[component.margin] |= component.mask
        assert mask[component.place].any()
    assert (again == mask).all()
    assert not list(components(np.zeros((3, 3, 3), bool)))


def test_the_organ_under_a_lesion_is_the_one_around_it() -> None:
    organs = np.zeros((20, 10, 10), np.uint8)
    organs[1:9, 1:9, 1:9], organs[11:19, 1:9, 1:9] = 1, 2
    truth = organs.copy()
    lesion = np.zeros(organs.shape, bool)
    lesion[12:15, 3:6, 3:6] = True
    organs[lesion] = 0
    (component,) = components(lesion)
    assert restore_organ(organs, component, [1, 2])
    assert (organs == truth).all()


def test_a_lesion_far_from_both_sides_is_left_alone() -> None:
    organs = np.zeros((20, 10, 10), np.uint8)
    organs[1:3, 1:9, 1:9], organs[17:19, 1:9, 1:9] = 1, 2
    lesion = np.zeros(organs.shape, bool)
    lesion[9:11, 3:6, 3:6] = True
    (component,) = components(lesion)
    assert not restore_organ(organs, component, [1, 2])
    assert not organs[lesion].any()
    assert not component.touches(organs[component.margin] > 0)


def test_label_boxes() -> None:
    labels = np.zeros((6, 6, 6), np.uint16)
    labels[1:3, 2:5, 0:1] = 300
    assert label_boxes(labels, {300: "liver", 7: "spleen"}) == {"liver": [[1, 2, 0], [3, 5, 1]]}
