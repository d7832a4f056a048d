"""Jobs: questions that wait in the database for a worker, and what became of them.

A job is a row of ``ops.job``; each audience's role reads and writes the rows of its own audience
alone. Who asked with a key sees the jobs of that key; where no key is needed, the address of a job
is known to who asked and to nobody else.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import sql

from pipeline.answers.ask import Ask
from pipeline.contracts.audience import Audience
from pipeline.db import queries
from pipeline.derive import views

#: So many questions of one holder may wait at once.
MOST_WAITING = 20
#: A worker that was not heard of for so long has lost its job.
LEASE = "10 seconds"
_LEVEL = 4


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job as its worker gets it; ``attempts`` counts this one."""

    id: str
    process: str
    inputs: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs a list is to hold; None is all."""

    limit: int
    offset: int = 0
    processes: list[str] | None = None
    statuses: list[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    shortest: float | None = None
    longest: float | None = None


class Jobs:
    """The jobs of one audience. ``read`` and ``write`` ask the database as its role."""

    def __init__(self, audience: Audience, read: Ask, write: Ask, *, keep_days: int) -> None:
        """An answer is kept ``keep_days``."""
        view = sql.Identifier(audience.schema_name, views.JOB)
        self._queries = {
            name: sql.SQL(text).format(job=view).as_bytes(None)
            for name, text in queries.load("jobs").items()
            if name not in ("view", "grant")
        }
        self._read, self._write = read, write
        self._keep = f"{keep_days} days"

    async def _json(self, name: str, values: dict[str, Any]) -> Any:
        row = await self._read(self._queries[name], values)
        return orjson.loads(row[0]) if row and row[0] is not None else None

    async def _done(self, name: str, values: dict[str, Any]) -> bool:
        return await self._write(self._queries[name], values) is not None

    async def ask(self, process: str, given: dict[str, Any], holder: str | None) -> str | None:
        """The number of a new job; None when the holder has too many waiting."""
        values = {
            "process": process,
            "inputs": orjson.dumps(given).decode(),
            "holder": holder,
            "most": MOST_WAITING,
        }
        row = await self._write(self._queries["ask"], values)
        return _text(row[0]) if row else None

    async def status(self, job: UUID, holder: str | None) -> dict[str, Any] | None:
        """What is known of a job of ``holder``; None when there is none."""
        found: dict[str, Any] | None = await self._json("status", _of(job, holder))
        return found

    async def listed(self, wanted: Wanted, holder: str | None) -> list[dict[str, Any]]:
        """Jobs of ``holder``, the latest first; one more than the limit when more follow."""
        names = Wanted.__slots__
        values = {name: getattr(wanted, name) for name in names} | {"holder": holder}
        found: list[dict[str, Any]] = await self._json("list", values)
        return found

    async def result(self, job: UUID, holder: str | None) -> bytes | None:
        """The answer as JSON in gzip; None when there is none."""
        row = await self._read(self._queries["result"], _of(job, holder))
        return bytes(row[0]) if row else None

    async def dismiss(self, job: UUID, holder: str | None) -> bool:
        """Calls a job off, or takes its answer away; False when there is none."""
        return await self._done("dismiss", {**_of(job, holder), "keep": self._keep})

    async def claim(self, worker: str) -> Claimed | None:
        """A job for ``worker`` to do; None when there is none."""
        row = await self._write(self._queries["claim"], {"worker": worker, "lease": LEASE})
        if row is None:
            return None
        return Claimed(_text(row[0]), _text(row[1]), orjson.loads(row[2]), int(row[3]))

    async def beat(self, job: str, worker: str, progress: int, message: str | None) -> bool:
        """Says that ``worker`` is at it; False when it is to stop."""
        values = {"id": job, "worker": worker, "progress": progress, "message": message}
        return await self._done("beat", values)

    async def succeed(self, job: str, worker: str, answer: bytes) -> bool:
        """Keeps ``answer`` (JSON in gzip); False when the job is not the worker's any more."""
        return await self._end(job, worker, "successful", result=answer)

    async def fail(self, job: str, worker: str, problem: dict[str, Any]) -> bool:
        """Keeps why there is no answer."""
        said = orjson.dumps(problem).decode()
        return await self._end(job, worker, "failed", message=problem["detail"], problem=said)

    async def _end(self, job: str, worker: str, status: str, **ended: Any) -> bool:
        values = {"message": None, "problem": None, "result": None, **ended}
        fixed = {"id": job, "worker": worker, "status": status, "keep": self._keep}
        return await self._done("finish", {**values, **fixed})

    async def release(self, job: str, worker: str) -> None:
        """Gives a job back that another worker is to do."""
        await self._done("release", {"id": job, "worker": worker})

    async def sweep(self) -> None:
        """Removes what was kept long enough."""
        await self._write(self._queries["sweep"], {})


def packed(answer: dict[str, Any]) -> bytes:
    """``answer`` as it is kept."""
    return gzip.compress(orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS), _LEVEL)


def _of(job: UUID, holder: str | None) -> dict[str, Any]:
    return {"id": str(job), "holder": holder}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
