"""Lines: one of progress for each file that is loaded, with rows a second and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from pipeline.cli import options
from pipeline.stages.outcome import Progress as Watch


class Drawn:
    """The lines of one command."""

    def __init__(self, bar: Progress) -> None:
        """``bar`` is running."""
        self.bar = bar

    def watch(self, title: str) -> Watch:
        """A callback that moves a new line."""
        task = self.bar.add_task(title, total=None)

        def move(done: int, total: int) -> None:
            self.bar.update(task, completed=done, total=total)

        return move

    def print(self, text: str) -> None:
        """The account of one file, above the lines."""
        self.bar.console.print(text, markup=False, soft_wrap=True)


@contextmanager
def lines() -> Iterator[Drawn]:
    """On standard error, gone at the end."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=options.console(),
        transient=True,
    ) as bar:
        yield Drawn(bar)


class _Speed(TextColumn):
    """Rows a second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Any) -> Any:
        """The speed, once it is known."""
        self.text_format = f"{task.speed:,.0f} rows/s" if task.speed else ""
        return super().render(task)
