"""The search form of texts: Python, Arrow and the database fold alike, over all of Unicode."""

from __future__ import annotations

import csv
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pyogrio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import fold, testing, text
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.settings import Settings

# What addresses hold, and what breaks programs that fold them.
LETTERS = (
    "abzABZ09 -/,.آابپکيىكیهةۀئءأإؤٱ\u0653\u0654\u0655\u064b\u0651\u0670\u0640\u200c\u200d\u200e"
    "\u202b\u00a0\u00ad\ufeff\t\n\x0b\x1f\x7f\u2003\ufed7\ufee2\ufb57\ufe71\ufe7c\ufdfa\ufdfc"
    "۰۱٤٩²½ÉéẞßİıΣςǅ\u0301\u0308\u0331ŸЁфｆ한\u1161"
)
signs = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\x00")
texts = st.text(st.one_of(st.sampled_from(LETTERS), signs))
FOLD = (
    "SELECT array_agg(makan.fold(word) ORDER BY n) "
    "FROM unnest(%s::text[]) WITH ORDINALITY AS u (word, n)"
)


@pytest.fixture(scope="module")
def server(qom_template: Settings) -> Iterator[psycopg.Connection[tuple[list[str]]]]:
    """A connection as the reader, which may fold and nothing else."""
    with (
        testing.clone(qom_template) as database,
        database.connect("reader", autocommit=True) as connection,
    ):
        yield connection  # type: ignore[misc]


def by_server(server: psycopg.Connection[tuple[list[str]]], values: list[str]) -> list[str]:
    """What the database makes of ``values``."""
    row = server.execute(FOLD, [values]).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture(scope="module")
def unknown(server: psycopg.Connection[tuple[list[str]]]) -> set[str]:
    """Characters of a later Unicode than the server's: the only ones it may leave as they are."""
    every = [chr(code) for code in range(1, sys.maxunicode + 1)
             if unicodedata.category(chr(code)) not in ("Cs", "Cn")]  # fmt: skip
    made = dict(zip(every, by_server(server, every), strict=True))
    return {c for c in every if made[c] != fold.one(c)}


def test_every_character_of_unicode_folds_alike(unknown: set[str]) -> None:
    """The server's tables are Unicode 14 in PostgreSQL 15; Python 3.12 has 15."""
    assert len(unknown) < 100
    assert all(unicodedata.normalize("NFKC", c) != c for c in unknown)
    assert not any("\u0600" <= c <= "\u06ff" or c < "\u2000" or c > "\ufb4f" for c in unknown
                   if c < "\U00010000")  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(texts, min_size=1, max_size=20))
def test_python_arrow_and_the_database_fold_alike(
    values: list[str], server: psycopg.Connection[tuple[list[str]]], unknown: set[str]
) -> None:
    values = ["".join(c for c in value if c not in unknown) for value in values]
    made = [fold.one(value) for value in values]
    assert fold.column(pa.array(values)).to_pylist() == made
    assert by_server(server, values) == made
    assert [fold.one(value) for value in made] == made
    assert by_server(server, made) == made


def test_null_stays_null(server: psycopg.Connection[tuple[list[str]]]) -> None:
    assert fold.column(pa.array([None, "ي"])).to_pylist() == [None, "ی"]
    assert server.execute("SELECT makan.fold(NULL)").fetchone() == (None,)


def test_fold_is_immutable_so_that_indexes_may_use_it(
    server: psycopg.Connection[tuple[list[str]]],
) -> None:
    query = "SELECT provolatile, proisstrict, proparallel FROM pg_proc WHERE proname = 'fold'"
    assert server.execute(query).fetchall() == [("i", True, "s")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("کوي قائم", "کوی قائم"), ("خیابان كاشانى", "خیابان کاشانی"), ("خانهٔ ما", "خانه ما"),
        ("خانۀ ما", "خانه ما"), ("فاطمة", "فاطمه"), ("مُحَمَّد", "محمد"), ("قـــم", "قم"), ("ﻗﻢ", "قم"),
        ("خانه\u200cها", "خانه ها"), ("پلاک ۱۲", "پلاك 12"), ("بلوک ٤٥٦", "بلوک 456"),
        ("\u200fقم\u200e", "قم"), ("Straße  X", "strasse x"), ("ÉCOLE", "école"),
        ("آذر", "آذر"), ("رأی", "رای"), ("مسؤول", "مسوول"),
    ],
)  # fmt: skip
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert fold.one(one) == fold.one(other)


def test_what_differs_in_persian_stays_different() -> None:
    assert (
        len({fold.one(word) for word in ("آب", "اب", "جزء", "جز", "پدر", "بدر", "گل", "کل")}) == 8
    )


