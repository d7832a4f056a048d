"""``makan access``: keys for those who see more than everybody."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.contracts.audience import Audience
from pipeline.contracts.registry import Schemas
from pipeline.db import access as keys
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.serve import served
from pipeline.serve.within import Area
from pipeline.settings import Settings

_AUDIENCE = click.option("--audience", default="staff", show_default=True, help="Of its server.")


@click.group()
def access() -> None:
    """Give, list and revoke the keys of servers that are not for everybody.

    Clients send a key as the password of Basic, with NAME as the user, or in the header X-API-Key.
    """


@access.command()
@click.argument("name")
@_AUDIENCE
@click.option("--days", type=click.IntRange(1), help="How long it is valid; for ever unless said.")
@click.option(
    "--writes",
    multiple=True,
    metavar="LAYER",
    help="A layer whose rows the key may write; * for every one that the audience may.",
)
@click.option(
    "--area",
    metavar="COLLECTION/KEY",
    help="Where its holder works, such as regions/1: lists begin with it, searches go everywhere.",
)
@as_json
@click.pass_obj
def add(
    settings: Settings,
    name: str,
    audience: str,
    days: int | None,
    writes: tuple[str, ...],
    area: str | None,
    as_json: bool,
) -> None:
    """Give NAME a key. It is printed once and kept nowhere: only its hash is in the database.

    It reads, unless told what it --writes.
    """
    schemas = options.schemas(settings)
    found = schemas.audience(audience)
    _refuse_unwritable(schemas, found, writes)
    _refuse_no_area(schemas, found, area)
    with Database(settings).connect("loader") as connection:
        key = keys.add(connection, name, found, days=days, writes=writes, area=area)
    if as_json:
        options.emit({"name": name, "audience": found.id, "key": key})
    else:
        options.out(key)
        options.console().print(f"the key of {escape(name)}: it cannot be shown again")


def _refuse_unwritable(schemas: Schemas, audience: Audience, writes: tuple[str, ...]) -> None:
    for name in set(writes) - {keys.EVERYTHING}:
        if not audience.may(schemas.layer(name)):
            every = [layer.id for layer in schemas.layers.values() if audience.may(layer)]
            raise SettingsError(
                f"the audience {audience.id} does not write {name}",
                todo=f"It may write: {', '.join(every)}.",
            )


def _refuse_no_area(schemas: Schemas, audience: Audience, area: str | None) -> None:
    if area is None:
        return
    name, _, key = area.partition("/")
    shown = [one for one in served.catalog(schemas, audience).values() if Area.can_be(one)]
    if not key or name not in [one.id for one in shown]:
        known = ", ".join(f"{one.id}/…" for one in shown)
        raise SettingsError(f"{area} is no area", todo=f"It may be: {known}.")


@access.command()
@click.argument("name")
@_AUDIENCE
@click.pass_obj
def revoke(settings: Settings, name: str, audience: str) -> None:
    """Take NAME's key back; it opens nothing from the next second on."""
    found = options.schemas(settings).audience(audience)
    with Database(settings).connect("loader") as connection:
        keys.revoke(connection, name, found)
    options.out(f"{name}: revoked")


@access.command("list")
@as_json
@click.pass_obj
def list_keys(settings: Settings, as_json: bool) -> None:
    """List every key that was ever given, and whether it is in force."""
    with Database(settings).connect("loader") as connection:
        found = keys.keys(connection)
    if as_json:
        options.emit([asdict(key) for key in found])
        return
    table = Table(box=None, pad_edge=False)
    for title in (
        "name",
        "audience",
        "in force",
        "writes",
        "area",
        "created",
        "by",
        "expires",
        "revoked",
    ):
        table.add_column(title)
    for key in found:
        times = (key.expires, key.revoked)
        ends = (time.isoformat(" ", "minutes") if time else "" for time in times)
        state = "yes" if key.in_force else "no"
        created = key.created.isoformat(" ", "minutes")
        written = " ".join(key.writes)
        cells = (
            key.name,
            key.audience,
            state,
            written,
            key.area or "",
            created,
            key.created_by,
            *ends,
        )
        table.add_row(*(escape(cell) for cell in cells))
    options.paper().print(table)
