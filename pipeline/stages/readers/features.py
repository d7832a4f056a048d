"""Features: the elements of the list of a GeoJSON's features, found on its bytes.

GDAL leaves out what is no feature (null, a number, a misspelt type) and counts what is left. It
takes whole numbers that stand as ``id`` beside the properties for numbers of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from pipeline.errors import ArrivalError

_BLOCK, _HEAD = 2**22, 2**16
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_FEATURES = re.compile(rb'"features"\s*:\s*\[')
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_QUOTE, _COMMA = ord('"'), ord(",")
_STEP = np.zeros(256, dtype=np.int8)
_STEP[[ord("{"), ord("[")]] = 1
_STEP[[ord("}"), ord("]")]] = -1
_BLANK = np.zeros(256, dtype=bool)
_BLANK[list(b" \t\r\n")] = True


@dataclass
class _Scan:
    """Where in the file a block begins: within a text, and how deep."""

    inside: bool = False
    depth: int = 0
    filled: bool = False
    ended: bool = False

    def block(self, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
        """Where in the block the commas are that part the elements of the list that the scan began
        with, and its end where it ends here."""
        quotes = data == _QUOTE
        text = (np.cumsum(quotes) + self.inside) & 1 == 1
        outside = ~(text | quotes)
        steps = np.where(outside, _STEP[data], 0)
        depth = np.cumsum(steps) + self.depth
        end = np.flatnonzero(depth < 0)[:1]
        if len(end):
            self.ended = True
            depth, data, outside = (one[: end[0]] for one in (depth, data, outside))
        self.filled |= bool((~_BLANK[data]).any())
        if not self.ended:
            self.inside, self.depth = bool(text[-1]), int(depth[-1])
        commas = np.flatnonzero((depth == 0) & (data == _COMMA) & outside)
        return np.append(commas, end)


def _blocks(path: Path, scan: _Scan) -> Iterator[tuple[bytes, npt.NDArray[np.intp]]]:
    """The list block by block, each with where its elements end; nothing where the file has none,
    or not near its beginning."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
        found = _FEATURES.search(head)
        before = b"" if found is None else head[: found.start()]
        if found is None or before.count(b"{") - before.count(b"}") != 1:
            return
        rest = head[found.end() :]
        while rest and not scan.ended:
            # A backslash and what it escapes belong together.
            while rest.endswith(b"\\") and (more := stream.read(1)):
                rest += more
            if _NUL.search(rest):
                raise ArrivalError(
                    "holds a NUL character (\\u0000), behind which its text would be lost",
                    where=path.name,
                    todo="Ask for it again without.",
                )
            plain = _ESCAPED.sub(b"__", rest)
            yield rest, scan.block(np.frombuffer(plain, dtype=np.uint8))
            rest = stream.read(_BLOCK)


def count(path: Path) -> int | None:
    """The elements of the list; None where the file has none, or not near its beginning."""
    scan = _Scan()
    found = sum(len(ends) for _, ends in _blocks(path, scan))
    if not scan.ended:
        return None
    return found if scan.filled else 0


def ids(path: Path, label: str) -> Iterator[str | None]:
    """The ``id`` of each element, as it is written; null where it has none.

    One by one, as nothing else reads them: only for feeds that ask for them.
    """
    begun, number = b"", 0
    for block, ends in _blocks(path, _Scan()):
        edges = [-1, *ends.tolist()]
        for before, end in pairwise(edges):
            number += 1
            yield _id(begun + block[before + 1 : end], number, label)
            begun = b""
        begun += block[edges[-1] + 1 :]


def _id(element: bytes, number: int, label: str) -> str | None:
    try:
        read = orjson.loads(element)
    except orjson.JSONDecodeError as error:
        raise ArrivalError(
            f"feature {number} cannot be read: {error}", where=label, todo="Ask for it again."
        ) from None
    value = read.get("id") if isinstance(read, dict) else None
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()
