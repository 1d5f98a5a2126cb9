"""`ground`: reports painted into their scans, study by study; resumable, one failure never stops the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from dictamen.cohort.layouts.studies_csv import FILE as STUDIES_CSV
from dictamen.cohort.manifest import COHORT_JSON
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError, UsageError, resource_errors
from dictamen.files import output_folder, write_json, write_text
from dictamen.imaging.nifti import write_volume
from dictamen.inference.inputs import InputStudy, find_inputs
from dictamen.inference.outputs import Failure, file_sha256, label_map_path
from dictamen.inference.predict import read_study_image
from dictamen.inference.sliding import choose_device
from dictamen.inference.study import Settings
from dictamen.models.package import WEIGHTS, load_model, model_folder
from dictamen.models.prompted import PromptedNetwork
from dictamen.parallel import Progress, map_studies
from dictamen.prompting.ground_page import write_page
from dictamen.prompting.grounding import GroundedStudy, ground_study
from dictamen.reports.reader import read_reports
from dictamen.reports.rules import read_report
from dictamen.reports.schema import ReportFindings

FINDINGS, STUDIES, FAILED, RECORD, PAGES = "findings.jsonl", "studies.jsonl", "failed.jsonl", "ground.json", "pages"


@dataclass(frozen=True)
class GroundResult:
    """What became of all studies.

    Attributes:
        grounded: ids done now.
        skipped: ids that were done already (`resume`).
        findings: lines of findings.jsonl; `found` of them were painted.
    """

    output: Path
    grounded: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[Failure, ...]
    findings: int
    found: int
    seconds: float


@dataclass(frozen=True)
class _Said:
    """A study's report, read."""

    findings: ReportFindings
    text: str | None


class _Reports:
    """The reports of the input: of a file given apart, of its table, of its cohort."""

    def __init__(self, source: Path, reports: Path | None) -> None:
        self.source, self.file = source, reports
        self.cohort = Cohort.open(source) if reports is None and (source / COHORT_JSON).is_file() else None
        self.only: str | None = None
        self.texts: Mapping[str, str] = {}
        if reports is not None and reports.is_file() and reports.suffix.lower() == ".txt":
            self.only = _text(reports)
        elif reports is not None:
            self.texts = {report.study_id: report.text for report in read_reports(reports)}
        elif self.cohort is None:
            table = source / STUDIES_CSV if source.is_dir() else source
            if not (table.is_file() and table.suffix.lower() == ".csv"):
                raise UsageError(
                    "Grounding needs reports.",
                    where=source,
                    expected="a cohort, a studies.csv with a column `report`, or --reports",
                    next_step="add --reports: csv, jsonl or parquet (study_id, report), a folder of .txt, or one .txt",
                )
            self.texts = {report.study_id: report.text for report in read_reports(table)}

    def of(self, study_id: str) -> _Said:
        """What a study's report says.

        Raises:
            InputError: the study has no report.
        """
        if self.cohort is not None:
            findings = self.cohort.findings(study_id)
            if findings is not None:
                return _Said(findings, self.cohort.report(study_id))
        text = self.only if self.only is not None else self.texts.get(study_id)
        if text is None:
            raise InputError(
                "The study has no report.",
                where=study_id,
                got=f"reports of {len(self.texts)} other studies" if self.texts else None,
                next_step="give its report under the same study id",
            )
        return _Said(read_report(text, study_id), text)


