"""The files that the load benchmark loads: a sample city's parcels, changed and multiplied."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyogrio
import shapely

from pipeline.contracts import registry
from pipeline.contracts.feed import Feed

LAYER = "parcel"
BASE = 300_000


def feed() -> Feed:
    """The feed of the sample's parcels."""
    return next(f for f in registry.load("qom").feeds.values() if f.layer == LAYER)


def made(folder: Path, parcels: int) -> tuple[Path, Path]:
    """The parcels of a sample city and the same with 1 % changed, made once for a size.

    In a process of its own: what that holds would count as the memory of whoever it starts next.
    """
    words = [sys.executable, "-m", "benchmarks.deliveries", str(folder), str(parcels)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    file, other = done.stdout.splitlines()[-2:]
    return Path(file), Path(other)


def sample(folder: Path, parcels: int) -> Path:
    """The parcels of a sample city; above 300,000 a city many times over."""
    if parcels > BASE:
        return multiplied(folder, parcels)
    place = folder / f"sample-{parcels}"
    if not (place / "truth.csv").exists():
        words = [sys.executable, "-m", "pipeline", "sample", str(place), "--parcels", str(parcels)]
        subprocess.run([*words, "--seed", "1387", "--dirt", "0"], check=True)
    return next(path for pattern in feed().source.match for path in place.rglob(pattern))


def multiplied(folder: Path, parcels: int) -> Path:
    """Copies of one city side by side, a centimetre apart, with regions of their own."""
    source = sample(folder, BASE)
    made = folder / f"sample-{parcels}" / source.name
    if made.exists():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    part = made.with_suffix(".part.gpkg")
    part.unlink(missing_ok=True)
    meta, table = pyogrio.read_arrow(source, read_geometry=True)
    name = meta["geometry_name"] or "wkb_geometry"
    shapes = shapely.from_wkb(table[name].to_numpy())
    for number in range(parcels // BASE):
        moved = shapely.transform(shapes, lambda xy, by=number: xy + np.array([0.01 * by, 0.0]))
        copy = table.set_column(
            table.schema.get_field_index(name), name, pa.array(shapely.to_wkb(moved))
        )
        pyogrio.write_arrow(
            renumbered(copy, number), part, driver="GPKG", layer=feed().source.sheet,
            geometry_name=name, geometry_type="Polygon", crs=meta["crs"], append=number > 0,
        )  # fmt: skip
    part.rename(made)
    return made


def renumbered(table: pa.Table, number: int) -> pa.Table:
    """The parcels of copy ``number``: region 3 becomes 3 + 8 x number, so that codes differ."""
    code = next(c for c in feed().columns if c.to in registry.load("qom").layer(LAYER).key)
    column = str(code.source)
    parts = pc.split_pattern(table[column], "-", max_splits=1)
    region = pc.list_element(parts, 0).cast(pa.int64())
    rest = pc.list_element(parts, 1)
    made = pc.binary_join_element_wise(pc.add(region, 8 * number).cast(pa.string()), rest, "-")
    return table.set_column(table.schema.get_field_index(column), column, made)


def changed(file: Path, share: float) -> Path:
    """A copy of ``file`` in which a share of the rows has another registration plate."""
    made = file.with_name(f"changed-{file.name}")
    if made.exists():
        return made
    part = made.with_suffix(".part")
    shutil.copy(file, part)
    column = next(str(c.source) for c in feed().columns if c.to == "registration_plate")
    with sqlite3.connect(part) as store:
        # GeoPackage's triggers need functions that only spatial SQLite has.
        triggers = store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            store.execute(f'DROP TRIGGER "{name}"')
        store.execute(
            f'UPDATE "{feed().source.sheet}" SET "{column}" = fid || \'/9\' WHERE fid % ? = 7',
            [round(1 / share)],
        )
    part.rename(made)
    return made


if __name__ == "__main__":
    base = sample(Path(sys.argv[1]), int(sys.argv[2]))
    print(base, changed(base, 0.01), sep="\n")
