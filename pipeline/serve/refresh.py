"""Keeps facts and small scales fresh after edits: in the background, as after a load."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.errors import MakanError

log = logging.getLogger(__name__)
_TRIES, _PAUSE_S = 5, 1.0


class Refresher:
    """Derives what hangs on layers that were written. What cannot be derived stays marked stale."""

    def __init__(
        self, database: Database, schemas: Schemas, role: str, told: Callable[[], None]
    ) -> None:
        """By the login ``role``; ``told`` is called when facts have changed."""
        self._database = database
        self._schemas = schemas
        self._role = role
        self._told = told
        self._layers: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def after(self, layer: str) -> None:
        """``layer`` has been written; returns at once."""
        self._layers.add(layer)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    async def settled(self) -> None:
        """Returns when nothing is being derived."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        while self._layers:
            layers, self._layers = self._layers, set()
            for left in reversed(range(_TRIES)):
                try:
                    await run_in_threadpool(self._derive, layers)
                except MakanError as error:
                    # Somebody else is deriving, and may have begun before the edit.
                    if not left:
                        log.warning("facts are stale: %s", error)
                    await asyncio.sleep(_PAUSE_S if left else 0)
                else:
                    self._told()
                    break

    def _derive(self, layers: set[str]) -> None:
        # A quarter of a second to import, and most servers never write.
        from pipeline.joins import derive as joins
        from pipeline.tiling.refresh import refresh

        joins.derive(self._database, self._schemas, layers=layers, first=False, role=self._role)
        refresh(self._database, self._schemas, layers=layers, first=False, role=self._role)
