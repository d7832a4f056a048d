"""``makan quarantine`` and ``makan resubmit``: rows go back to their office, and come corrected."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli import options
from pipeline.cli.fresh import keep_fresh
from pipeline.cli.options import as_json
from pipeline.db.engine import Database
from pipeline.db.ledger import Run
from pipeline.report import export
from pipeline.report import resubmit as returned
from pipeline.report.origin import origin
from pipeline.settings import Settings

_RUN = click.IntRange(1)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("number", metavar="RUN", type=_RUN)
@click.option("--out", required=True, type=_FILE, help="A new .gpkg or .xlsx.")
@click.option("--all", "closed", is_flag=True, help="Also rows that are corrected by now.")
@click.pass_obj
def quarantine(settings: Settings, number: int, out: Path, closed: bool) -> None:
    """Write the rows that RUN set aside, with the reasons, to be corrected and resubmitted.

    The columns have the source's own names; makan_line tells each row's place in the file that
    came, and must stay. A GeoPackage holds the geometry as it arrived.
    """
    with Database(settings).connect("loader") as connection:
        found = origin(connection, options.schemas(settings), number)
        rows = export.export(connection, found, out, closed=closed)
    options.out(f"{out.name}: {rows} rows of run {number}; {_after(found.run, rows)}")


def _after(run: Run, rows: int) -> str:
    """What can be done with the rows; nobody shall correct for days what is refused afterwards."""
    if run.status != "done":
        return f"the run is {run.status}, so they cannot be resubmitted: load the file again first"
    if not rows:
        return "none waits for its correction"
    return f"`makan resubmit {run.id} FILE` takes them"


@click.command()
@click.argument("number", metavar="RUN", type=_RUN)
@click.argument("file", type=_FILE)
@as_json
@click.pass_obj
def resubmit(settings: Settings, number: int, file: Path, as_json: bool) -> None:
    """Load FILE, the corrected rows of RUN's quarantine; what is right now is closed.

    A partial delivery of the same feed: nothing is removed. Rows of a workbook keep the geometry
    that they arrived with. What is still wrong stays open, with its new reasons.
    """
    schemas = options.schemas(settings)
    done = returned.resubmit(Database(settings), schemas, number, file, progress=lambda *_: None)
    keep_fresh(settings, schemas, {done.outcome.layer}, first=False)
    if as_json:
        counts = [
            {"code": code, "field": field, "rows": rows}
            for (code, field), rows in sorted(done.outcome.counts.items(), key=str)
        ]
        options.emit({**asdict(done), "outcome": {**asdict(done.outcome), "counts": counts}})
    else:
        _tell(done)
    if done.still_open:
        raise click.exceptions.Exit(1)


def _tell(done: returned.Resubmitted) -> None:
    account, outcome = done.outcome.account, done.outcome
    options.out(f"run {outcome.run} corrects run {done.of}: {outcome.message or outcome.status}")
    if not outcome.message:
        options.out(
            f"  arrived {account.arrived} = {account.skipped} skipped + {account.inserted} inserted"
            f" + {account.updated} updated + {account.unchanged} unchanged"
            f" + {account.quarantined} quarantined"
        )
    options.out(f"  {done.closed} rows closed, {done.still_open} of run {done.of} still open")
