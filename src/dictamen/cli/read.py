"""`dictamen read REPORTS -o FINDINGS`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
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
        Path, typer.Option("--output", "-o", metavar="FINDINGS", help="File to write: .jsonl or .parquet.")
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with the findings highlighted.")
    ] = None,
    id_column: Annotated[str, typer.Option("--id-column", help="Column with the study id.")] = "study_id",
    report_column: Annotated[str, typer.Option("--report-column", help="Column with the report.")] = "report",
    encoding: Annotated[str, typer.Option("--encoding", help="Encoding of csv, jsonl and txt.")] = "utf-8",
    site: Annotated[
        Path | None, typer.Option("--site", help="A site's own terms (TOML) on top of the built-in lexicon.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Read REPORTS and write FINDINGS; the reports themselves are never changed."""
    from dictamen.cli.progress import bar
    from dictamen.errors import UsageError
    from dictamen.reports import batch, table
    from dictamen.reports.reader import Columns, read_reports

    table.check_suffix(output)
    if html is not None and html.resolve() == output.resolve():
        raise UsageError("The findings and the page would be one file.", got=html, next_step="give --html another name")
    summary, shown = Summary(), _Shown(html is not None)
    source = shown.remember(read_reports(reports, columns=Columns(id_column, report_column), encoding=encoding))
    with bar("reading") as update:
        findings = batch.find(source, site=site, jobs=jobs, progress=lambda done: update(done, done, ""))
        table.write(shown.pair(summary.count(findings)), output)
    if html is not None:
        shown.write(html)
    facts = {**summary.to_json(), "output": str(output), **({"html": str(html)} if html else {})}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    summary.print()
    typer.echo(f"Findings: {output}" + (f"\nPage: {html}" if html else ""))


class Summary:
    """Counts over all reports."""

    def __init__(self) -> None:
        self.reports = self.findings = self.sized = 0
        self.organs: Counter[str] = Counter()
        self.organs_sized: Counter[str] = Counter()
        self.clear: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()

    def count(self, reports: Iterable[ReportFindings]) -> Iterator[ReportFindings]:
        """Pass the reports on and count them."""
        for report in reports:
            self.reports += 1
            for finding in report.findings:
                if finding.temporal == "current" and finding.existence != "absent":
                    self.findings += 1
                    self.organs[finding.structure] += 1
                    self.organs_sized[finding.structure] += bool(finding.diameters_mm)
            self.clear.update({name.split(":")[0] for name in report.clear_structures})
            self.removed.update({name.split(":")[0] for name in report.removed_structures})
            self.flags.update(flag.code for flag in report.flags)
            yield report

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

    def pair(self, findings: Iterable[ReportFindings]) -> Iterator[ReportFindings]:
        for report in findings:
            if report.study_id in self._texts:
                self._pairs.append((self._texts.pop(report.study_id), report))
            yield report

    def write(self, path: Path) -> None:
        from dictamen.files import atomic_path
        from dictamen.reports.highlights import page

        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(page(self._pairs))
