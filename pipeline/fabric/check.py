"""Check: all fabric rules over what is loaded, tile by tile, and what stands afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np

from pipeline.contracts.fabric import FabricRule
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger
from pipeline.db.city import check_city
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.fabric import adjoin, contain, cross, fill, overlap
from pipeline.fabric.asked import ask
from pipeline.fabric.faults import Faults
from pipeline.fabric.part import Part
from pipeline.fabric.plan import Chosen, Work, asked, near, plan, reach
from pipeline.fabric.record import Stood, record, since
from pipeline.fabric.source import Reader, Source, snapshot
from pipeline.fabric.tiles import Asked, tiles

Progress = Callable[[int, int], None]
Found = dict[tuple[str, str], Faults]
Box = tuple[float, float, float, float]

TILE_ROWS = 20_000
_THREADS = 2


@dataclass
class Checked:
    """How the check of one layer ended. ``stands`` counts what stands by rule, code and severity;
    ``rows`` were looked at, ``whole`` whether these are all. ``run`` is None where no rule could
    be checked, now and before."""

    layer: str
    run: int | None
    rows: int
    whole: bool
    stands: list[Stood]
    rules: list[str]
    unchecked: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def errors(self) -> int:
        """How many findings of severity error stand."""
        return sum(one.count for one in self.stands if one.severity == "error")


def check(
    database: Database,
    schemas: Schemas,
    layers: tuple[str, ...] = (),
    *,
    changed: bool = False,
    progress: Progress = lambda *_: None,
    tile_rows: int = TILE_ROWS,
) -> list[Checked]:
    """Checks ``layers`` and those that are judged by them (all if none is named).

    ``changed``: only rows in or near places that loads have touched since the last check. What
    stood before about rows that are looked at is replaced. Raises SettingsError for a layer
    without fabric rules, DatabaseError when another check is under way.
    """
    begun = time.monotonic()
    for name in layers:
        if not schemas.layer(name).fabric and not _judges(schemas, name):
            raise SettingsError(
                f"no fabric rule concerns {name}", todo="See [[fabric]] in schemas/layers."
            )
    with database.connect("loader", autocommit=True) as connection:
        check_city(connection, schemas)
        ledger.lock(connection, "fabric")
        with snapshot(database, schemas) as source:
            works = plan(source, layers)
            for work in works:
                work.since = since(source, work) if changed else None
            found, counts = _run(source, works, progress, tile_rows)
            made = [
                _told(record(database, source, work, asked, found), work, len(asked.ids))
                for work, asked in zip(works, counts, strict=True)
            ]
    for one in made:
        one.seconds = time.monotonic() - begun
    return made


def around(source: Source, layer: str, boxes: list[Box], chosen: Chosen) -> Found:
    """What the ``chosen`` rules that ``layer`` has a part in say of rows in or near ``boxes`` (in
    the city's CRS), as the transaction of ``source`` sees them; only rules about shapes."""
    schemas, reader = source.schemas, Reader(source.connection, source.schemas)
    shaped = plan(source, (layer,), lambda own, rule: rule.tiled and chosen(own, rule))
    works = [work for work in shaped if work.rules]
    counts = [near(work, reader, schemas, boxes) for work in works]
    by_layer = {work.layer.id: work for work in works}
    found: Found = {}
    for piece in tiles([one for one in counts if len(one.ids)], TILE_ROWS):
        _merge(found, _tile(reader, piece, by_layer))
    return found


def _judges(schemas: Schemas, name: str) -> bool:
    return any(rule.other == name for layer in schemas.layers.values() for rule in layer.fabric)


def _told(recorded: tuple[int | None, list[Stood]], work: Work, rows: int) -> Checked:
    run, stands = recorded
    rules = [rule.id for rule in work.rules]
    whole = work.since is None
    return Checked(work.layer.id, run, rows, whole, stands, rules, work.unchecked)


def _run(
    source: Source, works: list[Work], progress: Progress, tile_rows: int
) -> tuple[Found, list[Asked]]:
    """All tiles, two at a time; memory holds two tiles, a box a row, and what was found."""
    with ExitStack() as stack:
        readers: SimpleQueue[Reader] = SimpleQueue()
        for _ in range(_THREADS):
            readers.put(stack.enter_context(source.reader()))
        first = readers.get()
        counts = [asked(work, first, source.schemas) for work in works]
        readers.put(first)
        pieces = list(tiles([one for one in counts if len(one.ids)], tile_rows))
        by_layer = {work.layer.id: work for work in works}

        def look(piece: list[Asked]) -> Found:
            reader = readers.get()
            try:
                return _tile(reader, piece, by_layer)
            finally:
                readers.put(reader)

        found: Found = {}
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="makan-fabric") as pool:
            parts = pool.map(look, pieces)
            # What looks at all rows at once mostly waits for the database: meanwhile tiles go on.
            for work in works:
                for rule in work.rules:
                    if not rule.tiled:
                        found[work.layer.id, rule.id] = ask(source, work.layer, rule)
            for done, part in enumerate(parts, start=1):
                _merge(found, part)
                progress(done, len(pieces))
    return found, counts


