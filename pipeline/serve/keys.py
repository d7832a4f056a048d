"""Who is there: keys as clients send them, against the hashes of those in force.

A key comes as the password of Basic (the name is the user) or in a header of its own; never in an
address, which is logged and handed on. What is in force is asked at most once a second, so a key
that is revoked opens nothing from then on.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from typing import NamedTuple

import orjson
from psycopg import sql
from starlette.datastructures import Headers

from pipeline.contracts.audience import Audience
from pipeline.db import queries
from pipeline.db.access import digest
from pipeline.derive import views
from pipeline.derive.openapi_parts import KEY_HEADER
from pipeline.serve.errors import Problem
from pipeline.serve.query import Statement
from pipeline.serve.reader import Reader

_FRESH_S = 1.0
_NOBODY = bytes(32)


class _Known(NamedTuple):
    name: str
    digest: bytes
    expires: float | None
    writes: frozenset[str]
    area: str | None


class Keys:
    """The keys of one audience."""

    def __init__(self, reader: Reader, audience: Audience) -> None:
        """Asks by ``reader``; nothing is asked yet."""
        view = sql.Identifier(audience.schema_name, views.ACCESS)
        query = sql.SQL(queries.load("access")["keys"]).format(view=view)
        self._question = Statement(query.as_bytes(None), {})
        self._reader = reader
        self._realm = f"Makan {audience.id}"
        self._known: list[_Known] = []
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def holder(self, headers: Headers) -> str:
        """The name of who sent a key that is in force; 401 otherwise, 503 when nobody can tell."""
        await self._refresh()
        basic = _basic(headers.get("authorization", ""))
        found = self._by_name(*basic) if basic else self._by_key(headers.get(KEY_HEADER))
        if found is None:
            challenge = {"WWW-Authenticate": f'Basic realm="{self._realm}", charset="UTF-8"'}
            said = f"a key is needed: as the password of Basic, or in the header {KEY_HEADER}"
            raise Problem(401, "NotAuthorized", said, challenge)
        return found

    def writes(self, name: str) -> frozenset[str]:
        """The layers whose rows the key of ``name`` may write, as last asked."""
        return next((one.writes for one in self._known if one.name == name), frozenset())

    def area(self, name: str) -> str | None:
        """The area that the key of ``name`` is at home in, as collection/key."""
        return next((one.area for one in self._known if one.name == name), None)

    async def _refresh(self) -> None:
        async with self._asking:
            asked = time.monotonic()
            if asked < self._until:
                return
            row = await self._reader.row(self._question)
            told = orjson.loads(row[0]) if row else []
            self._known = [
                _Known(name, bytes.fromhex(key), end, frozenset(writes), area)
                for name, key, end, writes, area in told
            ]
            self._until = asked + _FRESH_S

    def _by_name(self, name: str, key: str) -> str | None:
        known = next((one for one in self._known if one.name == name), None)
        # A name that nobody has takes as long as a wrong key.
        same = hmac.compare_digest(digest(key), known.digest if known else _NOBODY)
        return name if known and same and _in_time(known) else None

    def _by_key(self, key: str | None) -> str | None:
        if key is None:
            return None
        sent, found = digest(key), None
        for known in self._known:
            if hmac.compare_digest(sent, known.digest) and _in_time(known):
                found = known.name
        return found


def _in_time(known: _Known) -> bool:
    return known.expires is None or time.time() < known.expires


def _basic(header: str) -> tuple[str, str] | None:
    """Name and key of the header Authorization, None where it holds no such thing."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, key = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, key) if colon else None
