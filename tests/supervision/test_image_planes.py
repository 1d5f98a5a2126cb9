"""Image numbers as slabs."""

import numpy as np
import pytest
from supervision_builders import KIDNEY_TUMOUR, NAMES, affine, body, finding, report

from dictamen.reports.schema import ReportFindings
from dictamen.supervision.from_findings import constraints
from dictamen.supervision.image_planes import ImagePlanes, measured_order, planes_of
from dictamen.supervision.rasterise import StudySupervisor
from dictamen.supervision.study_regions import StudyRegions

SPACING = (3.0, 2.0, 1.5)
NATIVE = affine(0.75, 0.75, 0.75)
"""120 slices of .75 mm over the 60 of 1.5 mm, centred on the same volume."""


def planes(order: str = "from_head") -> ImagePlanes:
    native = NATIVE.copy()
    native[2, 3] = affine(*SPACING)[2, 3] - 0.375
    return planes_of(120, native, affine(*SPACING), order)  # type: ignore[arg-type]


def regions_of(said: ReportFindings, images: ImagePlanes | None) -> StudyRegions:
    known, deferred = constraints(said, [KIDNEY_TUMOUR])
    supervisor = StudySupervisor([KIDNEY_TUMOUR], [], NAMES, {1: "kidney_tumour"})
    return supervisor.regions(body(), affine(*SPACING), known, deferred, images=images)


def mass(**fields: object) -> ReportFindings:
    return report(finding(**{"side": "left", "diameters_mm": (6.0,), **fields}), clear_structures=("kidney:right",))  # type: ignore[arg-type]


def test_images_are_counted_from_the_head_or_from_the_feet() -> None:
    assert planes().index(120) == pytest.approx(-0.25)
    assert planes().index(1) == pytest.approx(59.25)
    assert planes("from_feet").index(1) == pytest.approx(-0.25)
    assert planes().index(0) is planes().index(121) is None


def test_a_named_image_narrows_the_region_to_its_slab() -> None:
    image = {"slices": ({"series": 2, "image": 120 - 60},)}  # index 29.75
    region = regions_of(mass(**image), planes()).regions[0]
    whole = regions_of(mass(), planes()).regions[0]
    reach = 6 + 10
    lo, hi = region.box[:, 2]
    assert (29.75 - lo) * 1.5 <= reach < (29.75 - lo + 1) * 1.5
    assert (hi - 1 - 29.75) * 1.5 <= reach < (hi - 29.75) * 1.5
    assert np.array_equal(region.mask((80, 60, 60)), whole.mask((80, 60, 60)) & _between(lo, hi))
    assert regions_of(mass(**image), planes()).negative_outside == (True,)


def _between(lo: int, hi: int) -> np.ndarray:
    inside = np.zeros((80, 60, 60), bool)
    inside[:, :, lo:hi] = True
    return inside


@pytest.mark.parametrize(
    ("said", "known", "reason"),
    [
        (mass(slices=({"image": 60},)), False, "the order of the slices is not known"),
        (mass(slices=({"image": 500},)), True, "the scan does not have"),
        (mass(slices=({"image": 60},), diameters_mm=()), True, "have none, or no size"),
        (mass(slices=({"series": 1, "image": 60}, {"series": 2, "image": 70})), True, "have none, or no size"),
        (
            report(
                finding(side="left", diameters_mm=(6,), slices=({"image": 60},)),
                finding(side="left", diameters_mm=(9,)),
            ),
            True,
            "have none, or no size",
        ),
    ],
)
def test_an_image_number_that_cant_be_used_is_counted_and_leaves_the_whole_organ(
    said: ReportFindings, known: bool, reason: str
) -> None:
    found = regions_of(said, planes() if known else None)
    assert sum(reason in deferred.reason for deferred in found.deferred) == 1
    assert found.regions[0].box[:, 2].tolist() == regions_of(mass(), None).regions[0].box[:, 2].tolist()


def test_the_order_is_that_in_which_named_images_show_their_lesions() -> None:
    assert measured_order([(True, False)] * 4 + [(False, False)]) == "from_head"
    assert measured_order([(False, True)] * 3 + [(True, True)]) == "from_feet"
    assert measured_order([(True, False)] * 2) is None
    assert measured_order([(True, True)] * 9) is None
    assert measured_order([(True, False), (False, True)] * 5) is None
