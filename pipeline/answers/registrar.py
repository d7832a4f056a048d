"""Registrar: what is done with answers that are documents: receipts given, texts kept, maps asked.

For an audience; the answers themselves are made elsewhere (``ask``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from pipeline.answers import inputs, receipts, statement
from pipeline.answers.receipts import RECEIPT, Seal
from pipeline.answers.refusals import NothingFoundError
from pipeline.contracts.audience import Audience
from pipeline.contracts.process import Document, Process
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.derive import processes as derived
from pipeline.derive import views
from pipeline.settings import Settings

Ask = Callable[[bytes, dict[str, Any]], Awaitable[tuple[Any, ...] | None]]


class Registrar:
    """Receipts of one audience; they are verified at the address of its server."""

    def __init__(self, settings: Settings, schemas: Schemas, audience: Audience, ask: Ask) -> None:
        """``ask`` asks the database with the login of ``audience``; raises ResourceError when the
        key below the home cannot be used."""
        self._schemas, self._audience, self._ask = schemas, audience, ask
        self.seal, self._base = Seal(settings.home), settings.public_base
        self._keep_days = settings.receipt_keep_days
        self.known = frozenset(views.below(schemas, audience))
        self._keep = statement.compose(queries.load("receipts")["keep"], schemas, audience)
        self._around: dict[str | None, bytes] = {}

    def receipt(
        self, process: Process, document: Document, given: dict[str, Any], answer: dict[str, Any]
    ) -> dict[str, Any]:
        """The receipt of ``answer`` to what was ``given``; its subject is asked for again by what
        never changes, the input that the ``document`` names, if there is one."""
        rename, asked = self._schemas.city.published, dict(given)
        if document.by:
            ways, subject = {rename(name) for name in process.one_of}, rename(document.by)
            asked = {name: value for name, value in given.items() if name not in ways}
            asked[subject] = about(answer, subject)[subject]
        made = receipts.issue(self.seal, process, self._audience.id, answer, asked)
        checking = next(p.id for p in self._schemas.processes.values() if p.verifies)
        where = f"{self._base}/processes/{checking}/execution?f=html&receipt={made['token']}"
        return {**made, "verify": where}

    def kept(self, answer: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        """The statement that keeps what a document says, to be compared later, and its values."""
        receipt = answer[RECEIPT]
        said = {name: value for name, value in answer.items() if name != RECEIPT}
        return self._keep, {
            "digest": bytes.fromhex(receipt["digest"].partition(":")[2]),
            "number": receipt["number"],
            "process": receipt["process"],
            "asked": orjson.dumps(receipt["asked"]).decode(),
            "said": orjson.dumps(said).decode(),
            "days": self._keep_days,
        }

    async def surroundings(
        self,
        process: Process,
        asked: dict[str, Any],
        scales: list[int],
        size: tuple[float, float],
    ) -> dict[str, Any]:
        """What the map of a document shows (the query ``surroundings``, its own or that of all
        parcels), asked as its receipt says, ``size`` mm, at the first of ``scales`` at which the
        subject fits.

        Raises NothingFoundError when it has gone meanwhile.
        """
        offered = derived.offered(self._schemas.city, self._audience, process)
        values = inputs.bound(process, self._schemas.city, offered, asked)
        paper = {"width_mm": size[0], "height_mm": size[1], "scales": scales}
        row = await self._ask(self._asked_around(process), {**values, **paper})
        if row is None or row[0] is None:
            raise NothingFoundError(process.nothing, [])
        found: dict[str, Any] = orjson.loads(row[0])
        return found

    def _asked_around(self, process: Process) -> bytes:
        """The query of what a map of the process shows, composed once."""
        own = process.document is not None and process.document.draws == "route"
        name = process.id if own else None
        if name not in self._around:
            path = self._schemas.process_file(process, "sql")
            texts = queries.read(path) if own else queries.load("answers")
            around = statement.compose(texts["surroundings"], self._schemas, self._audience)
            self._around[name] = around
        return self._around[name]


def about(answer: Any, name: str) -> dict[str, Any]:
    """The object in ``answer`` that is known by its member ``name``: what the answer is about."""
    if isinstance(answer, dict):
        if name in answer:
            return answer
        answer = list(answer.values())
    inner = (about(one, name) for one in answer) if isinstance(answer, list) else iter(())
    return next((found for found in inner if found), {})
