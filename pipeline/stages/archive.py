"""Archive: one layer out of a zip or tar, into a folder of ours and nowhere else.

Nothing that an archive says is believed: names become bare file names, sizes are counted while
unpacking, links and devices are refused.
"""

from __future__ import annotations

import errno
import fnmatch
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.errors import ArrivalError, ResourceError
from pipeline.stages.encoding import python_name, try_encodings

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
WORKBOOKS = (".xlsx", ".ods")
_OTHERS = (*ENDINGS, ".rar", ".7z", ".gz", ".bz2", ".xz")
# What may be a layer, and the ending that stands for a whole folder (EDIGEO).
_LAYERS = (
    ".shp", ".gpkg", ".geojson", ".json", ".topojson", ".csv", ".tsv", ".dxf", ".dgn", ".gml",
    ".kml", ".fgb", ".xlsx", ".ods", ".parquet", ".geoparquet", ".sqlite", ".mdb", ".accdb", ".thf",
    ".dbf", ".dwg",
)  # fmt: skip
_FOLDERS = (".thf",)
_MAX_MEMBERS = 10_000
_MAX_BYTES = 64 * 2**30
# A sheet is held in memory as a whole.
_MAX_WORKBOOK = 4 * 2**30
# Text packs 5 to 50 times, zeros a thousand times.
_MAX_RATIO, _ALWAYS_FINE = 300, 64 * 2**20
_BLOCK = 2**20
_LISTED = 8
_IS_UTF8 = 0x800
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, NotImplementedError, EOFError, gzip.BadGzipFile,
    lzma.LZMAError, zlib.error, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class _Member:
    """One file; ``name`` is its path inside, with forward slashes."""

    name: str
    size: int
    packed: int | None
    fault: str | None
    open: Callable[[], IO[bytes]]

    @property
    def suffix(self) -> str:
        """The ending, in small letters."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """The path without its ending."""
        return self.name[: len(self.name) - len(self.suffix)]


def is_archive(path: Path) -> bool:
    """Whether ``path`` is called like one."""
    return path.is_file() and path.name.lower().endswith(ENDINGS)


def unpacked(path: Path, folder: Path, wanted: str | None) -> Path:
    """The layer's file, unpacked into ``folder`` with all that belongs to it.

    ``wanted`` is a pattern that names it where there are several. Raises ArrivalError, also for
    archives that hide something.
    """
    label = path.name
    try:
        with _listed(path) as members:
            safe = list(_refusing(members, path, label))
            main = _chosen(safe, wanted, label)
            for member in _belonging(safe, main):
                _write(member, folder, label)
    except _BROKEN as error:
        what = "is no zip file" if path.suffix.lower() == ".zip" else "is no archive"
        if isinstance(error, zlib.error | EOFError | lzma.LZMAError) or _begins_as_zip(path):
            what = "is a damaged archive"
        raise ArrivalError(what, where=label, todo="Ask for the file again.") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # of what we write, not of what we read
            raise
        if error.errno is None or not error.filename:
            raise ArrivalError(
                "is a damaged archive", where=label, todo="Ask for the file again."
            ) from None
        raise ResourceError(
            f"cannot be unpacked ({error.strerror})", where=label, todo="Free disk space."
        ) from None
    return folder / _bare(main.name)


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def examine(workbook: Path) -> None:
    """Raises ArrivalError for a workbook (a zip itself) that would unpack without end."""
    label = workbook.name
    try:
        with _listed(workbook) as members:
            size = sum(one.size for one in _refusing(members, workbook, label))
    except _BROKEN:
        raise ArrivalError(
            "is no workbook, or a damaged one", where=label, todo="Ask for it again, as XLSX."
        ) from None
    if size > _MAX_WORKBOOK:
        raise ArrivalError(
            f"unpacks to {size / 2**30:.1f} GB, which no memory holds",
            where=label,
            todo="Ask for it as CSV or GeoPackage.",
        )


@contextmanager
def _listed(path: Path) -> Iterator[Iterator[_Member]]:
    if path.suffix.lower() in (".zip", *WORKBOOKS):
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            names = _decoded(infos)
            yield (_of_zip(archive, info, names) for info in infos)
    else:
        with tarfile.open(path, "r:*") as tar:
            yield (_of_tar(tar, info) for info in tar if not info.isdir())


def _decoded(infos: list[zipfile.ZipInfo]) -> dict[str, str]:
    """Names that do not say how they are encoded, as their letters show: Windows writes them in the
    code page of its language, and the zip format means CP437."""
    written = {
        info.filename: info.filename.encode("cp437")
        for info in infos
        if not info.flag_bits & _IS_UTF8 and not info.filename.isascii()
    }
    trial = try_encodings(_bare(name).encode("cp437") for name in written)
    found = python_name(trial.encoding) if trial else None
    if found is None or found == "cp437":
        return {}
    with suppress(UnicodeError):
        return {name: raw.decode(found) for name, raw in written.items()}
    return {}


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, names: dict[str, str]) -> _Member:
    name = names.get(info.filename, info.filename)
    fault = "is encrypted" if info.flag_bits & 1 else None
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        fault = f"holds a link ({_short(name)})"
    return _Member(name, info.file_size, info.compress_size, fault, lambda: archive.open(info))


def _of_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    fault = None if info.isreg() else f"holds a link or device ({_short(info.name)})"

    def opened() -> IO[bytes]:
        stream = tar.extractfile(info)
        if stream is None:
            raise tarfile.ReadError(info.name)
        return stream

    return _Member(info.name, info.size, None, fault, opened)


def _refusing(members: Iterator[_Member], path: Path, label: str) -> Iterator[_Member]:
    """The members one by one, as long as nothing is wrong with what came so far."""
    size, whole = 0, max(path.stat().st_size, 1)
    for count, member in enumerate(members, start=1):
        size += member.size
        told = member.fault or _outside(member.name)
        if count > _MAX_MEMBERS:
            told = f"holds more than {_MAX_MEMBERS} files"
        elif size > _MAX_BYTES:
            told = f"unpacks to more than {_MAX_BYTES / 2**30:.3g} GB"
        elif size > _ALWAYS_FINE and size / whole > _MAX_RATIO:
            told = f"unpacks to more than {_MAX_RATIO} times its size"
        if told:
            raise ArrivalError(told, where=label, todo="Send the layer's own files, packed anew.")
        if not member.name.startswith("__MACOSX/"):
            yield member


def _outside(name: str) -> str | None:
    parts = PurePosixPath(name.replace("\\", "/"))
    # A drive's letter is a way out, too.
    if parts.is_absolute() or ".." in parts.parts or name[1:2] == ":" or "\x00" in name:
        return f"holds a path that leads out of it ({_short(name)})"
    return None


def _chosen(members: list[_Member], wanted: str | None, label: str) -> _Member:
    shapes = {m.stem for m in members if m.suffix == ".shp"}
    layers = [
        m for m in members
        if m.suffix in _LAYERS and m.size and not (m.suffix == ".dbf" and m.stem in shapes)
    ]  # fmt: skip
    nested = [m for m in members if m.name.lower().endswith(_OTHERS)]
    if wanted:
        layers = [m for m in layers if _matches(m.name, wanted)]
    elif nested:
        raise ArrivalError(
            f"holds an archive itself: {_short(nested[0].name)}",
            where=label,
            todo="Unpack it and send what is inside.",
        )
    if not layers:
        what = f"holds no layer {wanted}" if wanted else "holds no layer that can be read"
        raise ArrivalError(
            what,
            where=label,
            todo="Ask for the layers themselves, such as a GeoPackage or all files of a Shapefile.",
        )
    if len(layers) > 1:
        names = sorted(m.name for m in layers)
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise ArrivalError(
            f"holds several layers: {', '.join(map(_short, names[:_LISTED]))}{more}",
            where=label,
            todo='Name one as member = "…" in the feed\'s [source].',
        )
    return layers[0]


def _matches(name: str, wanted: str) -> bool:
    pattern = wanted.lower()
    return any(
        fnmatch.fnmatchcase(one.lower(), pattern) for one in (name, PurePosixPath(name).name)
    )


def _belonging(members: list[_Member], main: _Member) -> list[_Member]:
    """``main`` and its sidecars, the largest path first: bare names must not meet."""
    folder = PurePosixPath(main.name).parent
    beside = [m for m in members if PurePosixPath(m.name).parent == folder]
    if main.suffix in _FOLDERS:
        return beside
    stem = main.stem.lower()
    return [m for m in beside if m is main or m.stem.lower() == stem]


def _bare(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name


def _write(member: _Member, folder: Path, label: str) -> None:
    """Unpacks one file, and stops where it is larger than it says."""
    left = member.size
    with member.open() as source, (folder / _bare(member.name)).open("wb") as target:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise ArrivalError("is larger than it says", where=label)
            target.write(block)


def _short(name: str) -> str:
    return name if len(name) <= 80 else f"…{name[-79:]}"
