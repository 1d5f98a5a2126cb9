"""Map a pure function over studies: in one process, several, or on a Dask cluster; one failure never stops the rest."""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from dictamen.errors import OUT_OF_MEMORY, DictamenError, InputError, ResourceError, UsageError, resource_error

Item = TypeVar("Item")
Read = TypeVar("Read")
Computed = TypeVar("Computed")
Value = TypeVar("Value")
Progress = Callable[[int, int], None]
"""Called with (studies done, studies in all) after each study."""


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """What became of one study: a value, or the error that its own data caused."""

    study_id: str
    value: Value | None = None
    error: DictamenError | None = None


def map_studies(
    function: Callable[[Item], Value],
    items: Sequence[tuple[str, Item]],
    *,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome[Value]]:
    """Yield one `Outcome` for each (study_id, item), in the given order, as they become ready.

    Args:
        function: pure and, for jobs > 1, a module-level function or a `functools.partial` of one.
        items: (study_id, what the function takes).
        jobs: processes; 1 runs in this process. Workers use one thread each, so that they don't fight for cores.
        cluster: address of a Dask scheduler, whose workers do it instead.
        progress: see `Progress`.

    Raises:
        UsageError: `jobs` is below 1; the cluster can't be reached, or Dask is not installed.
        ResourceError: disk full, folder not writable, a worker was killed: going on would only repeat it.
    """
    if jobs < 1:
        raise UsageError("`jobs` must be at least 1.", got=jobs)
    if cluster is not None:
        outcomes = _on_cluster(function, items, cluster)
    else:
        outcomes = _outcomes(function, items, jobs=min(jobs, max(1, len(items))))
    yield from _told(outcomes, len(items), progress)


def map_stages(
    read: Callable[[Item], Read],
    compute: Callable[[Read], Computed],
    write: Callable[[Computed], Value],
    items: Sequence[tuple[str, Item]],
    *,
    progress: Progress | None = None,
) -> Iterator[Outcome[Value]]:
    """As `map_studies` in this process, but the next study is read and the last one written while one is computed.

    Three studies are in memory at most. `compute` runs in the calling thread; what is being written when it is
    interrupted is written to its end.

    Args:
        read, compute, write: each takes what the one before gave.

    Raises:
        ResourceError: as `map_studies`.
    """
    yield from _told(_staged(read, compute, write, items), len(items), progress)


def _staged(
    read: Callable[[Item], Read],
    compute: Callable[[Read], Computed],
    write: Callable[[Computed], Value],
    items: Sequence[tuple[str, Item]],
) -> Generator[Outcome[Value], None, None]:
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        waiting = iter(items)
        coming = _submit(reader, read, next(waiting, None))
        written: Future[Outcome[Value]] | None = None
        while coming is not None:
            opened = coming.result()
            coming = _submit(reader, read, next(waiting, None))
            computed = _then(compute, opened)
            del opened
            if written is not None:
                yield written.result()
            written = writer.submit(partial(_then, write, computed))
            del computed
        if written is not None:
            yield written.result()


def _submit(
    reader: ThreadPoolExecutor, read: Callable[[Item], Read], item: tuple[str, Item] | None
) -> Future[Outcome[Read]] | None:
    return None if item is None else reader.submit(partial(_attempt, read, item[0], item[1]))


def _then(function: Callable[[Read], Value], before: Outcome[Read]) -> Outcome[Value]:
    if before.value is None:
        return Outcome(before.study_id, error=before.error)
    return _attempt(function, before.study_id, before.value)


def _told(
    outcomes: Generator[Outcome[Value], None, None], total: int, progress: Progress | None
) -> Iterator[Outcome[Value]]:
    with closing(outcomes):
        for done, outcome in enumerate(outcomes, start=1):
            if isinstance(outcome.error, ResourceError) and outcome.error.what != OUT_OF_MEMORY:
                raise outcome.error
            if progress is not None:
                progress(done, total)
            yield outcome


def _outcomes(
    function: Callable[[Item], Value], items: Sequence[tuple[str, Item]], *, jobs: int
) -> Generator[Outcome[Value], None, None]:
    if jobs == 1:
        for study_id, item in items:
            yield _attempt(function, study_id, item)
        return
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with parallel_config(backend="loky", inner_max_num_threads=1):
        # one study at a time to each worker: volumes are large and their times differ
        pool = Parallel(n_jobs=jobs, return_as="generator", batch_size=1, pre_dispatch="2*n_jobs")
        try:
            yield from pool(delayed(_attempt)(function, study_id, item) for study_id, item in items)
        except TerminatedWorkerError as error:
            raise ResourceError(
                "A worker process was killed, most likely for want of memory.",
                next_step="use fewer processes (--jobs), then run the same command with --resume",
            ) from error


CONNECT_S = 15
"""Seconds that a Dask scheduler is given to answer."""


def _on_cluster(
    function: Callable[[Item], Value], items: Sequence[tuple[str, Item]], address: str
) -> Generator[Outcome[Value], None, None]:
    """In order, with twice as many studies on their way as the cluster has threads."""
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise UsageError("Dask is not installed.", next_step="pip install 'dictamen[cluster]'") from None
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError):
        raise UsageError(
            "The Dask scheduler does not answer.", got=address, next_step="check the address, and that it runs"
        ) from None
    with client:
        waiting: deque[Any] = deque()
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
            ahead = 2 * sum(client.nthreads().values())
            for study_id, item in items:
                waiting.append(client.submit(_attempt, function, study_id, item, pure=False))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except TimeoutError:
            raise ResourceError("The Dask cluster has no worker.", where=address, next_step="start one") from None
        except KilledWorker:
            raise ResourceError(
                "Workers of the Dask cluster were killed, most likely for want of memory.",
                where=address,
                next_step="give them more, then run the same command with --resume",
            ) from None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _attempt(function: Callable[[Item], Value], study_id: str, item: Item) -> Outcome[Value]:
    try:
        return Outcome(study_id, value=function(item))
    except DictamenError as error:
        return Outcome(study_id, error=error)
    except Exception as error:  # a defect of ours or of a library must not stop the other studies
        return Outcome(study_id, error=resource_error(error, study_id) or _unexpected(error, study_id))


def _unexpected(error: Exception, study_id: str) -> InputError:
    """Name the kind of error and the line; its text is left out, since it could quote a report."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return InputError(
        f"An unexpected {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}.",
        where=study_id,
        next_step="please report this as a defect, with the versions in use",
    )
