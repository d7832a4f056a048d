"""Files by path or by address (fsspec): a folder that all machines share, or an object storage.

A path is used where it is. What an address names is fetched into a cache of the process, and what
is made for one is written here and put there when it is whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import xxhash

from pipeline.errors import ResourceError, SettingsError

_BLOCK = 2**20
_KEPT = 32  # fetched files a process


def is_address(place: str) -> bool:
    """Whether ``place`` is an address such as s3://bucket/folder, not a path."""
    return "://" in place


def joined(folder: str, name: str) -> str:
    """The place of ``name`` in ``folder``."""
    return f"{folder.rstrip('/')}/{name}"


def reached(address: str) -> tuple[Any, str]:
    """The file system of an address, and its path there."""
    try:
        import fsspec
    except ImportError:
        raise SettingsError(
            f"{address}: addresses need fsspec, which is not installed",
            todo="pip install 'makan[cluster]'",
        ) from None
    try:
        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{address} cannot be used: {error}") from None
    return system, path


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise ResourceError(f"cannot be reached: {said}", where=place) from error


@contextmanager
def opened(place: str) -> Iterator[BinaryIO]:
    """A file to read parts of; only these are fetched from an address."""
    if not is_address(place):
        with Path(place).open("rb") as stream:
            yield stream
        return
    with _told(place):
        system, path = reached(place)
        stream = system.open(path, "rb")
    with stream:
        yield stream


def found(folder: str) -> list[str]:
    """All files in ``folder`` and below it, sorted; ResourceError where there is no such folder."""
    if not is_address(folder):
        return sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())
    with _told(folder):
        system, path = reached(folder)
        return sorted(system.unstrip_protocol(name) for name in system.find(path))


def exists(place: str) -> bool:
    """Whether there is such a file."""
    if not is_address(place):
        return Path(place).is_file()
    with _told(place):
        system, path = reached(place)
        return bool(system.isfile(path))


@contextmanager
def writing(place: str) -> Iterator[Path]:
    """A path to write to; at the end of the block the file is at ``place``, or nothing is."""
    if not is_address(place):
        target = Path(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        # GDAL's temporary files beside it get unlike names too.
        begun = target.with_name(f".{uuid4().hex}-{target.name}")
        try:
            yield begun
            begun.replace(target)
        finally:
            begun.unlink(missing_ok=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        begun = Path(folder) / place.rsplit("/", 1)[-1]
        yield begun
        with _told(place):
            system, path = reached(place)
            system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            system.put_file(str(begun), path)


def fingerprint(place: str) -> str:
    """Another one whenever the content is: a hash of it, or what the storage says of a version."""
    if not is_address(place):
        digest = xxhash.xxh3_128()
        with _told(place), Path(place).open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()
    with _told(place):
        system, path = reached(place)
        return str(system.ukey(path))


class _Cache:
    """Files that were fetched, the last used kept; gone with the process."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: OrderedDict[tuple[str, str], Path] = OrderedDict()

    def path(self, place: str) -> Path:
        """A copy of what is at the address now."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="makan-")
        system, path = reached(place)
        key = place, str(system.ukey(path))
        if key not in self._files:
            while len(self._files) >= _KEPT:
                self._files.popitem(last=False)[1].unlink(missing_ok=True)
            copy = Path(self._folder.name) / f"{uuid4().hex}-{path.rsplit('/', 1)[-1]}"
            system.get_file(path, str(copy))
            self._files[key] = copy
        self._files.move_to_end(key)
        return self._files[key]


_cache = _Cache()


def local(place: str) -> Path:
    """A path by which the file can be read; ResourceError where it cannot be reached."""
    if not is_address(place):
        return Path(place)
    with _told(place):
        return _cache.path(place)


def sweep(folder: str, kept: Iterable[str]) -> None:
    """Removes the files of a folder of ours that are not ``kept``."""
    left = {_path(place) for place in kept}
    for place in found(folder):
        if _path(place) not in left:
            drop(place)


def _path(place: str) -> str:
    """Equal for an address however it is written."""
    return reached(place)[1] if is_address(place) else place


def drop(place: str) -> None:
    """Removes a file of ours."""
    if not is_address(place):
        Path(place).unlink(missing_ok=True)
        return
    with _told(place):
        system, path = reached(place)
        system.rm_file(path)


def remove(folder: str) -> None:
    """Removes a folder of ours and what is in it."""
    if not is_address(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with _told(folder):
        system, path = reached(folder)
        if system.exists(path):
            system.rm(path, recursive=True)


def of_path(path: Path | str) -> str:
    """A place as the tasks name it: paths absolute, since workers have folders of their own."""
    text = os.fspath(path)
    return text if is_address(text) else str(Path(text).resolve())
