"""From phantom reports that name images to the order of the slices, and to slabs in training."""

import pytest

from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.phantom.generate import write_phantom
from dictamen.supervision.rasterise import StudySupervisor
from dictamen.training.batches import BatchMaker
from dictamen.training.config import TrainConfig, validated
from dictamen.training.image_order import choose_order
from dictamen.training.plan import make_plan

CONFIG: TrainConfig = validated({"preset": "unet_tiny", "targets": ("kidney_tumour",), "max_mask_studies": 8})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("named")
    write_phantom(
        folder / "data", studies=26, validation=1, test=1, spacing_mm=8.0, seed=3, tasks=("kidney",),
        all_masks=True, image_numbers=True,
    )  # fmt: skip
    build_cohort(folder / "data" / "studies.csv", folder / "cohort", spacing_mm=8.0)
    return Cohort.open(folder / "cohort")


def test_the_order_is_measured_where_masks_and_reports_meet(cohort: Cohort) -> None:
    assert choose_order(cohort, make_plan(cohort, CONFIG), CONFIG) == "from_head"


def test_the_order_can_be_given_or_left_aside(cohort: Cohort) -> None:
    plan = make_plan(cohort, CONFIG)
    assert choose_order(cohort, plan, CONFIG.model_copy(update={"image_order": "from_feet"})) == "from_feet"
    assert choose_order(cohort, plan, CONFIG.model_copy(update={"image_order": "unknown"})) is None


def test_slabs_hold_the_lesions_that_the_report_names(cohort: Cohort) -> None:
    plan = make_plan(cohort, CONFIG)
    supervisor = StudySupervisor(plan.targets, plan.organs, cohort.info.organ_labels, cohort.info.lesion_labels)
    narrowed = 0
    for study_id in plan.reports:
        study, value = cohort.study(study_id), next(iter(cohort.info.lesion_labels))
        slabs, whole = (
            BatchMaker(cohort, plan, supervisor, CONFIG, image_order=order).regions(study_id).regions
            for order in ("from_head", None)
        )
        lesion = study.level("lesions") == value
        for slab, organ in zip(slabs, whole, strict=True):
            if slab.kind == "positive" and slab.voxels < organ.voxels:
                narrowed += 1
                inside = lesion & organ.mask(study.shape)
                assert (inside & slab.mask(study.shape)).sum() >= 0.9 * inside.sum()
    assert narrowed >= 2
