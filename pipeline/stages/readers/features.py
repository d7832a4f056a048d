"""Features: how many elements the list of a GeoJSON's features has, counted on its bytes.

GDAL leaves out what is no feature (null, a number, a misspelt type) and counts what is left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_BLOCK, _HEAD = 2**22, 2**16
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_FEATURES = re.compile(rb'"features"\s*:\s*\[')
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
    commas: int = 0
    filled: bool = False
    ended: bool = False

    def block(self, data: npt.NDArray[np.uint8]) -> None:
        """Counts what parts the elements of the list that the scan began with."""
        quotes = data == _QUOTE
        text = (np.cumsum(quotes) + self.inside) & 1 == 1
        outside = ~(text | quotes)
        steps = np.where(outside, _STEP[data], 0)
        depth = np.cumsum(steps) + self.depth
        end = np.flatnonzero(depth < 0)
        if len(end):
            self.ended = True
            depth, data = depth[: end[0]], data[: end[0]]
            outside, quotes = outside[: end[0]], quotes[: end[0]]
        self.commas += int(((depth == 0) & (data == _COMMA) & outside).sum())
        self.filled |= bool((~_BLANK[data]).any())
        if not self.ended:
            self.inside, self.depth = bool(text[-1]), int(depth[-1])


def count(path: Path) -> int | None:
    """The elements of the list; None where the file has none, or not near its beginning."""
    scan = _Scan()
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
        found = _FEATURES.search(head)
        before = b"" if found is None else head[: found.start()]
        if found is None or before.count(b"{") - before.count(b"}") != 1:
            return None
        rest = head[found.end() :]
        while rest and not scan.ended:
            # A backslash and what it escapes belong together.
            while rest.endswith(b"\\") and (more := stream.read(1)):
                rest += more
            plain = _ESCAPED.sub(b"__", rest)
            scan.block(np.frombuffer(plain, dtype=np.uint8))
            rest = stream.read(_BLOCK)
    if not scan.ended:
        return None
    return scan.commas + 1 if scan.filled else 0
