"""Refresh: brings the look of layers from afar to what they are, where loads have touched it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.derivation import derivation
from pipeline.db.engine import Connection, Database
from pipeline.derive import generalised
from pipeline.tiling.levels import Levels

Progress = Callable[[str], None]


@dataclass(frozen=True)
class LevelState:
    """How fresh the look of a layer is; ``chunks`` of the latest refresh, None for all."""

    layer: str
    state: str
    refreshed: str | None
    seconds: float | None
    rows: int | None
    chunks: int | None
    trouble: str | None
    run: int
    undone: int
    run_now: int
    undone_now: int


@dataclass(frozen=True)
class Refreshed:
    """What became of one layer: ``rows`` shapes were written for ``chunks`` (None: all)."""

    layer: str
    rows: int
    chunks: int | None
    seconds: float


def states(database: Database) -> list[LevelState]:
    """Every generalised layer, by name."""
    with database.connect("loader") as connection:
        return _states(connection)


def _states(connection: Connection) -> list[LevelState]:
    rows = connection.execute(queries.load("generalised")["states"]).fetchall()
    return [LevelState(*row) for row in rows]  # type: ignore[arg-type]


def refresh(
    database: Database,
    schemas: Schemas,
    *,
    layers: Iterable[str] | None = None,
    anew: bool = False,
    first: bool = True,
    progress: Progress | None = None,
    role: str = "loader",
) -> list[Refreshed]:
    """Brings the shapes of ``layers`` (None: of all) up to date, one transaction a layer; those
    that are fresh are left alone unless ``anew``, those that were never made unless ``first``.
    ``role`` is the login that does it.

    Raises MakanError; then what stands is marked stale with the reason.
    """
    wanted = [
        layer for layer in generalised.layers(schemas) if layers is None or layer.id in set(layers)
    ]
    found = []
    for layer in wanted:
        alone = f"makan generalise {layer.id}"
        with derivation(database, role, "generalised", [layer.id], alone) as connection:
            done = _one(connection, schemas, layer, anew=anew, first=first, say=progress)
        if done:
            found.append(done)
    return found


def _one(
    connection: Connection,
    schemas: Schemas,
    layer: LayerContract,
    *,
    anew: bool,
    first: bool,
    say: Progress | None,
) -> Refreshed | None:
    begun = time.monotonic()
    state = next(one for one in _states(connection) if one.layer == layer.id)
    never = state.state == "never"
    if (state.state == "fresh" and not anew) or (never and not first):
        return None
    if say:
        say(layer.id)
    job = Levels(connection, schemas, layer)
    whole = anew or never or bool(state.trouble) or state.undone != state.undone_now
    boxes = None if whole else job.moved(state.run)
    rows, chunks = job.run(boxes)
    seconds = time.monotonic() - begun
    job.execute(
        "refreshed", seconds=seconds, chunks=chunks, run=state.run_now, undone=state.undone_now
    )
    return Refreshed(layer.id, rows, chunks, seconds)
