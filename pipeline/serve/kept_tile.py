"""A tile that is kept: by what it is found, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from pipeline.derive.grids import Tile
from pipeline.serve import encodings
from pipeline.serve.unpacked import Unpacked

_FIRST = encodings.OFFERED[0]
_UNPACKED = Unpacked(16_000_000)


@dataclass(frozen=True, slots=True)
class Key:
    """Which tile: of ``source`` in ``grid``, made to be at most ``most`` bytes."""

    source: str
    grid: str
    tile: Tile
    most: int

    @property
    def values(self) -> tuple[str, str, int, int, int, int]:
        """For the table."""
        return (self.source, self.grid, self.tile.zoom, self.tile.row, self.tile.column, self.most)


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept tile: its tag, the length of its body, and what it is encoded as; an empty tile is
    nothing. ``number`` is its place in the file."""

    tag: str
    plain: int
    packed: dict[str, bytes]
    number: int = 0

    def body(self) -> bytes:
        """The bytes themselves."""
        if not self.plain:
            return b""
        found = _UNPACKED.get(self.tag)
        if found is None:
            found = encodings.decode(self.packed[_FIRST], self.plain)
            _UNPACKED.put(self.tag, found)
        return found


def tag(body: bytes) -> str:
    """A strong tag of these bytes."""
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


def packed(body: bytes, mark: str | None = None) -> Kept:
    """``body``, whose tag is ``mark``, as it is kept: in the encoding that costs least. Most are
    never asked for again, and those that are mostly in this one."""
    encoded = {_FIRST: encodings.encode(body, _FIRST)} if body else {}
    return Kept(mark or tag(body), len(body), encoded)
