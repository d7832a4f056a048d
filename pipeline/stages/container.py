"""Container: from a path that a person gives to something GDAL may safely open.

Archives are read in place, never unpacked; formats that call other files or hosts are refused;
GML is read from a copy, because GDAL writes beside it.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ArrivalError

_ADVICE = {
    ".dwg": "Save it as DXF R2000 or R2013.",
    ".ecw": "Save it as GeoTIFF or JPEG 2000.",
    ".sid": "Save it as GeoTIFF or JPEG 2000.",
    ".mxd": "It is a map document without data: ask for the layers.",
    ".qgz": "It is a project without data: ask for the layers.",
    ".rar": "Send it as zip.",
    ".7z": "Send it as zip.",
    ".vrt": "Send the files it points to.",
}
_FORBIDDEN = (b"<OGRVRTDataSource", b"<VRTDataset", b"<OGRWFSDataSource", b"<GDAL_WMS")
_INSIDE = (
    ".shp",
    ".gpkg",
    ".geojson",
    ".json",
    ".topojson",
    ".csv",
    ".dxf",
    ".dgn",
    ".gml",
    ".fgb",
)
_MAX_MEMBERS = 10_000


@dataclass(frozen=True)
class Opened:
    """``place`` is what GDAL opens; ``label`` is what people read."""

    place: str
    label: str


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """``path`` made safe to open; raises ArrivalError with advice for what is not taken."""
    label = path.name
    if not path.exists():
        raise ArrivalError("no such file", where=str(path), todo="Check the path.")
    advice = _ADVICE.get(path.suffix.lower())
    if advice:
        raise ArrivalError(f"{path.suffix} files are not taken", where=label, todo=advice)
    if path.is_file():
        _refuse_unsafe(path, label)
    if path.suffix.lower() == ".zip":
        yield Opened(_inside_zip(path, label), label)
    elif path.suffix.lower() in (".gml", ".xml"):
        with tempfile.TemporaryDirectory(prefix="makan-") as folder:
            copy = shutil.copy(path, folder)
            yield Opened(str(copy), label)
    else:
        yield Opened(str(path.resolve()), label)


def _refuse_unsafe(path: Path, label: str) -> None:
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise ArrivalError(f"cannot be read ({error.strerror})", where=label) from None
    if not head:
        raise ArrivalError("is empty", where=label, todo="Ask for the file again.")
    if head.startswith(b"AC10") and path.suffix.lower() != ".dxf":
        raise ArrivalError("DWG files are not taken", where=label, todo=_ADVICE[".dwg"])
    if any(mark in head for mark in _FORBIDDEN):
        raise ArrivalError(
            "points to other files or hosts instead of holding data",
            where=label,
            todo="Send the files it points to.",
        )


def _inside_zip(path: Path, label: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile:
        raise ArrivalError("is no zip file", where=label, todo="Ask for the file again.") from None
    if len(members) > _MAX_MEMBERS:
        raise ArrivalError(f"holds {len(members)} files, at most {_MAX_MEMBERS}", where=label)
    if any(member.flag_bits & 1 for member in members):
        raise ArrivalError("is encrypted", where=label, todo="Send it without a password.")
    data = [m.filename for m in members if Path(m.filename).suffix.lower() in _INSIDE]
    if not data:
        raise ArrivalError("holds no layer that can be read", where=label)
    if len(data) > 1:
        raise ArrivalError(
            f"holds several layers: {', '.join(data[:8])}",
            where=label,
            todo="Send one zip a layer, or unpack it and load each.",
        )
    return f"/vsizip/{{{path.resolve()}}}/{data[0]}"