def test_similarity_of_one_address_in_two_spellings(
    server: psycopg.Connection[tuple[list[str]]],
) -> None:
    """Measured in the domain notes: 1.00 folded, 0.42 unfolded."""
    two = ("قم، خيابان شهيد كاشانى، كوچه ۱۲", "قم، خیابان شهید کاشانی، کوچه 12")
    query = "SELECT similarity(%s, %s), similarity(makan.fold(%s), makan.fold(%s))"
    plain, folded = server.execute(query, [*two, *two]).fetchone() or (1, 0)
    assert folded == 1.0
    assert float(str(plain)) < 0.6


def test_every_searchable_field_has_a_key_that_an_index_serves(
    database: Database, schemas: Schemas
) -> None:
    searched = [(layer.id, field.name) for layer in schemas.layers.values()
                for field in layer.fields if field.search]  # fmt: skip
    assert len(searched) >= 20
    with database.connect("loader") as connection:
        for layer, name in searched:
            query = f"EXPLAIN SELECT 1 FROM data.{layer} WHERE {name}_key LIKE '%%کوچه%%'"
            connection.execute("SET LOCAL enable_seqscan = off")
            plan = "".join(str(row[0]) for row in connection.execute(query.encode()))
            assert f"ix_{layer}_{name}_key" in plan


def test_a_street_is_found_however_it_is_typed(database: Database) -> None:
    with database.connect("loader") as connection:
        connection.execute(
            "INSERT INTO data.street (street_id, name_fa, geom, run_id, source_line) SELECT n, "
            "CASE n WHEN 7 THEN 'کوچه یاس' ELSE 'خیابان ' || n END, "
            "ST_GeomFromText('MULTILINESTRING((488000 3833000, 488010 3833000))', 32639), 1, n "
            "FROM generate_series(1, 300) n"
        )
    with database.connect("reader") as connection:
        for typed in ("کوچه ياس", "كوچه یاس", "كوچۀ ياس", "ياس"):
            query = (
                "SELECT street_id FROM street WHERE name_fa_key LIKE '%%' || makan.fold(%s) || '%%'"
            )
            assert connection.execute(query, [typed]).fetchall() == [("7",)]


def test_counties_of_the_old_shapefile_join_the_official_names(real_data: Path) -> None:
    """Windows-1256 has no Persian yeh: without folding most of the names find nobody."""
    path = real_data / "iran" / "derived_shapefiles" / "counties_cp1256_with_cpg.shp.zip"
    table = pyogrio.read_dataframe(path, read_geometry=False)
    official = real_data / "iran" / "admin_codes" / "county.csv"
    with official.open(encoding="utf-8-sig") as lines:
        names = [row["name"] for row in csv.DictReader(lines)]
    column = next(c for c in table.columns if table[c].astype(str).str.contains("شهرستان").any())
    arrived = [str(name).removeprefix("شهرستان").strip() for name in table[column]]
    raw = [name for name in arrived if name in set(names)]
    folded = {fold.one(name) for name in names}
    joined = [name for name in arrived if fold.one(name) in folded]
    assert (len(arrived), len(raw), len(joined)) == (19, 7, 17)


def test_agreed_cases_of_matching(real_data: Path) -> None:
    """All cases of letters and marks, in the search form."""
    with (real_data / "iran" / "persian_text_cases.csv").open(encoding="utf-8") as lines:
        cases = {row["case"]: (row["input"], row["expected"]) for row in csv.DictReader(lines)}
    other = {"persian decimal", "persian thousands", "jalali date", "postal code", "question marks",
             "cp1256 mojibake as latin1", "utf-8 mojibake as latin1"}  # fmt: skip
    wrong = {
        name: fold.one(given_text) for name, (given_text, expected) in cases.items()
        if name not in other and fold.one(given_text) != fold.one(text_of(expected))
    }  # fmt: skip
    assert wrong == {}


def text_of(expected: str) -> str:
    """The expected display form."""
    return str(text.display(pa.array([expected]))[0])


plates = st.text(st.sampled_from("0123456789۰۱۲۳۴٠١٢ /-_.\u200cابخشپلاکع,"), max_size=24)


def test_the_numbers_of_a_plate_are_the_same_here_and_in_the_database(
    qom_template: Settings,
) -> None:
    query = (
        "SELECT array_agg(makan.plate_key(plate) ORDER BY n) "
        "FROM unnest(%s::text[]) WITH ORDINALITY AS u (plate, n)"
    )
    with Database(qom_template).connect("owner", autocommit=True) as connection:

        @settings(max_examples=60, deadline=None)
        @given(written=st.lists(plates, min_size=1, max_size=60))
        def agree(written: list[str]) -> None:
            shown = text.display(pa.array(written, type=pa.string()))
            row = connection.execute(query.encode(), [shown.to_pylist()]).fetchone()
            assert row is not None
            assert text.numbers(shown).to_pylist() == row[0]

        agree()
