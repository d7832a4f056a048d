"""Content encodings: zstd, Brotli and gzip, by what a client takes (RFC 9110, 12.5.3)."""

from __future__ import annotations

import gzip
from functools import lru_cache

import pyarrow as pa

#: Best first where a client takes several alike: what costs least for what it saves.
OFFERED = ("zstd", "br", "gzip")
_FAST = {"zstd": 3, "br": 3, "gzip": 4}
_SMALL = {"zstd": 9, "br": 6, "gzip": 6}
_ARROW = {"zstd": "zstd", "br": "brotli"}


@lru_cache(maxsize=256)
def chosen(header: str) -> str | None:
    """The encoding for an Accept-Encoding header; None for bytes as they are."""
    best, weight = None, 0.0
    given = _weights(header)
    for name in OFFERED:
        found = given.get(name, given.get("*", 0.0))
        if found > weight:
            best, weight = name, found
    return best if weight >= given.get("identity", 0.0) else None


def taken(header: str | None, name: str) -> bool:
    """Whether a client that sends this Accept-Encoding takes the encoding; without it, all."""
    if header is None:
        return True
    given = _weights(header)
    return given.get(name, given.get("*", 0.0)) > 0


def marked(tag: str, name: str) -> str:
    """The tag of the bytes that are ``tag`` in the encoding ``name``: bytes that differ have one of
    their own (RFC 9110, 8.8.3.3)."""
    return f'{tag.removesuffix('"')}-{name}"'


def _weights(header: str) -> dict[str, float]:
    found = {}
    for part in header.split(","):
        name, _, weight = part.strip().lower().partition(";")
        try:
            found[name.strip()] = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
    return found


def encode(body: bytes, name: str, *, small: bool = False) -> bytes:
    """``body`` in the encoding ``name``; ``small`` takes its time, for what is kept."""
    level = (_SMALL if small else _FAST)[name]
    if name == "gzip":
        return gzip.compress(body, level, mtime=0)
    packed: bytes = pa.Codec(_ARROW[name], compression_level=level).compress(body, asbytes=True)
    return packed


def decode(packed: bytes, size: int) -> bytes:
    """The ``size`` bytes that were encoded as zstd."""
    body: bytes = pa.Codec("zstd").decompress(packed, size, asbytes=True)
    return body
