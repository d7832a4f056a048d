"""What a worker knows of the state of the data: the load each layer is at, and counts made at it.

The ledger is read at most once a second, so an answer may be that much behind a load. The number
of a state is read before the data it labels: data can be newer than their label, never older, and
states never come back (an undo is a new one), so a wrong label lasts no longer than that second.
Who changes layers without the ledger (by hand, in SQL) must restart the server.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager
from typing import Any, Protocol

import orjson
from psycopg import sql

from pipeline.contracts.audience import Audience
from pipeline.derive import views
from pipeline.serve.clause import template
from pipeline.serve.query import Query, Statement
from pipeline.serve.reader import Reader

_FRESH_S = 0.9
_COUNTS_A_LAYER = 2_000
NEVER_LOADED = "0"


class Shared(Protocol):
    """A number in memory that all workers share (multiprocessing.Value)."""

    value: int

    def get_lock(self) -> AbstractContextManager[Any]:
        """Held while the number is changed."""


class State:
    """The states of all layers, and how many features match what was asked before."""

    def __init__(self, reader: Reader, audience: Audience, edits: Shared | None = None) -> None:
        """Asks by ``reader``; nothing is asked yet. ``edits`` counts those of all workers."""
        self._reader = reader
        self._edits = edits
        self._seen = 0
        self.schema = audience.schema_name
        view = sql.Identifier(audience.schema_name, views.VERSION)
        self._question = Statement(template("versions").format(view=view).as_bytes(None), {})
        self._versions: dict[str, str] = {}
        self._until = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._counts: dict[str, tuple[str, dict[bytes, int]]] = {}

    async def all(self) -> dict[str, str]:
        """The state of each layer."""
        await self.version("")
        return self._versions

    async def whole(self) -> str:
        """Stands for the states of all layers."""
        versions = await self.all()
        return " ".join(f"{name}={versions[name]}" for name in sorted(versions))

    async def version(self, layer: str) -> str:
        """The state of ``layer``; raises what the database raises."""
        edits = self._edits.value if self._edits else 0
        if edits != self._seen or time.monotonic() >= self._until:
            if edits != self._seen and self._asking is not None and not self._asking.done():
                # What is being asked may have been answered before the edit.
                await asyncio.wait((self._asking,))
            self._seen = edits
            if self._asking is None or self._asking.done():
                self._asking = asyncio.ensure_future(self._ask())
                self._asking.add_done_callback(lambda done: done.cancelled() or done.exception())
            # All who wait share one question: who goes away does not take it from the others.
            await asyncio.shield(self._asking)
        return self._versions.get(layer, NEVER_LOADED)

    def forget(self) -> None:
        """Rows were written: every worker of this server asks anew before its next answer."""
        if self._edits:
            with self._edits.get_lock():
                self._edits.value += 1

    async def _ask(self) -> None:
        asked = time.monotonic()
        row = await self._reader.row(self._question)
        self._versions = orjson.loads(row[0]) if row else {}
        self._until = asked + _FRESH_S

    async def counts(self, query: Query) -> Counted:
        """Where the count of ``query`` is kept while its layer stays as it is."""
        layer = query.served.layer.id
        version = await self.version(layer)
        known_at, kept = self._counts.get(layer, ("", {}))
        if known_at != version or len(kept) >= _COUNTS_A_LAYER:
            kept = {}
            self._counts[layer] = (version, kept)
        return Counted(kept, query.condition)


class Counted:
    """One kept count."""

    def __init__(self, kept: dict[bytes, int], key: bytes) -> None:
        """In ``kept`` by ``key``."""
        self._kept = kept
        self._key = key

    @property
    def number(self) -> int | None:
        """The count, None while it is not known."""
        return self._kept.get(self._key)

    def keep(self, number: int) -> None:
        """Now it is known."""
        self._kept[self._key] = number
