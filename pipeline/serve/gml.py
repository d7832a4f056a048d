"""GML 3.2, simple features level 0: what GDAL is told to write, and the schema of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

Write = Callable[[pa.RecordBatchReader, Path], None]
PREFIX = "city"
XSD = "application/xml"


def options(address: str) -> dict[str, str]:
    """How GDAL writes features of the collection at ``address``; its schema is beside them."""
    return {
        **schema_options(address),
        "XSISCHEMAURI": f"{address} {address}/schema?f=xsd",
        "SRSNAME_FORMAT": "OGC_URL",
    }


def schema_options(address: str) -> dict[str, str]:
    """How GDAL writes the schema itself, beside a file."""
    return {"FORMAT": "GML3.2", "PREFIX": PREFIX, "TARGET_NAMESPACE": address}


def schema(columns: pa.Schema, write: Write) -> bytes:
    """The XML schema of features with these ``columns``, as GDAL has it for a file of none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.gml"
        write(pa.RecordBatchReader.from_batches(columns, iter(())), path)
        return path.with_suffix(".xsd").read_bytes()
