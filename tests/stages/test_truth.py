"""Every planted fault is found for what it is, and nothing else: recall 100 %, false 0."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import testing
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.sample import city
from pipeline.settings import Settings
from pipeline.stages import load as loading
from pipeline.stages.outcome import Outcome

PARCELS, DIRT = 2_000, 0.08
Fault = tuple[str, int, str, str]
FOUND = """
SELECT r.feed, f.line, f.code, coalesce(f.field, '')
FROM ops.finding f JOIN ops.run r ON r.id = f.run_id WHERE f.line IS NOT NULL"""


def load_all(database: Database, folder: Path, schemas: Schemas) -> dict[str, Outcome]:
    """Every file that a feed takes, layers that others build on first."""
    outcomes = {}
    order = {layer: place for place, layer in enumerate(schemas.load_order)}
    for feed in sorted(schemas.feeds.values(), key=lambda one: order[one.layer]):
        for path in sorted(path for match in feed.source.match for path in folder.glob(match)):
            context = loading.context_for(schemas, feed.id)
            outcomes[feed.id] = loading.load(
                database, path, context, batch_rows=700, progress=lambda *_: None
            )
    return outcomes


def found_in(database: Database) -> set[Fault]:
    """All findings about rows: feed, row, code, field."""
    with database.connect("owner") as connection:
        return set(connection.execute(FOUND.encode()).fetchall())  # type: ignore[arg-type]


def truth(folder: Path) -> set[Fault]:
    """What was planted."""
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["feed"], int(row["row"]), row["code"], row["field"])
            for row in csv.DictReader(file)
        }


@pytest.fixture(params=[1, 2, 3])
def dirty(
    request: pytest.FixtureRequest, tmp_path: Path, qom_template: Settings
) -> Iterator[tuple[Database, Path, Schemas]]:
    """A dirty city, loaded."""
    city.write(tmp_path, parcels=PARCELS, seed=request.param, dirt=DIRT, imagery=False)
    with testing.clone(qom_template) as database:
        yield database, tmp_path, registry.load("qom")


@pytest.mark.slow
def test_every_planted_fault_is_named_and_nothing_else(
    dirty: tuple[Database, Path, Schemas],
) -> None:
    database, folder, schemas = dirty
    outcomes = load_all(database, folder, schemas)
    planted, found = truth(folder), found_in(database)
    assert planted - found == set()
    # A wrong value may break a rule or be unusual as well; no other row and no code is named.
    spoilt = {(feed, row) for feed, row, _, _ in planted}
    assert {one for one in found - planted if one[:2] not in spoilt} == set()
    assert {one[2] for one in found - planted} <= {"rule.broken", "rule.refused", "value.unusual"}
    assert len(planted) > 400
    assert len({(code, field) for _, _, code, field in planted}) > 60
    errors = {code for code in loading.Catalog.load().codes
              if loading.Catalog.load().severity(code) == "error"}  # fmt: skip
    for feed, outcome in outcomes.items():
        bad = {row for name, row, code, _ in planted if name == feed and code in errors}
        assert outcome.account.quarantined == len(bad), feed
        assert outcome.account.closes


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_clean_twin_has_no_finding(database: Database, tmp_path: Path, seed: int) -> None:
    city.write(tmp_path, parcels=PARCELS, seed=seed, dirt=0.0, imagery=False)
    assert truth(tmp_path) == set()
    outcomes = load_all(database, tmp_path, registry.load("qom"))
    assert found_in(database) == set()
    # A CSV names no CRS: that the feed's is taken is told, and true.
    told = {code for outcome in outcomes.values() for code in outcome.counts}
    assert told == {("crs.assumed", None)}
    assert len(outcomes) >= 18
