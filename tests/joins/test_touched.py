"""What is looked at again after loads and edits is what all of it, looked at anew, says."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import pyogrio
import pytest

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.joins import derive as joins
from tests.joins.conftest import load
from tests.joins.test_facts import rows_of

AUDIT = "audit_parcel"


def _source(schemas: Schemas, feed: str, field: str) -> str:
    return next(one.sources[0] for one in schemas.feed(feed).columns if one.to == field)


def _parcels(files: Path, place: Path, schemas: Schemas, change: Any) -> Path:
    """The parcels' file with ``change`` done to its codes, blocks and plates."""
    frame = pyogrio.read_dataframe(files / "amlak.gpkg")
    names = [
        _source(schemas, "parcels", field)
        for field in ("parcel_code", "block_code", "registration_plate")
    ]
    change(frame, *names)
    target = place / "amlak.gpkg"
    pyogrio.write_dataframe(frame, target, layer="amlak", geometry_type="Polygon")
    return target


def _postcodes(files: Path, place: Path, schemas: Schemas, chance: random.Random) -> Path:
    """The postcodes' file: some addresses exchanged, some rows gone, some of another parcel."""
    (source,) = files.glob(schemas.feed("postcodes").source.match[0])
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows, names = list(reader), reader.fieldnames or []
    for field in ("address_text", "parcel_code"):
        name = _source(schemas, "postcodes", field)
        for _ in range(6):
            one, other = chance.sample(rows, 2)
            one[name], other[name] = other[name], one[name]
    gone = chance.sample(range(len(rows)), 8)
    target = place / source.name
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(row for at, row in enumerate(rows) if at not in gone)
    return target


@pytest.mark.parametrize("seed", [1, 2])
def test_matches_follow_what_is_said_as_if_all_was_matched_anew(
    city: Database, city_files: Path, schemas: Schemas, query: Any, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)

    def change(frame: Any, code: str, block: str, plate: str) -> None:
        places = list(frame.index)
        for names in ([code], [plate], [block], [code, block]):
            for _ in range(4):
                one, other = chance.sample(places, 2)
                frame.loc[[one, other], names] = frame.loc[[other, one], names].to_numpy()
        for at in chance.sample(places, 4):
            frame.loc[at, code] = f"{frame.loc[at, block]}-{at + 3000}-0-0-0"
        frame.loc[chance.sample(places, 4), plate] = None
        frame.loc[chance.sample(places, 2), plate] = "پلاک ۱۲۳۴/۵۶۷ بخش ۴"

    before = rows_of(city, schemas, query)[AUDIT]
    load(city, _parcels(city_files, tmp_path, schemas, change), "parcels", schemas)
    load(city, _postcodes(city_files, tmp_path, schemas, chance), "postcodes", schemas)
    done = {one.fact: one for one in joins.derive(city, schemas)}
    kept = rows_of(city, schemas, query)
    assert done[AUDIT].touched is not None
    assert kept[AUDIT] != before
    joins.derive(city, schemas, anew=True)
    again = rows_of(city, schemas, query)
    assert {name for name in kept if kept[name] != again[name]} == set()


def test_another_code_of_one_parcel_touches_the_rows_that_name_it(
    city: Database, city_files: Path, schemas: Schemas, query: Any, tmp_path: Path
) -> None:
    """Each such edit matched the whole audit anew: 7 s of 300,000 parcels."""
    named = query(
        city,
        "SELECT p.parcel_code, array_agg(DISTINCT f.method), count(*) FROM facts.audit_parcel f "
        "JOIN data.parcel p ON p.id = f.object_id "
        "WHERE NOT EXISTS (SELECT FROM data.postcode c WHERE c.parcel_code = p.parcel_code) "
        "AND NOT EXISTS (SELECT FROM data.building b WHERE b.parcel_code = p.parcel_code) "
        "GROUP BY 1 HAVING 'repaired_code' = ANY(array_agg(f.method)) ORDER BY 1",
    )
    code, _, rows = named[0]

    def change(frame: Any, column: str, *_: str) -> None:
        mine = frame[column] == code
        assert mine.sum() == 1
        frame.loc[mine, column] = "-".join([*code.split("-")[:3], "7007", "0", "0", "0"])

    load(city, _parcels(city_files, tmp_path, schemas, change), "parcels", schemas)
    done = {one.fact: one for one in joins.derive(city, schemas)}
    assert rows <= (done[AUDIT].touched or 0) <= rows + 3
    kept = rows_of(city, schemas, query)
    joins.derive(city, schemas, anew=True)
    assert kept == rows_of(city, schemas, query)
