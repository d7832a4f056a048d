"""Container: from a path that a person gives to a file that a reader may safely open.

The layer of an archive is unpacked into a folder of ours; formats that call other files or hosts,
and those that nobody can read, are refused; what a reader would write beside its file, it writes
there as well. A table in another encoding is read from a UTF-8 copy, because GDAL does not decode.
"""

from __future__ import annotations

import errno
import io
import mmap
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.db.arrival import parts, refuse_strange
from pipeline.errors import ArrivalError, ResourceError
from pipeline.stages import archive
from pipeline.stages.encoding import is_utf8, python_name
from pipeline.stages.telling import TABLES, Told, told_by

_DRAWING = "Save it as DXF R2000 or R2013."
_IMAGE = "It is an image: save it as GeoTIFF or JPEG 2000, and give it to `makan raster load`."
_PROJECT = "It is a map document without data: ask for the layers, as GeoPackage."
_ADVICE = {
    ".dwg": _DRAWING,
    ".dwf": _DRAWING,
    ".dwt": _DRAWING,
    ".ecw": _IMAGE,
    ".sid": _IMAGE,
    ".jp2": "It is an image: give it to `makan raster load`.",
    ".tif": "It is an image: give it to `makan raster load`.",
    ".las": "It is a point cloud: ask for the terrain as GeoTIFF.",
    ".laz": "It is a point cloud: ask for the terrain as GeoTIFF.",
    ".mxd": _PROJECT,
    ".aprx": _PROJECT,
    ".lyr": _PROJECT,
    ".lyrx": _PROJECT,
    ".qgs": _PROJECT,
    ".qgz": _PROJECT,
    ".mpk": "Ask for the layers, as GeoPackage or zipped Shapefile.",
    ".kmz": "Save it as KML.",
    ".rar": "Send it as zip.",
    ".7z": "Send it as zip.",
    ".gz": "Send it as zip.",
    ".bz2": "Send it as zip.",
    ".vrt": "Send the files it points to.",
    ".xls": "Save it as XLSX.",
    ".xlsb": "Save it as XLSX.",
    ".xlsm": "Save it as XLSX, without macros.",
    ".pdf": "It is a picture of data: ask for the data, as GeoPackage or XLSX.",
    ".doc": "Ask for the table as XLSX or CSV.",
    ".docx": "Ask for the table as XLSX or CSV.",
    ".sde": "It is a connection to a database: ask for the layers, as GeoPackage.",
    ".ldb": "It is a lock of Access: send the .mdb or .accdb.",
}
_FORBIDDEN = (
    b"<OGRVRTDataSource", b"<VRTDataset", b"<OGRWFSDataSource", b"<GDAL_WMS", b"<!ENTITY",
    b"<GDALTileIndexDataset",
)  # fmt: skip
_ZIP, _JSON, _UTF16 = b"PK\x03\x04", (".json", ".geojson", ".topojson"), (b"\xff\xfe", b"\xfe\xff")
_OLE, _DWG, _RAR, _SEVEN = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"AC10", b"Rar!", b"7z\xbc\xaf\x27"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_BLOCK, _ENDS = 2**20, 2**16
_HINT = re.compile(rb'(?i)^(?:\xef\xbb\xbf)?"?sep=.?"?\r?\n')
_CRS_ELSEWHERE = re.compile(rb'(?is)"crs"\s*:\s*\{.{0,400}?"type"\s*:\s*"(?:link|url)"')


@dataclass(frozen=True)
class Opened:
    """``place`` is the file to read, ``label`` what people call it, ``folder`` where a reader may
    write; ``told`` is what the file says of the encoding of its text, or shows of it. ``header`` is
    the row of a workbook that names its columns."""

    place: Path
    label: str
    folder: Path
    told: Told = field(default_factory=Told)
    header: int = 1


@contextmanager
def opened(
    path: Path, encoding: str | None = None, member: str | None = None, header: int = 1
) -> Iterator[Opened]:
    """``path`` made safe to open; raises ArrivalError with advice for what is not taken.

    ``encoding`` is what the feed declares for it, ``member`` names the layer of an archive,
    ``header`` is the line that names a table's columns.
    """
    label = path.name
    if not path.exists():
        raise ArrivalError("no such file", where=str(path), todo="Check the path.")
    refuse_strange(path)
    with _room(label), tempfile.TemporaryDirectory(prefix="makan-") as name:
        folder = Path(name)
        place = path.resolve()
        if archive.is_archive(path):
            _refuse_unsafe(path, label)
            inside = folder / "inside"
            inside.mkdir()
            place = archive.unpacked(place, inside, member)
        elif member is not None:
            raise ArrivalError(
                "is no archive, but the feed names a member of one",
                where=label,
                todo="Take member out of the feed's [source].",
            )
        _refuse_untaken(place, label)
        if _misleads(str(place)):
            place = _named(place, folder)
        yield _readable(Opened(place, label, folder, told_by(place), header), encoding)


def _misleads(name: str) -> bool:
    """Whether GDAL does not find what is called so: it leaves line breaks out, and takes what
    stands before an exclamation mark for an archive."""
    return "!" in name or not name.isprintable()


def _named(place: Path, folder: Path) -> Path:
    """A link to each part under a name that leads to it."""
    made = folder / "named"
    made.mkdir()
    stem = "".join(one for one in place.stem if not _misleads(one)) or "arrival"
    for part in parts(place):
        (made / f"{stem}{part.name[len(place.stem) :]}").symlink_to(part)
    return made / f"{stem}{place.suffix}"