def _merge(found: Found, part: Found) -> None:
    for place, faults in part.items():
        found.setdefault(place, Faults()).extend(faults)


def _tile(reader: Reader, piece: list[Asked], works: dict[str, Work]) -> Found:
    """Reads every layer that the tile's rules need once, and applies the rules."""
    needs = _needs(piece, works, reader.schemas.city.metres_per_unit)
    own = {asked.layer: asked.ids for asked in piece}
    nobody = np.zeros(0, dtype=np.int64)
    parts = {
        layer: reader.part(layer, fields, box, own.get(layer, nobody))
        for layer, (box, fields) in needs.items()
    }
    found: Found = {}
    for one in piece:
        for rule in works[one.layer].tiled:
            other = parts[rule.other or one.layer]
            faults = apply(rule, parts[one.layer], other, reader.schemas)
            if len(faults):
                found[one.layer, rule.id] = faults
    return found


def _needs(
    piece: list[Asked], works: dict[str, Work], metres: float
) -> dict[str, tuple[Box, tuple[str, ...]]]:
    """For each layer that must be read: where, and which fields."""
    boxes: dict[str, Box] = {}
    fields: dict[str, dict[str, None]] = {}
    for one in piece:
        for rule in works[one.layer].tiled:
            box = _wider(one.bounds, reach(rule) / metres)
            for layer, names in (
                (one.layer, rule.own_fields),
                (rule.other or one.layer, rule.other_fields),
            ):
                boxes[layer] = _around(boxes[layer], box) if layer in boxes else box
                fields.setdefault(layer, {}).update(dict.fromkeys(names))
    return {layer: (boxes[layer], tuple(fields[layer])) for layer in boxes}


def _wider(box: Box, by: float) -> Box:
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)


def _around(one: Box, two: Box) -> Box:
    return (min(one[0], two[0]), min(one[1], two[1]), max(one[2], two[2]), max(one[3], two[3]))


def apply(rule: FabricRule, part: Part, others: Part, schemas: Schemas) -> Faults:
    """What ``rule`` finds about the own rows of ``part`` beside the rows of ``others``."""
    metres = schemas.city.metres_per_unit
    if rule.kind in ("code_of_container", "prefix_of_container"):
        return contain.code_of_container(rule, part, others, schemas.city.parcel_code.separator)
    if rule.kind in ("no_overlap", "no_gap"):
        alone = overlap.no_overlap if rule.kind == "no_overlap" else overlap.no_gap
        return alone(rule, part, metres)
    if rule.kind == "no_crossing":
        return cross.no_crossing(rule, part)
    kinds = {
        "filled_by": fill.filled_by,
        "covered_by": contain.covered_by,
        "within": adjoin.within,
        "near": adjoin.near,
        "fronts": adjoin.fronts,
        "parallel": adjoin.parallel,
    }
    return kinds[rule.kind](rule, part, others, metres)
