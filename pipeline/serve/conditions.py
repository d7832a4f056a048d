"""Conditions of requests (RFC 9110, 13): lines of one header read as one, and what they come to.

Who reads a file piece by piece says by If-Match which bytes the pieces are of: 412 where they are
others now. Of features it is heard where they are written alone: clients such as OWSLib keep the
header of a write for all that they ask after it.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers
from starlette.types import Scope

from pipeline.serve import encodings
from pipeline.serve.errors import Problem

_LISTS = (b"if-match", b"if-none-match")


def joined(scope: Scope) -> Scope:
    """The request with the lines of each header that lists tags as one."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        if name in _LISTS:
            found.setdefault(name, []).append(value)
    if all(len(lines) == 1 for lines in found.values()):
        return scope
    rest = [pair for pair in scope["headers"] if pair[0] not in found]
    return {**scope, "headers": [*rest, *((name, b", ".join(of)) for name, of in found.items())]}


def tags(header: str) -> list[str]:
    """Of If-None-Match, whose comparison is the weak one."""
    return [part.strip().removeprefix("W/") for part in header.split(",")]


def same(headers: Headers, tag: str, modified: float) -> bool:
    """Whether a GET or HEAD of what is there, with the strong ``tag`` and ``modified`` (seconds
    since 1970), is answered by 304: in the order of RFC 9110, 13.2.2. Raises Problem (412)."""
    wanted = headers.get("if-match")
    before = _seconds(headers.get("if-unmodified-since"))
    if wanted is not None:
        if wanted.strip() != "*" and _strong(headers, tag).isdisjoint(_listed(wanted)):
            raise _other("If-Match")
    elif before is not None and int(modified) > before:
        raise _other("If-Unmodified-Since")
    known = headers.get("if-none-match")
    if known is not None:
        return known.strip() == "*" or tag in tags(known)
    since = _seconds(headers.get("if-modified-since"))
    return since is not None and int(modified) <= since


def _listed(header: str) -> set[str]:
    return {part.strip() for part in header.split(",")}


def _strong(headers: Headers, tag: str) -> set[str]:
    """The tags of what is there: of the whole in each encoding, but parts are of the bytes as they
    are alone."""
    if "range" in headers:
        return {tag}
    return {tag, *(encodings.marked(tag, name) for name in encodings.OFFERED)}


def _seconds(header: str | None) -> float | None:
    """A date of HTTP; one that is none is as if it were not said."""
    if header is None:
        return None
    try:
        found = parsedate_to_datetime(header)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _other(name: str) -> Problem:
    return Problem(412, "PreconditionFailed", f"it is not any more what {name} names")
