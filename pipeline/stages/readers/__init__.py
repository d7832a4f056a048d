"""Readers: one module for each way in which files are read, behind one interface.

GDAL reads what it reads right. What it misreads or cannot read has a reader of its own, which is
imported when such a file comes.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from pipeline.stages.container import Opened
from pipeline.stages.misfit import is_sqlite
from pipeline.stages.readers.base import Dataset

# By ending; a database of SQLite by what it begins with, every other file is GDAL's.
_MODULES = {
    ".mdb": "access:AccessDataset",
    ".accdb": "access:AccessDataset",
    ".parquet": "parquet:ParquetDataset",
    ".geoparquet": "parquet:ParquetDataset",
    ".dxf": "dxf:DxfDataset",
    ".csv": "delimited:DelimitedDataset",
    ".tsv": "delimited:DelimitedDataset",
    ".ods": "workbook:WorkbookDataset",
    ".xlsx": "workbook:WorkbookDataset",
    ".topojson": "topology:JsonDataset",
    ".geojson": "topology:JsonDataset",
    ".json": "topology:JsonDataset",
    ".shp": "shapefile:ShapefileDataset",
    ".dbf": "shapefile:ShapefileDataset",
    ".gml": "gml:GmlDataset",
    ".xml": "gml:GmlDataset",
}
_DATABASE = "database:DatabaseDataset"


def open_dataset(arrival: Opened) -> Dataset:
    """The dataset in ``arrival``; raises ArrivalError where it cannot be opened."""
    place = _MODULES.get(Path(arrival.place).suffix.lower()) or _by_content(arrival.place)
    module, _, name = place.partition(":")
    found: Dataset = getattr(import_module(f"{__name__}.{module}"), name)(arrival)
    return found


def _by_content(place: Path) -> str:
    return _DATABASE if is_sqlite(place) else "gdal:GdalDataset"
