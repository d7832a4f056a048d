"""A sample city, loaded and derived, and its staff's server with keys that write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline import testing
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db import access
from pipeline.db.engine import Database
from pipeline.joins import derive as joins
from pipeline.sample import city as sample
from pipeline.settings import Settings
from pipeline.stages import load as loading
from tests.serving import Application

PARCELS = 60
FEEDS = (
    *("regions", "districts", "neighbourhoods", "blocks", "streets", "parcels", "buildings"),
    *("plan_documents", "plan_zones", "projects", "pois", "service_units", "municipal_offices"),
    *("municipal_assets", "land_offers", "businesses", "map_ads"),
)


@pytest.fixture(scope="session")
def written(
    qom_template: Settings, tmp_path_factory: pytest.TempPathFactory, schemas: Schemas
) -> Iterator[Database]:
    """The city's database, for these tests to write to."""
    folder = tmp_path_factory.mktemp("writing")
    sample.write(folder, parcels=PARCELS, seed=7, dirt=0.0, imagery=False)
    with testing.clone(qom_template) as database:
        database.settings = replace(database.settings, home=folder / "home")
        (folder / "home").mkdir()
        (folder / "home" / "db").symlink_to(qom_template.home / "db")
        for feed in FEEDS:
            (path,) = folder.glob(schemas.feed(feed).source.match[0])
            context = loading.context_for(schemas, feed)
            loading.load(database, path, context, batch_rows=1000, progress=lambda *_: None)
        joins.derive(database, schemas)
        yield database


@pytest.fixture(scope="module", autouse=True)
def fresh(written: Database, schemas: Schemas) -> None:
    """Each module begins with facts as the layers are: nothing follows edits of these servers, and
    another module may have left some behind."""
    joins.derive(written, schemas)


@pytest.fixture(scope="session")
def keys(written: Database) -> dict[str, str]:
    """Keys: of an editor of everything, of the portal, of one who writes places, of a reader."""
    staff = registry.load("qom").audience("staff")
    rights: dict[str, tuple[str, ...]] = {
        "editor": ("*",), "portal": ("citizen_report",), "places": ("poi",), "reader": (),
    }  # fmt: skip
    with written.connect("loader") as connection:
        return {
            name: access.add(connection, name, staff, days=None, writes=writes)
            for name, writes in rights.items()
        }


@pytest.fixture(scope="session")
def staff(written: Database, keys: dict[str, str]) -> Iterator[TestClient]:
    """The staff's server, asked with the editor's key."""
    with serving(written, "staff") as running:
        running.headers["X-API-Key"] = keys["editor"]
        yield running


@pytest.fixture(scope="session")
def public(written: Database) -> Iterator[TestClient]:
    """The server for everybody."""
    with serving(written, "public") as running:
        yield running


def serving(database: Database, audience: str) -> TestClient:
    """The application over ``database`` for ``audience``, to be entered."""
    settings = replace(database.settings, audience=audience, public_url="http://makan.test")
    schemas = registry.load(settings.city)
    application = Application(settings, schemas, Database(settings))
    return TestClient(application, base_url="http://makan.test")


@pytest.fixture(scope="session")
def rows(written: Database) -> Any:
    """Rows of a query, as the owner: what answers are compared with."""

    def run(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with written.connect("owner") as connection:
            return connection.execute(statement.encode(), values or None).fetchall()

    return run
