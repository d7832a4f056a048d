"""What tests of terrain share."""

from __future__ import annotations

import pytest

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.contracts.registry import Schemas
from pipeline.findings import Catalog


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The kinds of findings."""
    return Catalog.load()


@pytest.fixture(scope="session")
def terrain(schemas: Schemas) -> RasterContract:
    """The contract of heights."""
    return next(c for c in schemas.rasters.values() if c.is_terrain)


@pytest.fixture(scope="session")
def qom(schemas: Schemas) -> City:
    """The model city."""
    return schemas.city
