"""Fixtures: a real PostGIS of our own for the session, one cloned database a test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyogrio
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, settings

from pipeline import testing
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db.cluster import Cluster
from pipeline.db.engine import Database
from pipeline.errors import MakanError
from pipeline.settings import Settings

# How long an example takes says how busy the machine is; speed is measured in benchmarks/.
settings.register_profile("makan", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("makan")


def pytest_report_header() -> str:
    """The versions that decide what tests see."""
    return (
        f"GDAL {pyogrio.__gdal_version_string__} (vector) {rasterio.__gdal_version__} (raster), "
        f"GEOS {shapely.geos_version_string}"
    )


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A private PostgreSQL cluster for the session; REQUIRE_DB=1 makes its absence a failure."""
    try:
        with testing.scratch_home() as home, testing.running_cluster(home) as running:
            yield running
    except MakanError as error:
        if os.environ.get("REQUIRE_DB"):
            raise
        pytest.skip(f"no PostgreSQL with PostGIS here: {error}")


@pytest.fixture(scope="session")
def qom_template(cluster: Cluster) -> Settings:
    """A migrated, empty Qom database to clone."""
    return testing.template(cluster, "qom")


@pytest.fixture(scope="session")
def cambridge_template(cluster: Cluster) -> Settings:
    """A migrated, empty Cambridge database to clone."""
    return testing.template(cluster, "cambridge")


@pytest.fixture
def database(qom_template: Settings) -> Iterator[Database]:
    """An empty Qom database of this test's own."""
    with testing.clone(qom_template) as cloned:
        yield cloned


@pytest.fixture
def commanded(monkeypatch: pytest.MonkeyPatch) -> Callable[[Database], None]:
    """Has commands in this process find a database by the environment, as people's commands do."""

    def told(database: Database) -> None:
        for name in ("home", "city", "database"):
            monkeypatch.setenv(f"MAKAN_{name.upper()}", str(getattr(database.settings, name)))

    return told


@pytest.fixture
def cambridge(cambridge_template: Settings) -> Iterator[Database]:
    """An empty Cambridge database of this test's own."""
    with testing.clone(cambridge_template) as cloned:
        yield cloned


@pytest.fixture(scope="session")
def schemas() -> Schemas:
    """The contracts as they hold for Qom."""
    return registry.load("qom")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; skips where it is absent."""
    folder = testing.shared_data()
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data of real data is not here")
    return folder
