"""Many reports: read one by one or in several processes; one bad report never stops the rest."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from dictamen.errors import DictamenError
from dictamen.parallel import map_studies
from dictamen.reports.lexicon import ENGLISH, load
from dictamen.reports.reader import Report
from dictamen.reports.rules import read_report
from dictamen.reports.schema import Flag, ReportFindings

BATCH = 64
"""Reports that a process takes at a time; one by one, sending them would cost more than reading them."""
IN_FLIGHT = 64
"""Batches in memory at a time: keeps memory flat for files of any size."""


def find(
    reports: Iterable[Report],
    *,
    site: Path | None = None,
    language: str = ENGLISH,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[ReportFindings]:
    """Findings of each report, in order.

    Args:
        reports: from `reader.read_reports`.
        site: a site's lexicon overlay.
        language: of the reports.
        jobs: processes.
        cluster: address of a Dask scheduler, whose workers read instead; they must see the overlay at its path.
        progress: called with the number of reports done.

    Raises:
        InputError: a broken overlay; whatever `reports` raises.
    """
    load(site, language)
    done = 0
    stream = iter(reports)
    batches = _batches(stream)
    while group := list(islice(batches, IN_FLIGHT if jobs > 1 or cluster else 1)):
        items = [(batch[0].study_id, batch) for batch in group]
        outcomes = map_studies(partial(_read_batch, site=site, language=language), items, jobs=jobs, cluster=cluster)
        for outcome, batch in zip(outcomes, group, strict=True):
            results = outcome.value or [_failed(report, outcome.error) for report in batch]
            done += len(batch)
            if progress is not None:
                progress(done)
            yield from results


def _batches(reports: Iterator[Report]) -> Iterator[Sequence[Report]]:
    while batch := list(islice(reports, BATCH)):
        yield batch


def _read_batch(batch: Sequence[Report], *, site: Path | None, language: str) -> list[ReportFindings]:
    lexicon = load(site, language)
    results = []
    with _collection_paused():
        for report in batch:
            try:
                results.append(read_report(report.text, report.study_id, lexicon=lexicon))
            except Exception as error:  # a bug on one report must not lose the others; it is flagged, without its text
                results.append(_failed(report, error))
    return results


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Without looking for reference cycles, of which reading makes few: a quarter of the time otherwise."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _failed(report: Report, error: Exception | DictamenError | None) -> ReportFindings:
    message = f"The report could not be read ({type(error).__name__})."
    return ReportFindings(study_id=report.study_id, flags=(Flag(code="failed", message=message),))
