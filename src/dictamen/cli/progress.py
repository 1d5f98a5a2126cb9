"""A progress bar with the time left, on stderr; silent where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Update(Protocol):
    """Moves a bar to `done` of `total`; `words` say what is going on."""

    def __call__(self, done: int, total: int, words: str = "") -> None: ...


@contextmanager
def bar(title: str) -> Iterator[Update]:
    """Yield `update(done, total, words)`."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)

        def update(done: int, total: int, words: str = "") -> None:
            progress.update(task, completed=done, total=total, description=f"{title}: {words}" if words else title)

        yield update
