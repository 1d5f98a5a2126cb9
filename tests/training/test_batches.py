"""What the batch of a step holds."""

import pytest
import torch

from dictamen.cohort.store import Cohort
from dictamen.errors import UsageError
from dictamen.supervision.rasterise import StudySupervisor
from dictamen.training.batches import Batch, BatchMaker, stream
from dictamen.training.config import TrainConfig, validated
from dictamen.training.plan import make_plan


def maker(cohort: Cohort, config: TrainConfig, **changes: object) -> BatchMaker:
    config = validated({**config.model_dump(), **changes})
    plan = make_plan(cohort, config)
    info = cohort.info
    supervisor = StudySupervisor(
        plan.targets, plan.organs, organ_names=info.organ_labels, lesion_names=info.lesion_labels
    )
    return BatchMaker(cohort, plan, supervisor, config)


def reports_in(batch: Batch) -> int:
    return 0 if batch.reports is None else len(batch.reports.region)


@pytest.mark.parametrize(
    ("masks", "reports", "expected"),
    [
        (1, 1, [1, 1, 1, 1]),
        (0.5, 1.5, [2, 1, 2, 1]),
        (0, 2, [2, 2, 2, 2]),
        (2, 0, [0, 0, 0, 0]),
        (0.25, 0.75, [1, 1, 1, 0]),
    ],
)
def test_patches_of_each_kind_are_counted_on_average(
    cohort: Cohort, config: TrainConfig, masks: float, reports: float, expected: list[int]
) -> None:
    made = maker(cohort, config, masks_per_batch=masks, reports_per_batch=reports, steps=100, masks_only_fraction=0.04)
    first, later = [made.batch(step) for step in range(4)], [made.batch(step) for step in range(4, 8)]
    assert {len(batch.image) for batch in first + later} == {round(masks + reports)}
    assert [reports_in(batch) for batch in first] == [0] * 4
    assert [reports_in(batch) for batch in later] == expected


def test_a_missing_kind_is_replaced_by_the_other(cohort: Cohort, config: TrainConfig) -> None:
    alone = maker(cohort, config, supervision=("masks",), masks_per_batch=0.5, reports_per_batch=1.5)
    assert [reports_in(alone.batch(step)) for step in range(4)] == [0] * 4
    alone = maker(cohort, config, supervision=("reports",), masks_per_batch=0.5, reports_per_batch=1.5)
    assert [reports_in(alone.batch(step)) for step in range(4)] == [2] * 4


def test_every_study_is_seen_once_in_each_round(cohort: Cohort, config: TrainConfig) -> None:
    made = maker(cohort, config, positive_share=0.0, masks_only_fraction=0.0)
    drawn = [position for step in range(16) for group, position in made._drawn(step) if group == "reports"]
    assert drawn == list(range(24))


def test_the_stream_gives_the_batches_of_its_steps(cohort: Cohort, config: TrainConfig) -> None:
    made = maker(cohort, config)
    streamed = list(stream(made, start=2, stop=5, threads=2))
    for batch, step in zip(streamed, range(2, 5), strict=True):
        assert torch.equal(batch.image, made.batch(step).image)
        assert torch.equal(batch.state, made.batch(step).state)


@pytest.mark.parametrize(("masks", "reports"), [(0, 0), (0.5, 1), (0.3, 1.5)])
def test_a_batch_is_a_whole_number_of_patches(config: TrainConfig, masks: float, reports: float) -> None:
    with pytest.raises(UsageError, match="whole number"):
        validated({**config.model_dump(), "masks_per_batch": masks, "reports_per_batch": reports})


def test_regions_larger_than_a_patch_are_seen_at_lower_resolution(cohort: Cohort, config: TrainConfig) -> None:
    made = maker(cohort, config, supervision=("reports",), patch_size=(8, 8, 8), anywhere=0.0, lesion_centred=1.0)
    spacing, whole = set(), set()
    for step in range(24):
        reports = made.batch(step).reports
        assert reports is not None
        assert reports.region.shape[2:] == (8, 8, 8)
        for index, values in enumerate(reports.spacing_mm):
            spacing.add(round(float(values.mean()) / 8))
            if (reports.volume_lo[index] > 0).any():
                whole.add(round(float(values.mean()) / 8))
    assert {1, 2} <= spacing <= {1, 2, 3, 4}
    assert whole & {2, 3}, "no lower bound was ever used"
