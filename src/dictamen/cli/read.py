"""`dictamen read REPORTS -o FINDINGS`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

if TYPE_CHECKING:
    from dictamen.reports.lexicon import Lexicon
    from dictamen.reports.llm_reader import LlmReader
    from dictamen.reports.reader import Report
    from dictamen.reports.schema import ReportFindings

PAGE_REPORTS = 500
"""Most reports on the highlights page; a browser is slow with more."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("read", help="Read free-text reports into findings.")(read)


def read(
    reports: Annotated[Path, typer.Argument(metavar="REPORTS", help="csv, parquet, jsonl, or a folder of .txt files.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FINDINGS", help="File to write: .jsonl or .parquet.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with the findings highlighted.")
    ] = None,
    id_column: Annotated[str, typer.Option("--id-column", help="Column with the study id.")] = "study_id",
    report_column: Annotated[str, typer.Option("--report-column", help="Column with the report.")] = "report",
    encoding: Annotated[str, typer.Option("--encoding", help="Encoding of csv, jsonl and txt.")] = "utf-8",
    site: Annotated[
        Path | None, typer.Option("--site", help="A site's own terms (TOML) on top of the built-in lexicon.")
    ] = None,
    language: Annotated[str, typer.Option("--language", help="Language of the reports: en, de.")] = "en",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes; 0: one for each core.")] = 1,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="tcp://HOST:PORT", help="Dask scheduler whose workers read instead."),
    ] = None,
    reader: Annotated[
        str, typer.Option("--reader", help="rules, or llm: the rules, and a language model where they are unsure.")
    ] = "rules",
    url: Annotated[
        str, typer.Option("--url", help="OpenAI-compatible server of the language model.")
    ] = "http://127.0.0.1:8000/v1",
    model: Annotated[str | None, typer.Option("--model", help="Name of the language model on that server.")] = None,
    llm_on: Annotated[
        str, typer.Option("--llm-on", help="Reports that the language model sees: flagged, or all.")
    ] = "flagged",
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", help="Allow a server or cluster outside this machine and private networks."),
    ] = False,
    llm_cache: Annotated[
        Path | None,
        typer.Option("--llm-cache", help="Keep its answers in this file (they hold words of the reports)."),
    ] = None,
    lesion_csv: Annotated[
        Path | None,
        typer.Option(
            "--lesion-csv", help="Also write one lesion a row, with the columns that R-Super's training reads."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep what an interrupted run has read.")] = False,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="STUDY", help="Show one report and what was read from it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Read REPORTS and write FINDINGS; the reports themselves are never changed."""
    from dictamen.addresses import check_private
    from dictamen.cli.progress import bar
    from dictamen.errors import UsageError
    from dictamen.parallel import cores
    from dictamen.reports import batch
    from dictamen.reports.lexicon import load
    from dictamen.reports.reader import Columns, read_reports
    from dictamen.reports.stream import read_to_file

    source = read_reports(reports, columns=Columns(id_column, report_column), encoding=encoding)
    if explain is not None:
        _explain(source, explain, reports, load(site, language))
        return
    if output is None:
        raise UsageError("There is nowhere to write.", expected="-o FINDINGS, or --explain STUDY to see one report")
    if cluster is not None:
        check_private(
            cluster,
            what="cluster",
            schemes=("tcp", "tls"),
            example="tcp://HOST:PORT of a Dask scheduler",
            allow_remote=allow_remote,
        )
        site = site.resolve() if site else None
    if html is not None and html.resolve() == output.resolve():
        raise UsageError("The findings and the page would be one file.", got=html, next_step="give --html another name")
    summary, shown = Summary(), _Shown(html is not None)

    def seen(findings: ReportFindings) -> None:
        summary.count(findings)
        shown.pair(findings)

    with bar("reading") as update:

        def by_rules(rest: Iterator[Report]) -> Iterator[ReportFindings]:
            return batch.find(
                rest,
                site=site,
                language=language,
                jobs=jobs or cores(),
                cluster=cluster,
                progress=lambda done: update(done, done, ""),
            )

        if reader == "llm":
            with _llm(url, model, llm_on, load(site, language), llm_cache, allow_remote=allow_remote) as llm:
                kept = read_to_file(
                    shown.remember(source),
                    output,
                    find=llm.find,
                    identity=(llm.name, llm.lexicon.hash),
                    resume=resume,
                    seen=seen,
                )
                summary.llm = dict(sorted(llm.counts.items()))
        elif reader == "rules":
            identity = ("rules", load(site, language).hash)
            kept = read_to_file(
                shown.remember(source), output, find=by_rules, identity=identity, resume=resume, seen=seen
            )
        else:
            raise UsageError("Unknown reader.", got=reader, expected="rules or llm")
    if html is not None:
        shown.write(html)
    if lesion_csv is not None:
        _write_lesions(output, lesion_csv)
    facts = {
        **summary.to_json(),
        **({"kept": kept} if resume else {}),
        "output": str(output),
        **({"html": str(html)} if html else {}),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    summary.print()
    if resume:
        typer.echo(f"Kept from the interrupted run: {kept}")
    typer.echo(f"Findings: {output}" + (f"\nPage: {html}" if html else ""))


def _write_lesions(findings: Path, path: Path) -> None:
    from dictamen.files import atomic_path
    from dictamen.reports import table
    from dictamen.reports.lesion_csv import LesionCsv

    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        lesions = LesionCsv(file)
        for report in table.read(findings):
            lesions.write(report)


@contextmanager
def _llm(
    url: str, model: str | None, which: str, lexicon: Lexicon, cache: Path | None, *, allow_remote: bool
) -> Iterator[LlmReader]:
    from dictamen.errors import UsageError
    from dictamen.reports.llm_cache import AnswerCache
    from dictamen.reports.llm_reader import LlmReader
    from dictamen.reports.llm_server import Server

    if model is None:
        raise UsageError("The language model has no name.", expected="--model NAME, as the server calls it")
    if which not in ("flagged", "all"):
        raise UsageError("Unknown choice of reports.", where="--llm-on", got=which, expected="flagged or all")
    with Server(url, model, allow_remote=allow_remote) as server, AnswerCache(cache) as answers:
        server.negotiate()
        yield LlmReader(server, answers, lexicon, cast("Literal['flagged', 'all']", which))


def _explain(source: Iterable[Report], study: str, reports: Path, lexicon: Lexicon) -> None:
    """Print one report with its findings marked, each with the rules that decided on it."""
    from rich.console import Console

    from dictamen.cli.explain import explained
    from dictamen.errors import InputError
    from dictamen.reports.rules import read_report

    report = next((report for report in source if report.study_id == study), None)
    if report is None:
        raise InputError("There is no such study.", where=reports, got=study, next_step="check the id")
    Console().print(explained(report.text, read_report(report.text, study, lexicon=lexicon)), soft_wrap=True)


class Summary:
    """Counts over all reports."""

    def __init__(self) -> None:
        self.reports = self.findings = self.sized = 0
        self.organs: Counter[str] = Counter()
        self.organs_sized: Counter[str] = Counter()
        self.clear: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.llm: dict[str, int] = {}

    def count(self, report: ReportFindings) -> None:
        """Count one report."""
        self.reports += 1
        for finding in report.findings:
            if finding.temporal == "current" and finding.existence != "absent":
                self.findings += 1
                self.organs[finding.structure] += 1
                self.organs_sized[finding.structure] += bool(finding.diameters_mm)
        self.clear.update({name.split(":")[0] for name in report.clear_structures})
        self.removed.update({name.split(":")[0] for name in report.removed_structures})
        self.flags.update(flag.code for flag in report.flags)

    def to_json(self) -> dict[str, Any]:
        """The counts as plain values."""
        structures = sorted({*self.organs, *self.clear, *self.removed}, key=lambda name: (-self.organs[name], name))
        return {
            "reports": self.reports,
            "findings": self.findings,
            "with_size": sum(self.organs_sized.values()),
            "organs": {
                name: {
                    "findings": self.organs[name],
                    "with_size": self.organs_sized[name],
                    "clear": self.clear[name],
                    "removed": self.removed[name],
                }
                for name in structures
            },
            "flags": dict(sorted(self.flags.items())),
            **({"llm": self.llm} if self.llm else {}),
        }

    def print(self) -> None:
        """A table in the terminal."""
        from rich.console import Console
        from rich.table import Table

        facts = self.to_json()
        table = Table(
            title=f"{facts['reports']} reports, {facts['findings']} findings, {facts['with_size']} with a size"
        )
        for number, name in enumerate(("organ", "findings", "with size", "clear in", "removed in")):
            table.add_column(name, justify="left" if number == 0 else "right")
        for name, counts in facts["organs"].items():
            table.add_row(name, *(str(counts[key]) for key in ("findings", "with_size", "clear", "removed")))
        console = Console()
        console.print(table)
        for code, number in facts["flags"].items():
            console.print(f"flag {code}: {number}", markup=False)
        for what, number in self.llm.items():
            console.print(f"language model, {what}: {number}", markup=False)


class _Shown:
    """Keeps the texts of the first reports for the page, and nothing where no page is wanted."""

    def __init__(self, wanted: bool) -> None:
        self._left = PAGE_REPORTS if wanted else 0
        self._texts: dict[str, str] = {}
        self._pairs: list[tuple[str, ReportFindings]] = []

    def remember(self, reports: Iterable[Report]) -> Iterator[Report]:
        for report in reports:
            if self._left > 0:
                self._texts[report.study_id] = report.text
                self._left -= 1
            yield report

    def pair(self, report: ReportFindings) -> None:
        if report.study_id in self._texts:
            self._pairs.append((self._texts.pop(report.study_id), report))

    def write(self, path: Path) -> None:
        from dictamen.files import atomic_path
        from dictamen.reports.highlights import page

        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(page(self._pairs))
