"""Arrays of nnU-Net keep their place in the patient, whatever the orientation of the file."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from nnunet_cases import LABELS, TEXT, body, preprocessed

from dictamen.errors import InputError
from dictamen.nnunet.cases import has_lesion, report_case
from dictamen.nnunet.grid import affine_of, to_canonical
from dictamen.reports.rules import read_report

TURNS = [
    {"order": order, "signs": signs, "transpose": transpose, "crop": crop}
    for order, signs, transpose, crop in [
        ((0, 1, 2), (1, 1, 1), (0, 1, 2), 0),
        ((0, 1, 2), (-1, -1, 1), (0, 1, 2), 1),
        ((1, 2, 0), (1, -1, -1), (2, 0, 1), 2),
        ((2, 0, 1), (-1, 1, -1), (1, 2, 0), 1),
        ((2, 1, 0), (-1, -1, -1), (0, 2, 1), 0),
        ((0, 2, 1), (1, -1, 1), (2, 1, 0), 2),
    ]
]
IDS = ["".join(map(str, (*turn["order"], *turn["transpose"]))) for turn in TURNS]  # type: ignore[misc]


@pytest.mark.parametrize("turn", TURNS, ids=IDS)
def test_each_voxel_keeps_its_place(turn: dict[str, Any]) -> None:
    canonical = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) + 1
    canonical = np.pad(canonical, 2)
    array, properties = preprocessed(canonical, **turn)
    affine = affine_of(properties, properties["array_spacing"], turn["transpose"], "case")
    for value in (1, 17, 120):
        (voxel,) = np.argwhere(array == value)
        (wanted,) = np.argwhere(canonical == value)
        assert np.allclose(affine[:3, :3] @ voxel + affine[:3, 3], wanted * (2, 3, 4) + (-50, 20, 700))
    back = to_canonical(array, affine)
    inside = tuple(slice(turn["crop"], n - turn["crop"]) for n in canonical.shape)
    assert (back.array[0] == canonical[inside]).all() and np.allclose(back.spacing_mm, (2, 3, 4))


def test_a_resampled_grid_has_the_same_outer_edges() -> None:
    array, properties = preprocessed(np.ones((8, 8, 8), np.int16), **TURNS[0])  # type: ignore[arg-type]
    fine = affine_of(properties, (2.0, 1.5, 1.0), (0, 1, 2), "case")  # twice as many voxels along each axis
    coarse = affine_of(properties, (4.0, 3.0, 2.0), (0, 1, 2), "case")
    edge = np.full(3, -0.5)
    assert np.allclose(fine[:3, :3] @ edge + fine[:3, 3], coarse[:3, :3] @ edge + coarse[:3, 3])
    assert array.shape == (8, 8, 8)


@pytest.mark.parametrize("turn", TURNS, ids=IDS)
def test_regions_lie_where_the_report_says(turn: dict[str, Any]) -> None:
    array, properties = preprocessed(body(), **turn)
    case = report_case(
        array, properties, report=read_report(TEXT, "case"), labels=LABELS,
        spacing_mm=properties["array_spacing"], transpose=turn["transpose"],
    )  # fmt: skip
    assert case.is_positive and case.regions.shape == array.shape
    assert case.regions.spacing_mm == pytest.approx(properties["array_spacing"])
    maps = case.regions.maps((0, 0, 0), array.shape)[0]
    kinds = {number: region.kind for region, number in case.regions.numbered()}
    assert {kinds[n] for n in np.unique(maps[array == 2])} == {"positive"}
    assert {kinds[n] for n in np.unique(maps[array == 1])} == {"absent"}


def test_turning_regions_back_and_forth_changes_nothing() -> None:
    results = []
    for order, signs in itertools.product([(0, 1, 2), (2, 1, 0)], [(1, 1, 1), (-1, 1, -1)]):
        turn = {"order": order, "signs": signs, "transpose": (0, 1, 2), "crop": 0}
        array, properties = preprocessed(body(), **turn)  # type: ignore[arg-type]
        spacing = properties["array_spacing"]
        case = report_case(
            array, properties, report=read_report(TEXT, "case"), labels=LABELS, spacing_mm=spacing, transpose=(0, 1, 2)
        )
        affine = affine_of(properties, spacing, (0, 1, 2), "case")
        maps = case.regions.maps((0, 0, 0), array.shape)[0]
        results.append(to_canonical(maps, affine).array[0])
    assert all((result == results[0]).all() for result in results)


def test_images_without_directions_are_refused() -> None:
    with pytest.raises(InputError, match="tells no directions"):
        affine_of({"spacing": (1, 1, 1)}, (1, 1, 1), (0, 1, 2), "case")


def test_a_lesion_is_drawn_where_a_lesion_label_has_voxels() -> None:
    assert has_lesion({1: [(0, 1, 1, 1)], 3: [(0, 2, 2, 2)]}, LABELS)
    assert not has_lesion({1: [(0, 1, 1, 1)], 2: [], 3: []}, LABELS)
    assert not has_lesion({(1, 2, 3): [(0, 1, 1, 1)], (3,): []}, LABELS)
    assert has_lesion({(1, 2, 3): [(0, 1, 1, 1)], (3,): [(0, 1, 1, 1)]}, LABELS)
