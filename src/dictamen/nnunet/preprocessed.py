"""The reports of a trainer's cases, and their regions on the arrays that nnU-Net preprocessed."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.paths import nnUNet_raw
from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from dictamen.errors import UsageError
from dictamen.nnunet.cases import ReportCase, has_lesion, report_case
from dictamen.nnunet.dataset import Labels, read_findings
from dictamen.parallel import map_studies
from dictamen.reports.schema import ReportFindings

PREPARED_APIECE = 16
"""Cases for which another process is worth its start."""


class Reports:
    """The cases of a trainer whose lesions are not drawn and that have a report."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.folder: str = trainer.preprocessed_dataset_folder

    @cached_property
    def findings(self) -> dict[str, ReportFindings]:
        """What the report of each case says."""
        if not nnUNet_raw.is_set():
            raise UsageError("The reports stand in nnU-Net's folder of raw data.", expected="`nnUNet_raw` to be set")
        dataset_class = infer_dataset_class(self.folder)
        cases = dataset_class.get_identifiers(self.folder)
        found = read_findings(Path(nnUNet_raw) / self.trainer.plans_manager.dataset_name, cases)
        data = dataset_class(self.folder, list(found))
        drawn = {case for case in found if has_lesion(data.load_case(case)[3]["class_locations"], self.trainer.labels)}
        return {case: report for case, report in found.items() if case not in drawn}

    @cached_property
    def cases(self) -> dict[str, ReportCase]:
        """The regions that the reports speak of; a case whose regions can't be made is told of and left out."""
        jobs = max(1, min(get_allowed_n_proc_DA(), len(self.findings) // PREPARED_APIECE))
        self.trainer.print_to_log_file(f"Preparing the regions of {len(self.findings)} reports...")
        prepare_case = partial(
            prepare,
            dataset_class=infer_dataset_class(self.folder),
            folder=self.folder,
            labels=self.trainer.labels,
            spacing_mm=tuple(self.trainer.configuration_manager.spacing),
            transpose=tuple(self.trainer.plans_manager.transpose_forward),
        )
        made = {}
        for outcome in map_studies(prepare_case, list(self.findings.items()), jobs=jobs):
            if outcome.value is None:
                self.trainer.print_to_log_file(f"LEFT OUT {outcome.study_id}: {outcome.error}")
            else:
                made[outcome.study_id] = outcome.value
        return made


def prepare(
    report: ReportFindings,
    *,
    dataset_class: Any,
    folder: str,
    labels: Labels,
    spacing_mm: tuple[float, ...],
    transpose: tuple[int, ...],
) -> ReportCase:
    """The regions of one report in its preprocessed case; see `report_case`."""
    _, label_map, _, properties = dataset_class(folder, [report.study_id]).load_case(report.study_id)
    return report_case(
        np.asarray(label_map[:])[0],
        properties,
        report=report,
        labels=labels,
        spacing_mm=spacing_mm,
        transpose=transpose,
    )
