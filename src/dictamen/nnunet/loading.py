"""nnU-Net's data loader on cases with masks and cases with reports: how many, which place, which supervision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader

from dictamen.losses.ball_plan import plan_of
from dictamen.nnunet.cases import ReportCase
from dictamen.nnunet.dataset import Labels
from dictamen.nnunet.outputs import Outputs
from dictamen.nnunet.transforms import spacing_after
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.rasterise import StudySupervisor, collate

POSITIVE_SHARE = 0.67
"""Cases with a lesion are drawn so often, and places with one, as in dictamen's own training."""
REPORTS, PLAN, LEDGER = "reports", "plan", "ledger"
"""What a batch holds beside nnU-Net's own entries."""


class MixedDataset:
    """nnU-Net's data set, whose label maps have the maps of regions as further channels.

    A case with a report has one place to sample from: the centre of one of its regions, anew each time.
    """

    def __init__(
        self, dataset: Any, reports: Mapping[str, ReportCase], targets: int, patch_size: Sequence[int]
    ) -> None:
        self.dataset, self.reports, self.targets = dataset, reports, targets
        self.patch_size = np.asarray(patch_size)
        self.identifiers: list[str] = dataset.identifiers

    def load_case(self, case: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Image, label map with region maps, None, properties."""
        image, label_map, previous, properties = self.dataset.load_case(case)
        report = self.reports.get(case)
        if report is not None:
            properties = {**properties, "class_locations": {1: [self._place(report)]}}
        return image, _Stacked(label_map, report, self.targets), previous, properties

    def _place(self, report: ReportCase) -> tuple[int, int, int, int]:
        """(0, a, b, c): a centre from which the patch holds the region, where it can."""
        regions = report.regions
        positive, other = regions.positive_boxes, regions.other_boxes
        boxes = positive if positive and (np.random.random() < POSITIVE_SHARE or not other) else other
        box = boxes[np.random.randint(len(boxes))] if boxes else np.array([(0, 0, 0), regions.shape])
        slack = np.abs(self.patch_size - (box[1] - box[0])) // 2
        place = (box[0] + box[1]) // 2 + np.random.randint(-slack, slack + 1)
        a, b, c = np.clip(place, 0, np.asarray(regions.shape) - 1).tolist()
        return 0, a, b, c


class _Stacked:
    """A label map [1, a, b, c] with region maps [targets, a, b, c], read only where it is cut."""

    def __init__(self, label_map: Any, report: ReportCase | None, targets: int) -> None:
        self.label_map, self.report, self.targets = label_map, report, targets
        self.shape = (1 + targets, *label_map.shape[1:])
        self.ndim, self.dtype = 4, np.dtype(np.int16)

    def __getitem__(self, place: tuple[slice, ...]) -> npt.NDArray[np.int16]:
        space = [cut.indices(extent) for cut, extent in zip(place[1:], self.shape[1:], strict=True)]
        start, size = [begin for begin, _, _ in space], [end - begin for begin, end, _ in space]
        cut = np.zeros((self.shape[0], *size), np.int16)
        cut[0] = self.label_map[(slice(None), *place[1:])][0]
        if self.report is not None:
            cut[1:] = self.report.regions.maps(start, size)
        return cut


class MixedDataLoader(nnUNetDataLoader):  # type: ignore[misc]
    """Batches of cases with masks, then cases with reports; `REPORTS` holds the supervision of the latter.

    Its label maps are those of `transforms.with_regions`.
    """

    def mix(
        self,
        *,
        reports_per_batch: int,
        outputs: Outputs,
        labels: Labels,
        spacing_mm: Sequence[float],
        deep_supervision: bool,
    ) -> MixedDataLoader:
        """Say what a batch is made of."""
        self.deep_supervision = deep_supervision
        cases: Mapping[str, ReportCase] = self._data.reports
        self.masks = [case for case in self._data.identifiers if case not in cases]
        self.positive = [case for case in self._data.identifiers if case in cases and cases[case].is_positive]
        self.negative = [case for case in self._data.identifiers if case in cases and not cases[case].is_positive]
        self.first_report = self.batch_size - reports_per_batch
        self.outputs, self.labels, self.spacing_mm = outputs, labels, spacing_mm
        # as many masks are centred on a lesion or organ as nnU-Net would centre of a whole batch
        forced = self.batch_size - round(self.batch_size * (1 - self.oversample_foreground_percent))
        self.forced_share = forced / self.batch_size
        self.get_do_oversample = self._is_centred
        return self

    @cached_property
    def supervisor(self) -> StudySupervisor:
        """Made where it is used: its tables can't be sent to a worker."""
        return StudySupervisor(self.labels.targets, [], self.labels.organs, self.labels.lesions)

    def get_indices(self) -> list[str]:
        """The cases of a batch."""
        halves = (self.positive or self.negative, self.negative or self.positive)
        reports = [
            halves[int(np.random.random() >= POSITIVE_SHARE)] for _ in range(self.batch_size - self.first_report)
        ]
        drawn = [self.masks] * self.first_report + reports
        return [cases[np.random.randint(len(cases))] for cases in drawn]

    def _is_centred(self, index: int) -> bool:
        return index >= self.first_report or bool(np.random.random() < self.forced_share)

    def generate_train_batch(self) -> dict[str, Any]:
        """nnU-Net's batch, with the supervision of the cases with reports taken out of its label maps."""
        batch: dict[str, Any] = super().generate_train_batch()
        *targets, maps, steps = batch["target"]
        ledger, patches = Ledger(), []
        for case, both, step in list(zip(batch["keys"], maps.numpy(), steps.numpy(), strict=True))[self.first_report :]:
            regions = self._data.reports[case].regions
            state = self.outputs.state(both[0], both[1:], regions)
            spacing = spacing_after(step, self.spacing_mm)
            patches.append(self.supervisor.patch_from_maps(regions, both[1:], state, spacing, ledger=ledger))
        batch["target"] = targets if self.deep_supervision else targets[0]
        if patches:
            everything = collate(patches)
            batch[REPORTS] = everything
            batch[PLAN] = plan_of(everything)
            batch[LEDGER] = ledger
        return batch
