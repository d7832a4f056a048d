"""The sample city, loaded, derived and served to the public and to staff."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from pipeline import testing
from pipeline.answers.bundles import Binder
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db import access
from pipeline.db.engine import Database
from pipeline.joins import derive as joins
from pipeline.sample import city as sample
from pipeline.serve import binding
from pipeline.settings import Settings
from pipeline.stages import load as loading
from tests.serving import Application

PARCELS = 700
Asked = Callable[..., Any]


def load_all(database: Database, folder: Path, schemas: Schemas) -> None:
    """Every file of ``folder`` that a feed matches, in load order."""
    place = {name: number for number, name in enumerate(schemas.load_order)}
    for feed in sorted(schemas.feeds.values(), key=lambda one: place[one.layer]):
        for path in sorted(folder.iterdir()):
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in feed.source.match):
                context = loading.context_for(schemas, feed.id)
                loading.load(database, path, context, batch_rows=50_000, progress=lambda *_: None)


def serving(database: Database, audience: str, schemas: Schemas | None = None) -> TestClient:
    """The application over ``database`` for ``audience``, to be entered; by other ``schemas`` than
    those of its city, where they are given."""
    settings = replace(database.settings, audience=audience, public_url="http://makan.test")
    name = f"tests-{uuid4().hex[:8]}" if schemas else "tests"
    schemas = schemas or registry.load(settings.city)
    application = Application(settings, schemas, Database(settings))
    headers = {"X-API-Key": _key(database, schemas, name)} if audience == "staff" else {}
    return TestClient(application, base_url="http://makan.test", headers=headers)


def _key(database: Database, schemas: Schemas, name: str) -> str:
    with database.connect("owner") as connection:
        return access.add(connection, name, schemas.audience("staff"), days=None)


@pytest.fixture(scope="session")
def served() -> Callable[..., TestClient]:
    """The application over a database for an audience, to be entered."""
    return serving


@pytest.fixture(scope="session")
def sampled(
    qom_template: Settings, tmp_path_factory: pytest.TempPathFactory, schemas: Schemas
) -> Iterator[Database]:
    """The sample city without faults, loaded and its facts derived."""
    folder = tmp_path_factory.mktemp("city")
    sample.write(folder, parcels=PARCELS, seed=7, dirt=0.0, imagery=False)
    home = tmp_path_factory.mktemp("home")
    (home / "db").symlink_to(qom_template.home / "db")
    with testing.clone(qom_template) as database:
        # Rasters that tests of other rooms deliver stay in the home of the template.
        database.settings = replace(database.settings, home=home)
        load_all(database, folder, schemas)
        joins.derive(database, schemas)
        yield database


@pytest.fixture(scope="session")
def public(sampled: Database) -> Iterator[TestClient]:
    """The service for everybody."""
    with serving(sampled, "public") as running:
        yield running


@pytest.fixture(scope="session")
def staff(sampled: Database) -> Iterator[TestClient]:
    """The service for staff."""
    with serving(sampled, "staff") as running:
        yield running


@pytest.fixture
def ask() -> Asked:
    """The answer of a process; its status must be 200."""

    def asked(client: TestClient, process: str, **inputs: Any) -> Any:
        response = client.post(f"/processes/{process}/execution", json={"inputs": inputs})
        assert response.status_code == 200, response.text
        return response.json()

    return asked


@pytest.fixture
def refused() -> Asked:
    """The problem that a process answers with."""

    def asked(client: TestClient, process: str, **inputs: Any) -> Any:
        response = client.post(f"/processes/{process}/execution", json={"inputs": inputs})
        assert response.headers["content-type"] == "application/problem+json"
        return response.json()

    return asked


@pytest.fixture(scope="session")
def query(sampled: Database) -> Asked:
    """Rows of a query, as the owner: what answers are compared with."""

    def run(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with sampled.connect("owner") as connection:
            return connection.execute(statement.encode(), values or None).fetchall()

    return run


@pytest.fixture
def binder(sampled: Database, schemas: Schemas, staff: TestClient) -> Iterator[Binder]:
    """What makes documents for staff, as the server beside it publishes them."""
    del staff
    settings = replace(sampled.settings, audience="staff", public_url="http://makan.test")
    made = binding.binder(settings, schemas)
    yield made
    made.close()
    with sampled.connect("owner") as connection:
        connection.execute("DELETE FROM ops.job")
