"""A loaded city of 2,500 parcels whose layers are seen from afar, and a second delivery of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas
import pytest

from pipeline import testing
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.sample import city as sample
from pipeline.settings import Settings
from pipeline.stages import load as loading
from pipeline.tiling.refresh import refresh

FILES = {"blocks": "blok.shp", "parcels": "amlak.gpkg", "streets": "maaber.shp", "pois": ""}
Deliver = Callable[[Database, Path, str], None]
USE, CODE = "کاربری", "KOD_NOSAZI"


def load(database: Database, path: Path, feed: str, schemas: Schemas) -> None:
    """One file by one of the city's own feeds."""
    context = loading.context_for(schemas, feed)
    loading.load(database, path, context, batch_rows=50_000, progress=lambda *_: None)


@pytest.fixture(scope="session")
def deliver(schemas: Schemas) -> Deliver:
    """Loads a file by one of the city's own feeds."""
    return lambda database, path, feed: load(database, path, feed, schemas)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample city's files, without faults."""
    folder = tmp_path_factory.mktemp("far")
    sample.write(folder, parcels=2500, seed=3, dirt=0.0, imagery=False)
    return folder


@pytest.fixture(scope="session")
def second(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parcels again: one of another use, one moved by 3 m, one no longer there."""
    (source,) = files.glob("amlak*.gpkg")
    frame = geopandas.read_file(source)
    frame = frame.sort_values(CODE).reset_index(drop=True)
    frame.loc[10, USE] = frame[USE].value_counts().index[-1]
    frame.loc[[1200], "geometry"] = frame.loc[[1200]].translate(3.0, 0.0)
    path = tmp_path_factory.mktemp("second") / source.name
    frame.drop(index=[2000]).to_file(path, layer="amlak", driver="GPKG")
    return path


@pytest.fixture(scope="session")
def far(qom_template: Settings, files: Path, schemas: Schemas) -> Iterator[Database]:
    """The city; who changes it brings it back to what it was."""
    with testing.clone(qom_template) as database:
        for feed in FILES:
            for pattern in schemas.feed(feed).source.match:
                for path in sorted(files.glob(pattern)):
                    load(database, path, feed, schemas)
        refresh(database, schemas)
        yield database
