"""Rasters made on the fly, and a shelf that serves them without a database."""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx2
import numpy as np
import pytest
import rasterio
import uvicorn
from affine import Affine

from pipeline import testing
from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract, ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db.cluster import SUPERUSER, Cluster
from pipeline.db.engine import Database
from pipeline.findings import Catalog
from pipeline.rasters import cog, disk
from pipeline.rasters import crs as crses
from pipeline.rasters.cog import Cog
from pipeline.rasters.deliver import deliver
from pipeline.rasters.inspect import Declared, Inspection, Job, inspect
from pipeline.rasters.load import make_cog
from pipeline.rasters.shelf import Shelf
from pipeline.settings import Settings
from tests.serving import Application

Make = Callable[..., Path]
EAST, NORTH = 488_600.0, 3_833_000.0


def write(path: Path, values: Any, mask: Any = None, **more: Any) -> Path:
    """A raster of ``values`` (bands, rows, columns) at 1 m in Qom, unless ``more`` says else."""
    values = np.asarray(values)
    profile = {
        "driver": "GTiff",
        "count": len(values),
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype.name,
        "crs": "EPSG:32639",
        "transform": Affine(1, 0, EAST, 0, -1, NORTH),
        **more,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_PAM_ENABLED="NO"),
            rasterio.open(path, "w", **profile) as dataset,
        ):
            dataset.write(values)
            if mask is not None:
                dataset.write_mask(mask)
    return path


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a raster below the test's folder: ``make(name, values, mask, **profile)``."""
    folder = tmp_path / "arrivals"
    folder.mkdir()

    def made(name: str, values: Any, mask: Any = None, **more: Any) -> Path:
        return write(folder / name, values, mask, **more)

    return made


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The kinds of findings."""
    return Catalog.load()


@pytest.fixture(scope="session")
def orthophoto(schemas: Schemas) -> RasterContract:
    """The contract of imagery."""
    return next(c for c in schemas.rasters.values() if c.dtype == "uint8")


@pytest.fixture(scope="session")
def terrain(schemas: Schemas) -> RasterContract:
    """The contract of heights."""
    return next(c for c in schemas.rasters.values() if c.is_terrain)


@pytest.fixture(scope="session")
def qom(schemas: Schemas) -> City:
    """The model city."""
    return schemas.city


@pytest.fixture(scope="session")
def colors() -> Any:
    """A colourful picture, (3, 240, 320) bytes, smooth enough for JPEG."""
    rows, columns = np.mgrid[:240, :320]
    bands = (columns * 0.7, rows, 255 - columns * 0.4 - rows * 0.3)
    return np.stack([np.clip(band, 1, 255) for band in bands]).astype(np.uint8)


@pytest.fixture(scope="session")
def plane() -> Any:
    """Heights 900 + 0.01 (E - 488600) at pixel centres 5 m apart, (1, 60, 80)."""
    east = EAST + 2.5 + 5 * np.arange(80)
    return np.broadcast_to(900 + 0.01 * (east - 488_600), (1, 60, 80)).astype(np.float32)


FIVE_METRES = Affine(5, 0, EAST, 0, -5, NORTH)

Convert = Callable[..., tuple[Inspection, Cog]]


@pytest.fixture
def convert(catalog: Catalog, tmp_path: Path) -> Convert:
    """Inspects a file and makes its COG: ``convert(path, contract, city, **declared)``."""

    def converted(
        path: Path, contract: RasterContract, city: City, **declared: Any
    ) -> tuple[Inspection, Cog]:
        job = Job(path, contract, city, Declared(**declared))
        work = Path(mkdtemp(dir=tmp_path))
        found = inspect(job, catalog, copy=work / "plain.tif")
        assert found.accepted(catalog), [catalog.message(f) for f in found.findings]
        return found, make_cog(job, found, work)

    return converted


Serve = Callable[[Cog, RasterContract, City], Path]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Puts a COG on the shelf of a home of its own and points the server at it."""
    home = tmp_path / "home"

    def served(made: Cog, contract: RasterContract, city: City) -> Path:
        shelf = Shelf(home, contract.id)
        place = shelf.place("sheet", 1)
        place.parent.mkdir(parents=True, exist_ok=True)
        disk.publish(made.path, place)
        found = cog.describe(place)
        lonlat = crses.to_lonlat(city.crs, found.bounds)
        assert lonlat is not None
        shelf.serve(
            ServedRaster(
                layer=contract.id,
                path=shelf.relative(place),
                version=found.sha256,
                made_of="one",
                run=1,
                sheets=1,
                srid=city.srid,
                width=found.width,
                height=found.height,
                bounds=found.bounds,
                lonlat=lonlat,
                updated="2026-01-01T00:00:00+00:00",
            )
        )
        return home

    return served


@dataclass(frozen=True)
class Imagery:
    """A running server over loaded rasters, in a home of its own."""

    base: str
    settings: Settings

    @property
    def database(self) -> Database:
        return Database(self.settings)

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
        """The answer to a GET."""
        return httpx2.get(self.base + path, headers=headers, params=query or None)

    def file(self, layer: str) -> Path:
        """The COG that is served."""
        served = Shelf(self.settings.home, layer).served()
        assert served is not None
        return self.settings.home / served.path


def hilly(rows: int, columns: int) -> Any:
    """Heights from 905 to 955 m, smooth, (1, rows, columns)."""
    y, x = np.mgrid[:rows, :columns]
    return (930 + 25 * np.sin(x / 17) * np.cos(y / 23))[np.newaxis].astype(np.float32)


@pytest.fixture(scope="module")
def imagery(
    cluster: Cluster, qom_template: Settings, schemas: Schemas, colors: Any, tmp_path_factory: Any
) -> Iterator[Imagery]:
    """An orthophoto of two sheets of different years and an elevation model, loaded and served."""
    folder = tmp_path_factory.mktemp("served")
    warm = np.clip(colors + np.array([[[60]], [[0]], [[-40]]]), 1, 255).astype(np.uint8)
    east = Affine(1, 0, EAST + 160, 0, -1, NORTH)
    files = {
        "orthophoto": [
            (write(folder / "tasvir-a.tif", colors), date(2019, 5, 1)),
            (write(folder / "tasvir-b.tif", warm, transform=east), date(2024, 6, 2)),
        ],
        "dem": [(write(folder / "dem-a.tif", hilly(120, 160), transform=FIVE_METRES), None)],
    }
    with testing.clone(qom_template) as cloned, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        address = cluster.uri(SUPERUSER, cloned.settings.database)
        settings = replace(
            cloned.settings, home=folder / "home", database_url=address, port=port, public_url=""
        )
        database = Database(settings)
        for layer, arrived in files.items():
            contract = schemas.rasters[layer]
            jobs = [
                Job(path, contract, schemas.city, Declared(acquired=flown))
                for path, flown in arrived
            ]
            _, served = deliver(database, settings.home, schemas, jobs)
            assert served is not None
        application = Application(settings, schemas, database)
        free.close()
        with running(application, port) as base:
            yield Imagery(base, settings)


@contextmanager
def running(app: Any, port: int) -> Iterator[str]:
    """The application behind a port of this machine; its address."""
    found = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=found.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not found.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        found.should_exit = True
        thread.join(10)
