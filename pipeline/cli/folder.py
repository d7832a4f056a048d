"""A folder of arrivals: which feed means which file, and which files nobody means."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from pipeline.contracts.registry import Schemas
from pipeline.errors import ArrivalError

#: Endings of what belongs to a file of the same name, and what systems leave in folders.
_BESIDE = frozenset((
    ".shx", ".dbf", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx", ".shp.xml", ".fix", ".idm",
    ".ind", ".csvt", ".gfs", ".xsd", ".qmd", ".tfw", ".jgw", ".j2w", ".aux.xml", ".ovr", ".msk",
    ".gpkg-wal", ".gpkg-shm", ".ldb", ".laccdb", ".lock",
))  # fmt: skip
_LEFT_BY_SYSTEMS = (".*", "~$*", "thumbs.db", "desktop.ini")
# One file stands for its whole folder.
_WHOLE_FOLDERS, _IMAGES = (".thf",), (".tif", ".tiff", ".jp2", ".jpg", ".png")
_SHOWN = 12


@dataclass(frozen=True)
class Matched:
    """``work``: feeds with their files, layers that others build on first; ``left``: the files
    that no feed means."""

    work: list[tuple[str, Path]]
    left: list[Path]

    def told(self, folder: Path) -> str | None:
        """What is said of the files that are left."""
        if not self.left:
            return None
        names = [str(path.relative_to(folder)) for path in self.left]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        count = "1 file is" if len(names) == 1 else f"{len(names)} files are"
        return f"{count} meant by no feed: {', '.join(names[:_SHOWN])}{more}"


def matching(schemas: Schemas, folder: Path) -> Matched:
    """The files of ``folder`` and of those within; ArrivalError where no feed means any."""
    if not folder.is_dir():
        raise ArrivalError("no such folder", where=str(folder), todo="Check the path.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    place = {name: number for number, name in enumerate(schemas.load_order)}
    found = [
        (place[feed.layer], feed.id, path)
        for feed in schemas.feeds.values()
        for path in files
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in feed.source.match)
    ]
    if not found:
        raise ArrivalError(
            f"no file is meant by a feed of {schemas.city.id}",
            where=str(folder),
            todo="`makan feed draft FILE` proposes a feed.",
        )
    work = [(feed, path) for _, feed, path in sorted(found)]
    return Matched(work, _left(files, {path for _, path in work}))


def _left(files: list[Path], taken: set[Path]) -> list[Path]:
    """Files that are neither taken nor part of another one."""
    stems = {path.with_suffix("") for path in files if not _is_beside(path)}
    whole = {path.parent for path in taken if path.suffix.lower() in _WHOLE_FOLDERS}
    return [
        path
        for path in files
        if path not in taken
        and path.parent not in whole
        and not any(fnmatch.fnmatch(path.name.lower(), one) for one in _LEFT_BY_SYSTEMS)
        and not (_is_beside(path) and _bare(path) in stems)
    ]


def _is_beside(path: Path) -> bool:
    return any(path.name.lower().endswith(ending) for ending in _BESIDE)


def _bare(path: Path) -> Path:
    """The path without the ending that says what part of a file it is."""
    longest = max((one for one in _BESIDE if path.name.lower().endswith(one)), key=len)
    name = Path(path.name[: -len(longest)])
    # raster.tif.ovr belongs to raster.tif.
    return path.parent / (name.stem if name.suffix.lower() in _IMAGES else name)
