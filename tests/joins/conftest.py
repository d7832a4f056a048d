"""Fixtures for facts: the sample city in a database, to be cloned, and small layers of our own."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import testing
from pipeline.contracts.registry import Schemas
from pipeline.db.cluster import Cluster
from pipeline.db.engine import Database
from pipeline.joins import derive as joins
from pipeline.sample import city as sample
from pipeline.settings import Settings
from pipeline.stages import load as loading
from pipeline.stages.context import ACCEPTABLE
from pipeline.stages.outcome import Outcome

PARCELS = 700
Query = Callable[..., list[tuple[Any, ...]]]


def load(database: Database, path: Path, feed: str, schemas: Schemas) -> Outcome:
    """One file by one of the city's own feeds, whatever it drops; parcels go without a lineage."""
    accept = frozenset({"lineage.missing", *ACCEPTABLE})
    context = loading.context_for(schemas, feed, accept=accept)
    return loading.load(database, path, context, batch_rows=50_000, progress=lambda *_: None)


def load_all(database: Database, folder: Path, schemas: Schemas) -> None:
    """Every file of ``folder`` that a feed matches, in load order."""
    place = {name: number for number, name in enumerate(schemas.load_order)}
    for feed in sorted(schemas.feeds.values(), key=lambda one: place[one.layer]):
        for path in sorted(folder.iterdir()):
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in feed.source.match):
                load(database, path, feed.id, schemas)


@pytest.fixture(scope="session")
def city_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample city's files, without faults."""
    folder = tmp_path_factory.mktemp("city")
    sample.write(folder, parcels=PARCELS, seed=7, dirt=0.0, imagery=False)
    return folder


@pytest.fixture(scope="session")
def city_template(
    cluster: Cluster, qom_template: Settings, city_files: Path, schemas: Schemas
) -> Iterator[Settings]:
    """The sample city loaded and its facts derived, to be cloned."""
    with testing.clone(qom_template) as database:
        load_all(database, city_files, schemas)
        joins.derive(database, schemas)
        yield database.settings


@pytest.fixture
def city(city_template: Settings) -> Iterator[Database]:
    """A loaded city of this test's own."""
    with testing.clone(city_template) as cloned:
        yield cloned


@pytest.fixture
def query() -> Query:
    """Rows of a query, as the owner."""

    def run(database: Database, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with database.connect("owner") as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    return run
