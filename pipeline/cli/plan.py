"""``makan plan``: editions of the plan, what they say of a parcel, and which is in force."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import click

from pipeline.cli import options
from pipeline.cli.fresh import keep_fresh
from pipeline.cli.options import as_json
from pipeline.db.engine import Database
from pipeline.edits import promote as succession
from pipeline.findings import Catalog
from pipeline.joins import plan as plans
from pipeline.settings import Settings


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def plan(context: click.Context, as_json: bool) -> None:
    """Tell whether each edition of the plan is whole; promote a draft."""
    if context.invoked_subcommand is not None:
        return
    settings: Settings = context.obj
    found = plans.editions(Database(settings), options.schemas(settings))
    if as_json:
        options.emit([asdict(one) for one in found])
        return
    for one in found:
        for place, (name, value) in enumerate(asdict(one).items()):
            shown = f"{value:,.2f}" if isinstance(value, float) else value
            options.out(f"{'  ' if place else ''}{name}: {shown}")


@plan.command("of")
@click.argument("code")
@click.pass_obj
def of(settings: Settings, code: str) -> None:
    """What the plans say of the parcel CODE, as JSON: a row for each zone and rule."""
    options.emit(plans.of_parcel(Database(settings), code))


@plan.command("promote")
@click.argument("edition")
@click.option(
    "--accept",
    multiple=True,
    type=click.Choice(succession.ACCEPTABLE),
    help="Promote it although this was found; the ledger keeps it.",
)
@click.option(
    "--valid-from",
    callback=options.moment,
    metavar="DATE",
    help="From when it is in force: 2024-03-20 or 1403/01/01; else from now.",
)
@as_json
@click.pass_obj
def promote(
    settings: Settings,
    edition: str,
    accept: tuple[str, ...],
    valid_from: datetime | None,
    as_json: bool,
) -> None:
    """Put the draft EDITION in force; the editions in its place are superseded, at once.

    One change of the ledger, which `makan undo` takes back. Refused where its zones leave gaps or
    overlap, or where it leaves ground of the former edition without a plan.
    """
    schemas = options.schemas(settings)
    done = succession.promote(
        Database(settings), schemas, edition, accept=frozenset(accept), valid_from=valid_from
    )
    if as_json:
        options.emit(asdict(done))
    else:
        former = f"; {', '.join(done.superseded)} superseded" if done.superseded else ""
        options.out(f"run {done.run}: {done.edition} is in force{former}")
        catalog = Catalog.load()
        for one in done.findings:
            options.out(f"  {catalog.severity(one.code)} {one.code}: {catalog.message(one)}")
    keep_fresh(settings, schemas, {done.layer}, first=False)