@contextmanager
def _room(label: str) -> Iterator[None]:
    """Whatever is written on the way, a full disk is told as one."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ResourceError(
            f"there is no room to work on it in {tempfile.gettempdir()} ({error.strerror})",
            where=label,
            todo="Free disk space, or set TMPDIR to another place.",
        ) from None


def _refuse_untaken(place: Path, label: str) -> None:
    suffix = place.suffix.lower()
    advice = _ADVICE.get(suffix)
    if advice:
        raise ArrivalError(f"{suffix} files are not taken", where=label, todo=advice)
    if place.is_file():
        _refuse_unsafe(place, label)


def _refuse_unsafe(place: Path, label: str) -> None:
    try:
        with place.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise ArrivalError(f"cannot be read ({error.strerror})", where=label) from None
    if not head:
        raise ArrivalError("is empty", where=label, todo="Ask for the file again.")
    kinds = ((_DWG, "DWG", ".dwg"), (_RAR, "RAR", ".rar"), (_SEVEN, "7z", ".7z"))
    for mark, kind, suffix in kinds:
        if head.startswith(mark) and place.suffix.lower() not in TABLES:
            raise ArrivalError(f"{kind} files are not taken", where=label, todo=_ADVICE[suffix])
    _refuse_disguised(place, head, label)
    if head.startswith(_OLE):
        raise _office(place, label)
    if any(mark in head for mark in _FORBIDDEN) or _CRS_ELSEWHERE.search(_ends(place)):
        raise ArrivalError(
            "points to other files or hosts instead of holding data",
            where=label,
            todo="Send the files it points to.",
        )


def _refuse_disguised(place: Path, head: bytes, label: str) -> None:
    """What is something else than its name says."""
    if head.startswith(_ZIP):
        if place.suffix.lower() in archive.WORKBOOKS:
            archive.examine(place)
        elif not archive.is_archive(place):
            raise ArrivalError(
                "is a workbook or a zip archive by what it holds, but not by its name",
                where=label,
                todo="Give it the ending that it should have: .xlsx, .ods or .zip.",
            )
    if place.suffix.lower() in _JSON and head[:2] in _UTF16:
        raise ArrivalError("is written as UTF-16", where=label, todo="Ask for it as UTF-8.")


def _office(place: Path, label: str) -> ArrivalError:
    """What is said of a file in the way Office stored its documents until 2003."""
    what, todo = "is an old Office document", "Save it as XLSX or CSV."
    if place.suffix.lower() == ".dgn":
        what, todo = "is a MicroStation V8 drawing", f"{_DRAWING[:-1]}, or DGN V7."
    elif _is_locked(place):
        what, todo = "is protected by a password", "Ask for it without, as XLSX or CSV."
    return ArrivalError(what, where=label, todo=todo)


def _is_locked(place: Path) -> bool:
    """Whether an Office document is one that has been encrypted."""
    with place.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(_ENCRYPTED) >= 0


def _ends(place: Path) -> bytes:
    """The first and last bytes of a JSON file, where its CRS is named."""
    if place.suffix.lower() not in (".json", ".geojson"):
        return b""
    with place.open("rb") as stream:
        head = stream.read(_ENDS)
        stream.seek(max(stream.seek(0, io.SEEK_END) - _ENDS, 0))
        return head + stream.read()


def _readable(found: Opened, encoding: str | None) -> Opened:
    """A plain table as GDAL takes it: called .csv, and in UTF-8."""
    if found.place.suffix.lower() not in TABLES:
        return found
    told = found.told
    trial = told.trial.encoding if told.trial and told.trial.sure else None
    name = encoding or told.said or trial
    if name and python_name(name) and not is_utf8(name):
        return _from_header(_decoded(found, name))
    # Away from a .csvt, by which GDAL would make numbers of codes.
    ending = ".tsv" if found.place.suffix.lower() == ".tsv" else ".csv"
    renamed = found.folder / f"{found.place.stem}{ending}"
    renamed.symlink_to(found.place)
    return _from_header(replace(found, place=renamed))


def _from_header(found: Opened) -> Opened:
    """A copy without the lines above the header, and without a first one that only tells Excel what
    parts the values."""
    with found.place.open("rb") as source:
        hint = _HINT.match(source.read(16))
        if hint is None and found.header == 1:
            return found
        copy = found.folder / "from_header" / found.place.name
        copy.parent.mkdir()
        source.seek(hint.end() if hint else 0)
        for _ in range(found.header - 1):
            source.readline()
        with copy.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
    return replace(found, place=copy)


def _decoded(found: Opened, encoding: str) -> Opened:
    """A UTF-8 copy; text that is not in ``encoding`` stops."""
    tabs = found.place.suffix.lower() == ".tsv"
    copy = found.folder / f"{found.place.stem}{'.tsv' if tabs else '.csv'}"
    try:
        with (
            found.place.open("rb") as raw,
            io.TextIOWrapper(raw, encoding=python_name(encoding), newline="") as source,
            copy.open("w", encoding="utf-8", newline="") as target,
        ):
            shutil.copyfileobj(source, target, _BLOCK)
    except UnicodeError:
        raise ArrivalError(
            f"its text is not in {encoding}, as the feed or the file declares",
            where=found.label,
            todo="Correct encoding in the feed's [source].",
        ) from None
    return replace(found, place=copy)
