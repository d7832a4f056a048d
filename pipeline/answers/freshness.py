"""Freshness: whether the facts that an answer reads are of the layers as they are now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.answers.refusals import NotDerivedError

#: Asks one query and gives its first row; serving brings its pool of connections.
Ask = Callable[[bytes, dict[str, Any]], Awaitable[tuple[Any, ...] | None]]
_LOOK_S = 0.15


@dataclass(frozen=True)
class Behind:
    """Facts that were ``never`` worked out, and those that are ``stale``; ``soon``: for edits of a
    moment ago, which are being looked at."""

    never: list[str]
    stale: list[str]
    soon: bool


class Freshness:
    """Of the facts that one audience is told."""

    def __init__(self, ask: Ask, query: bytes) -> None:
        """``query`` is ``freshness`` of schemas/sql/answers.sql."""
        self._ask, self._query = ask, query

    async def behind(self, facts: list[str] | None = None) -> Behind:
        """Of ``facts`` (None: of all) those that are behind their layers."""
        row = await self._ask(self._query, {"facts": facts})
        return Behind(**orjson.loads(row[0])) if row and row[0] else Behind([], [], soon=False)

    async def stale(self, facts: list[str], patience_s: float = 0.0) -> list[str]:
        """Those of ``facts`` that are stale, once what edits have just touched is worked out, or
        ``patience_s`` have passed; raises NotDerivedError for those never made."""
        if not facts:
            return []
        until = time.monotonic() + patience_s
        found = await self.behind(facts)
        while found.soon and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
            found = await self.behind(facts)
        if found.never:
            raise NotDerivedError(", ".join(found.never))
        return found.stale
