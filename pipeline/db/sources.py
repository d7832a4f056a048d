"""Rasters that are made of layers: how far each was known then, and which have changed since.

The ledger tells it (``ops.raster_state``). What is out of date is also a finding of the run that
made the raster, so that it stands with everything else that is known of the published data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from pipeline.db import queries
from pipeline.db.ledger import Connection
from pipeline.findings import Catalog

_OUTDATED = "terrain.outdated"


@dataclass(frozen=True, slots=True)
class Known:
    """How far a layer was known: its latest load (0: none), and how many were undone by then."""

    layer: str
    run: int
    undone: int


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What a raster is made of: ``recipe`` is a digest of all that decides it but the rows."""

    recipe: str
    layers: tuple[Known, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A layer that has changed since: the load that was known, the latest one, and when it came."""

    layer: str
    known: int
    latest: int
    when: str | None


@dataclass(frozen=True, slots=True)
class Model:
    """A raster in force that is made of ``layers``; ``changes`` tells those that have moved on.

    ``path`` is relative to MAKAN_HOME, ``cell_m`` in metres, ``run`` the one that loaded it.
    """

    raster: str
    sheet: str
    run: int
    path: str
    acquired: date | None
    cell_m: float
    recipe: str
    layers: tuple[str, ...]
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        moved = ", ".join(f"{one.layer} (run {one.latest})" for one in self.changes)
        told = f"older than {moved}: `makan dem build --loaded`" if moved else "as its layers are"
        return f"{self.raster} {self.sheet} of run {self.run} is {told}"


def known(connection: Connection, layers: Iterable[str]) -> tuple[Known, ...]:
    """How far ``layers`` are known in the snapshot of ``connection``."""
    query, values = queries.load("raster")["known_layers"], {"layers": list(layers)}
    rows = connection.execute(query, values).fetchall()
    return tuple(Known(str(layer), int(str(run)), int(str(undone))) for layer, run, undone in rows)


def enter(connection: Connection, run: int, made: MadeOf) -> None:
    """Keeps what the raster that ``run`` has put in force is made of, in the caller's transaction;
    what was told of it before holds no more."""
    named = queries.load("raster")
    values = {
        "run": run,
        "recipe": made.recipe,
        "layers": [one.layer for one in made.layers],
        "runs": [one.run for one in made.layers],
        "undone": [one.undone for one in made.layers],
        "code": _OUTDATED,
    }
    for name in ("made_by", "forget_sources", "enter_sources", "not_outdated"):
        connection.execute(named[name], values)


def models(connection: Connection) -> list[Model]:
    """Every raster in force that is made of layers."""
    rows = connection.execute(queries.load("raster")["models"]).fetchall()
    found: dict[tuple[str, str], Model] = {}
    for raster, sheet, run, path, acquired, cell, recipe, layers, changed in rows:
        changes = [Change(*one) for one in changed]  # type: ignore[attr-defined]
        found[str(raster), str(sheet)] = Model(
            str(raster), str(sheet), int(str(run)), str(path), acquired,  # type: ignore[arg-type]
            float(str(cell)), str(recipe), tuple(layers), tuple(changes),  # type: ignore[arg-type]
        )  # fmt: skip
    return list(found.values())


def tell(connection: Connection, catalog: Catalog) -> list[Model]:
    """The models that are out of date; each has a finding that says so, and no other has."""
    named, outdated = queries.load("raster"), []
    for model in models(connection):
        connection.execute(named["not_outdated"], {"run": model.run, "code": _OUTDATED})
        for change in model.changes:
            told = {
                "run": model.run, "code": _OUTDATED, "severity": catalog.severity(_OUTDATED),
                "layer": model.raster, "key": model.sheet, "value": change.layer,
                "detail": str(change.latest),
            }  # fmt: skip
            connection.execute(named["finding"], told)
        if model.changes:
            outdated.append(model)
    return outdated
