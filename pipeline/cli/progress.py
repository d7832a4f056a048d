"""Progress for people: one line a stage, with what is done of how much and when it will end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pipeline.cli import options
from pipeline.spread.executor import Watch, Watching


@contextmanager
def stages() -> Iterator[Watching]:
    """A line for every stage that begins, on standard error."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=options.console(),
    ) as bar:

        def watching(stage: str) -> Watch:
            line = bar.add_task(stage, total=None)
            return lambda done, whole: bar.update(line, completed=done, total=whole)

        yield watching
