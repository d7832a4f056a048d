"""Container: from a path that a person gives to something GDAL may safely open.

Archives are read in place, never unpacked; formats that call other files or hosts are refused;
GML is read from a copy, because GDAL writes beside it, and CSV in another encoding from a UTF-8
copy, because GDAL does not decode it.
"""

from __future__ import annotations

import codecs
import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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
    ".mdb": "Send it as GeoPackage or CSV.",
    ".parquet": "Send it as GeoPackage.",
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
    ".kml",
    ".fgb",
    ".xlsx",
)
TABLES = (".csv", ".tsv", ".txt")
_MAX_MEMBERS = 10_000
_MAX_BYTES = 64 * 2**30
_BLOCK = 2**20


@dataclass(frozen=True)
class Opened:
    """``place`` is what GDAL opens, ``label`` what people read, ``said`` the encoding that the
    file itself declares (a Shapefile's .cpg)."""

    place: str
    label: str
    said: str | None = None


@contextmanager
def opened(path: Path, encoding: str | None = None) -> Iterator[Opened]:
    """``path`` made safe to open; raises ArrivalError with advice for what is not taken.

    ``encoding`` is what the feed declares for it.
    """
    label = path.name
    if not path.exists():
        raise ArrivalError("no such file", where=str(path), todo="Check the path.")
    advice = _ADVICE.get(path.suffix.lower())
    if advice:
        raise ArrivalError(f"{path.suffix} files are not taken", where=label, todo=advice)
    if path.is_file():
        _refuse_unsafe(path, label)
    suffix = path.suffix.lower()
    with tempfile.TemporaryDirectory(prefix="makan-") as folder:
        if suffix == ".zip":
            found = _inside_zip(path, label)
        elif suffix in (".gml", ".xml"):
            found = _copied(path, Path(folder))
        else:
            found = Opened(str(path.resolve()), label, _cpg(path))
        foreign = encoding is not None and python_name(encoding) and not is_utf8(encoding)
        if encoding and foreign and _is_table(found.place):
            found = _decoded(path, found, Path(folder), encoding)
        yield found


def is_utf8(encoding: str) -> bool:
    """Whether ``encoding`` is a name of UTF-8."""
    return python_name(encoding) in ("utf-8", "utf-8-sig")


def python_name(encoding: str) -> str | None:
    """One name for each encoding, whichever it is called by; None if it is unknown."""
    bare = encoding.strip()
    # ESRI writes 88596 for ISO 8859-6 and 1256 for Windows-1256.
    esri = f"iso8859-{bare[4:]}" if bare.startswith("8859") else f"cp{bare}"
    for name in (bare, esri):
        with suppress(LookupError):
            return codecs.lookup(name).name
    return None


def _cpg(path: Path) -> str | None:
    for sidecar in (path.with_suffix(".cpg"), path.with_suffix(".CPG")):
        with suppress(OSError):
            return sidecar.read_text(encoding="ascii", errors="replace").strip() or None
    return None


def _copied(path: Path, folder: Path) -> Opened:
    for part in (path, path.with_suffix(".xsd"), path.with_suffix(".gfs")):
        with suppress(FileNotFoundError):
            shutil.copy(part, folder)
    return Opened(str(folder / path.name), path.name)


def _is_table(place: str) -> bool:
    return Path(place).suffix.lower() in TABLES


def _decoded(path: Path, found: Opened, folder: Path, encoding: str) -> Opened:
    """A UTF-8 copy; text that is not in ``encoding`` stops."""
    copy = folder / Path(found.place).name
    try:
        with ExitStack() as stack:
            raw: IO[bytes] = stack.enter_context(path.open("rb"))
            if path.suffix.lower() == ".zip":
                archive = stack.enter_context(zipfile.ZipFile(raw))
                raw = stack.enter_context(archive.open(found.place.split("}/", 1)[1]))
            source = io.TextIOWrapper(raw, encoding=python_name(encoding), newline="")
            target = stack.enter_context(copy.open("w", encoding="utf-8", newline=""))
            while block := source.read(_BLOCK):
                target.write(block)
    except UnicodeError:
        raise ArrivalError(
            f"its text is not in {encoding}, as the feed declares",
            where=found.label,
            todo="Correct encoding in the feed's [source].",
        ) from None
    return Opened(str(copy), found.label)


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


def _inside_zip(path: Path, label: str) -> Opened:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.filename.startswith("__MACOSX/")]
            _refuse_bomb(members, label)
            data = [m for m in members if Path(m.filename).suffix.lower() in _INSIDE]
            cpg = [m for m in members if m.filename.lower().endswith(".cpg")]
            said = archive.read(cpg[0])[:80].decode("ascii", "replace").strip() if cpg else None
    except (zipfile.BadZipFile, NotImplementedError):
        raise ArrivalError("is no zip file", where=label, todo="Ask for the file again.") from None
    if not data:
        raise ArrivalError("holds no layer that can be read", where=label)
    if len(data) > 1:
        raise ArrivalError(
            f"holds several layers: {', '.join(m.filename for m in data[:8])}",
            where=label,
            todo="Send one zip a layer, or unpack it and load each.",
        )
    return Opened(f"/vsizip/{{{path.resolve()}}}/{data[0].filename}", label, said or None)


def _refuse_bomb(members: list[zipfile.ZipInfo], label: str) -> None:
    if len(members) > _MAX_MEMBERS:
        raise ArrivalError(f"holds {len(members)} files, at most {_MAX_MEMBERS}", where=label)
    if sum(member.file_size for member in members) > _MAX_BYTES:
        raise ArrivalError("unpacks to more than 64 GB", where=label, todo="Send it in parts.")
    if any(member.flag_bits & 1 for member in members):
        raise ArrivalError("is encrypted", where=label, todo="Send it without a password.")
