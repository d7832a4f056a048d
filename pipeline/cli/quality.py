"""``makan quality``: how good the published data are, by ISO 19157, and what somebody accepts."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.db import quality as measured
from pipeline.db import sources
from pipeline.db.engine import Database
from pipeline.db.quality import Fault
from pipeline.settings import Settings


@click.group(invoke_without_command=True)
@click.option("--layer", help="Of this layer only.")
@click.option("--gate", is_flag=True, help="Exit with 1 unless no error is open.")
@as_json
@click.pass_context
def quality(context: click.Context, layer: str | None, gate: bool, as_json: bool) -> None:
    """Tell how good the published data are: findings in force, ISO 19157 results, release or not.

    A layer is fit for release when every error of its deliveries in force has come back corrected
    or is accepted by name.
    """
    if context.invoked_subcommand is not None:
        return
    settings: Settings = context.obj
    if layer is not None and layer not in options.schemas(settings).rasters:
        options.schemas(settings).layer(layer)
    with Database(settings).connect("loader") as connection:
        faults = measured.faults(connection, layer)
        results = measured.results(connection, layer)
        models = [one for one in sources.models(connection) if layer in (None, one.raster)]
    waiting = sum(fault.open for fault in faults if fault.finding_severity == "error")
    if as_json:
        told = {"release": not waiting, "open_errors": waiting, "results": results}
        made_of = {"models": [asdict(one) for one in models]}
        options.emit({**told, "findings": [asdict(fault) for fault in faults], **made_of})
    else:
        _print(faults, results, waiting)
        for one in models:
            options.out(str(one))
    if gate and waiting:
        raise click.exceptions.Exit(1)


@quality.command()
@click.argument("run", type=click.IntRange(1))
@click.argument("code")
@click.option("--reason", required=False, default="", help="Why; it is kept with your name.")
@click.option("--withdraw", is_flag=True, help="Take the acceptance back.")
@click.pass_obj
def accept(settings: Settings, run: int, code: str, reason: str, withdraw: bool) -> None:
    """Accept what RUN has found of CODE (such as rule.broken): it no longer hinders a release."""
    with Database(settings).connect("loader") as connection:
        if withdraw:
            measured.withdraw(connection, run, code)
            options.out(f"run {run}: {code} is open again")
            return
        count = measured.accept(connection, run, code, reason)
    options.out(f"run {run}: {count} findings {code} are accepted")


def _print(faults: list[Fault], results: list[dict[str, object]], waiting: int) -> None:
    paper = options.paper()
    paper.print(_results_table(results))
    if faults:
        paper.print(_faults_table(faults))
    verdict = (
        "fit for release" if not waiting else f"not fit for release: {waiting} errors are open"
    )
    paper.print(verdict)


def _results_table(results: list[dict[str, object]]) -> Table:
    table = Table(title="measured", title_justify="left", box=None, pad_edge=False)
    titles = ("layer", "run", "element", "measure", "field", "value", "unit", "rows", "passed")
    for title in titles:
        table.add_column(title, justify="right" if title in ("run", "value", "rows") else "left")
    for one in results:
        cells = {**one, "field": one["field"] or "", "passed": "yes" if one["passed"] else "no"}
        cells["value"] = f"{one['value']:.4g}" if one["unit"] == "%" else f"{one['value']:.0f}"
        table.add_row(*(escape(str(cells[title])) for title in titles))
    return table


def _faults_table(faults: list[Fault]) -> Table:
    table = Table(title="found", title_justify="left", box=None, pad_edge=False)
    counts = ("findings", "open", "accepted", "fixed")
    for title in ("layer", "feed", "run", "element", "severity", *counts):
        table.add_column(title, justify="right" if title in ("run", *counts) else "left")
    for one in faults:
        cells = (one.layer_id, one.feed_id, one.run_number, one.quality_element)
        told = (*cells, one.finding_severity, *(getattr(one, name) for name in counts))
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in told))
    return table
