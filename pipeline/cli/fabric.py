"""``makan fabric``: how loaded rows lie among each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.fabric import check as checking
from pipeline.fabric.check import Checked
from pipeline.settings import Settings


@click.group()
def fabric() -> None:
    """Check how loaded rows lie among each other: overlaps, gaps, containers, neighbours."""


@fabric.command("check")
@click.option("--layer", "layers", multiple=True, help="This layer and those judged by it; several "
              "times for several. All layers unless given.")  # fmt: skip
@click.option("--changed", is_flag=True, help="Only where loads have changed something since the "
              "last check; what stands elsewhere stays.")  # fmt: skip
@as_json
@click.pass_obj
def check(settings: Settings, layers: tuple[str, ...], changed: bool, as_json: bool) -> None:
    """Check the fabric rules of the layers; findings replace those of the check before.

    Exit code 1 says that findings of severity error stand. `makan report RUN` tells them.
    """
    schemas = options.schemas(settings)
    with _progress() as progress:
        done = checking.check(
            Database(settings), schemas, layers, changed=changed, progress=progress
        )
    if as_json:
        options.emit([{**asdict(one), "errors": one.errors} for one in done])
    else:
        _print(done, schemas)
    if any(one.errors for one in done):
        raise click.exceptions.Exit(1)


@contextmanager
def _progress() -> Iterator[checking.Progress]:
    columns = (TextColumn("fabric"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=options.console(), transient=True) as bar:
        task = bar.add_task("fabric", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(done: list[Checked], schemas: Schemas) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("run", "layer", "rule", "", "rows", "found", "severity", "code"):
        table.add_column(title, justify="right" if title in ("run", "rows", "found") else "left")
    for one in done:
        for rule in schemas.layer(one.layer).fabric:
            head = [str(one.run or ""), one.layer, rule.id, rule.rule or ""]
            if rule.id in one.unchecked:
                table.add_row(*head, "", "", "", escape(f"not checked: {one.unchecked[rule.id]}"))
                continue
            stands = [stood for stood in one.stands if stood.rule == rule.id]
            rows = str(one.rows) if rule.tiled else "all"
            if not stands:
                table.add_row(*head, rows, "0", "", "")
            for stood in stands:
                table.add_row(*head, rows, str(stood.count), stood.severity, stood.code)
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=160)).print(table)
    seconds = max((one.seconds for one in done), default=0.0)
    looked = sum(one.rows for one in done)
    options.out(f"{looked:,} rows looked at in {seconds:.1f} s")