def ground(
    run: str | Path,
    input: str | Path,
    output: str | Path,
    *,
    reports: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    split: str | None = None,
    pages: bool = True,
    trust_code: bool = False,
    progress: Progress | None = None,
) -> GroundResult:
    """Paint the findings of reports into their scans.

    Args:
        run: run folder of a model that is asked in words (`--supervision prompts`), or its model folder.
        input: as of `inference.predict.predict`.
        output: OUT/<study_id>.nii.gz on each input's own grid and affine (value = number of the finding),
            findings.jsonl, studies.jsonl, ground.json, failed.jsonl where something failed, and pages/<study_id>.html.
        reports: .csv, .jsonl, .parquet or a folder of .txt (see `reports.reader.read_reports`), or the .txt of the only
            study; None: those of the cohort or of the studies.csv.
        resume: skip studies that are done; the model must be that of the first call.
        pages: write pages; they quote the reports, and only their owner can read them.
        split, device, overwrite, trust_code, progress: as of `predict`.

    Raises:
        UsageError: no reports, a model with fixed labels, output not empty, several studies for one .txt.
        InputError: no model, or no study at all. A study that can't be grounded is listed in the result instead.
        ResourceError: disk full or not writable; what is done is kept for `resume`.
    """
    started = monotonic()
    folder = model_folder(Path(run))
    model, card = load_model(folder, trust_code=trust_code)
    if not isinstance(model, PromptedNetwork):
        raise UsageError(
            "This model can't be asked in words.",
            where=folder,
            next_step="train one with `dictamen train COHORT --supervision prompts`",
        )
    model = model.to(choose_device(device))
    out = Path(output)
    studies = find_inputs(Path(input), split=split, leave_out=out, modality=card.modality)
    said = _Reports(Path(input), Path(reports) if reports is not None else None)
    if said.only is not None and len(studies) > 1:
        raise UsageError("One .txt is the report of one study.", got=f"{len(studies)} studies", where=reports)
    output_folder(out, resume=resume, overwrite=overwrite)
    record = {"weights_sha256": file_sha256(folder / WEIGHTS)}
    done = _begin(out, record, resume=resume)
    waiting = [study for study in studies if study.study_id not in done]
    failed: list[Failure] = []
    grounded: list[str] = []

    def one(study: InputStudy) -> GroundedStudy:
        report = said.of(study.study_id)
        found = ground_study(model, card, read_study_image(study), report.findings, report.text, Settings())
        if pages:
            write_page(out / PAGES / f"{study.study_id}.html", found, report.text, window=card.intensity)
        names = {item.number: f"finding {item.number}" for item in found.findings}
        write_volume(found.labels, label_map_path(out, study.study_id), label_names=names)
        return found

    items = [(study.study_id, study) for study in waiting]
    for outcome in map_studies(partial(one), items, progress=progress):
        if outcome.value is None:
            failed.append(Failure.of(outcome.study_id, outcome.error))
            continue
        _append(out / FINDINGS, [item.to_json() for item in outcome.value.findings])
        count = len(outcome.value.findings)
        _append(out / STUDIES, [{"study_id": outcome.study_id, "findings": count}])
        grounded.append(outcome.study_id)
    if failed:
        write_text(out / FAILED, "".join(json.dumps(failure.to_json()) + "\n" for failure in failed))
    else:
        (out / FAILED).unlink(missing_ok=True)
    lines = _lines(out / FINDINGS)
    return GroundResult(
        output=out,
        grounded=tuple(grounded),
        skipped=tuple(study.study_id for study in studies if study.study_id in done),
        failed=tuple(failed),
        findings=len(lines),
        found=sum(bool(line["found"]) for line in lines),
        seconds=monotonic() - started,
    )


def _begin(out: Path, record: dict[str, str], *, resume: bool) -> frozenset[str]:
    """Start anew, or go on: the ids that are done."""
    if resume and (out / RECORD).is_file():
        if json.loads((out / RECORD).read_text(encoding="utf-8")) != record:
            raise UsageError(
                "The folder holds findings of another model.",
                where=out,
                next_step="resume with the same model, choose another folder, or use --overwrite",
            )
        done = frozenset(line["study_id"] for line in _lines(out / STUDIES))
        kept = [line for line in _lines(out / FINDINGS) if line["study_id"] in done]  # of a study that was cut short
        write_text(out / FINDINGS, "".join(json.dumps(line) + "\n" for line in kept))
        return done
    for line in _lines(out / STUDIES):
        label_map_path(out, line["study_id"]).unlink(missing_ok=True)
        (out / PAGES / f"{line['study_id']}.html").unlink(missing_ok=True)
    for name in (STUDIES, FAILED):
        (out / name).unlink(missing_ok=True)
    write_text(out / FINDINGS, "")
    write_json(out / RECORD, record)
    return frozenset()


def _append(path: Path, lines: list[dict[str, Any]]) -> None:
    with resource_errors(path), path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; none where there is no file."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("The report can't be read.", where=file, got=type(error).__name__) from error
