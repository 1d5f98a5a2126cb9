"""`audit`: every contradiction between masks and reports of a cohort, ranked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dictamen.anatomy import lesion_labels
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError
from dictamen.evaluation.contradictions import AuditTask, Contradiction, audit_study, ranked
from dictamen.files import output_folder, write_text
from dictamen.parallel import Progress, map_studies


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        contradictions: the most severe first.
        studies: ids that were audited: those with a report and a mask.
        failed: study id -> why it could not be read.
    """

    contradictions: tuple[Contradiction, ...]
    studies: tuple[str, ...]
    failed: Mapping[str, str]

    @property
    def kinds(self) -> dict[str, int]:
        """How many there are of each kind."""
        return dict(Counter(contradiction.kind for contradiction in self.contradictions).most_common())

    def save(self, file: Path) -> None:
        """Write one contradiction a line, as JSON; spans refer to the report, no line quotes it."""
        write_text(file, "".join(json.dumps(one.to_json()) + "\n" for one in self.contradictions))


def audit(
    cohort: str | Path | Cohort,
    output: str | Path | None = None,
    *,
    split: str | None = None,
    pictures: int = 50,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Audit:
    """Hold every report of a cohort against the masks of its study.

    Args:
        cohort: a cohort folder, or an open cohort.
        output: folder for contradictions.jsonl and index.html; None writes nothing. The page quotes the sentences and
            is readable by its owner alone.
        split: "train", "val", "test"; None: all.
        pictures: how many contradictions the page shows with slices, the most severe ones.
        jobs: processes.
        progress: called with (done, total).

    Raises:
        UsageError: the folder is not empty and `overwrite` is not set.
        InputError: no study has both a report and masks.
    """
    opened = cohort if isinstance(cohort, Cohort) else Cohort.open(Path(cohort))
    info = opened.info
    targets = tuple(
        lesion_labels.parse(name, organs=tuple(info.organ_labels.values())) for name in info.lesion_labels.values()
    )
    values = {name: value for value, name in info.lesion_labels.items()}
    tasks = [
        (study, AuditTask(study, opened.study(study), report, dict(info.organ_labels), values, targets))
        for study in opened.ids(split, having=("report", "organs"))
        if (report := opened.findings(study)) is not None
    ]
    if not tasks:
        raise InputError(
            "No study has both a report and masks.",
            where=opened.path,
            got=f"{len(opened.ids(split))} studies" + (f" in {split}" if split else ""),
            expected="studies with a report, organ masks, and lesion masks for what is said of lesions",
            next_step="run `dictamen cohort info` on it",
        )
    if output is not None:
        output_folder(Path(output), overwrite=overwrite)
    outcomes = list(map_studies(audit_study, tasks, jobs=jobs, progress=progress))
    found = Audit(
        tuple(ranked([one for outcome in outcomes for one in outcome.value or ()])),
        tuple(study for study, _ in tasks),
        {outcome.study_id: str(outcome.error) for outcome in outcomes if outcome.error is not None},
    )
    if output is not None:
        from dictamen.evaluation.audit_page import audit_page

        found.save(Path(output) / "contradictions.jsonl")
        write_text(Path(output) / "index.html", audit_page(opened, found, pictures=pictures), private=True)
    return found
