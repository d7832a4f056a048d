"""Writes the sample city: every office's files, planted faults and the list of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.errors import ResourceError, SettingsError
from pipeline.sample import (
    administration,
    arrivals,
    audit,
    bar,
    cadastre,
    census,
    dossiers,
    network,
    past,
    photo,
    places,
    planning,
    prices,
    services,
    sheet,
    tears,
    terrain,
    town,
    works,
)
from pipeline.sample import dirt as planting
from pipeline.sample.arrivals import Arrival
from pipeline.sample.audit import Audited
from pipeline.sample.dirt import Planted
from pipeline.sample.model import generator
from pipeline.sample.town import Town

CITY = "qom"


def version() -> str:
    """SHA-256 over the modules that make the city: another one, another city."""
    digest = hashlib.sha256()
    for module in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()


class Progress(Protocol):
    """Told before each step: what comes, and how many of how many steps are done."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Called with the step's name and how far the work is."""


_Maker = Callable[[Town], Arrival]


def _tables(built: Town, audited: Audited, posted: Arrival) -> list[Callable[[], Arrival]]:
    """One maker for each table, so that only one at a time is in memory."""
    counted = census.census(built)
    of_town: list[_Maker] = [
        cadastre.plots,
        cadastre.buildings,
        cadastre.blocks,
        cadastre.dimensions,
        administration.regions,
        administration.districts,
        administration.neighbourhoods,
        administration.streets,
        administration.postal_areas,
        lambda _: posted,
        planning.documents,
        planning.zones,
        works.road_lines,
        works.projects,
        bar.chamfers,
        bar.setback_lines,
        bar.road_levels,
        prices.price_blocks,
        services.service_units,
        services.offices,
        services.municipal_assets,
        services.land_offers,
        services.businesses,
        services.map_ads,
        past.former_codes,
        past.lineage,
        dossiers.units,
        dossiers.second_plates,
        dossiers.cases,
        dossiers.shares,
        sheet.index,
        network.masts,
        network.links,
        terrain.control_points,
        terrain.contours,
        terrain.spot_heights,
        places.places,
    ]
    makers = [_bound(maker, built) for maker in of_town]
    makers += [
        lambda: census.census_blocks(counted),
        lambda: census.census_figures(counted),
        planning.zone_rules,
        lambda: audited.arrival,
    ]
    return makers


def _bound(maker: _Maker, built: Town) -> Callable[[], Arrival]:
    return lambda: maker(built)


def write(
    out: Path,
    *,
    parcels: int,
    seed: int,
    dirt: float,
    torn: int = 0,
    progress: Progress | None = None,
    imagery: bool = True,
) -> dict[str, Any]:
    """Writes the city of ``parcels`` plots into the folder ``out``, overwriting its files.

    ``dirt`` is the share of rows (0..1) in which a fault is planted, ``torn`` how many faults of
    each kind are planted in the fabric; ``truth.json`` and ``truth.csv`` list them. Without
    ``imagery`` no orthophoto is painted. The same arguments always give the same city. Returns
    counts of rows by file and of faults by finding code.
    """
    if not 0.0 <= dirt <= 1.0:
        raise SettingsError(f"--dirt {dirt} is not a share", todo="Give a number from 0 to 1.")
    schemas = registry.load(CITY)
    _prepare(out)
    tell = progress or _silent
    steps = 46 if imagery else 44
    tell("streets, blocks and plots", 0, steps)
    built = town.build(parcels, seed, schemas.city.extent)
    rows: dict[str, int] = {}
    planted: list[Planted] = []
    for done, (name, count, faults) in enumerate(
        _written(built, schemas, out, seed, (dirt, torn)), start=1
    ):
        rows[name] = count
        planted += faults
        tell(name, done, steps)
    for done, name in enumerate(_drawn(built, out, imagery=imagery), start=len(rows) + 1):
        tell(name, min(done, steps), steps)
    planting.write_truth(planted, out)
    tell("done", steps, steps)
    return {
        "folder": str(out),
        "parcels": parcels,
        "seed": seed,
        "dirt": dirt,
        "torn": torn,
        "rows": rows,
        "faults": dict(sorted(Counter(fault.code for fault in planted).items())),
    }


def _silent(step: str, done: int, total: int) -> None:
    """No progress wanted."""


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"cannot make the folder: {error.strerror}", where=str(out)) from error


def _written(
    built: Town, schemas: Schemas, out: Path, seed: int, spoilt: tuple[float, int]
) -> Iterator[tuple[str, int, list[Planted]]]:
    """Writes table after table: its file, rows and planted faults."""
    share, torn = spoilt
    posted = administration.postcodes(built)
    audited = audit.audit(built, posted)
    audited.write_truth(out)
    for make in _tables(built, audited, posted):
        arrival = make()
        rng = generator(seed, f"dirt {arrival.file}")
        # First what must be good alone: dirt keeps off it, and it never meets dirt.
        faults = tears.plant(arrival, built, torn)
        faults += planting.plant(arrival, schemas, share, rng)
        arrivals.write(arrival, out)
        yield arrival.file, len(arrival.frame), faults


def _drawn(built: Town, out: Path, *, imagery: bool) -> Iterator[str]:
    """Draws breaklines, the CAD sheet and both sheets of the orthophoto."""
    terrain.write_breaklines(built, out / "khotut_shekast.dxf")
    yield "breaklines"
    sheet.write(built, out / sheet.FILE)
    yield "map sheet"
    for number, each in enumerate(photo.SHEETS if imagery else ()):
        photo.write(built, each, out / f"{each.name}.tif", embedded=number == 0)
        yield each.name
