"""Answers a question: checks it, asks the database as the audience, tells where facts are from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from pipeline.answers import formulas, heights, inputs, payment, statement, verify
from pipeline.answers.ahead import ahead
from pipeline.answers.examples import Examples, Offered
from pipeline.answers.freshness import Ask as Ask
from pipeline.answers.freshness import Freshness
from pipeline.answers.receipts import RECEIPT
from pipeline.answers.refusals import (
    NotDerivedError,
    NothingFoundError,
    TooMuchError,
    no_such,
)
from pipeline.answers.registrar import Registrar
from pipeline.contracts.audience import Audience
from pipeline.contracts.city import City
from pipeline.contracts.process import Batch, Bundle, Process
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.derive import processes as derived

#: Where rows are from: a number of a load in an answer stands by this name.
RUN = "run"
#: What of a question that is answered in parts a query is about; None for one that is not.
PART = "part"
#: Hears how much of an answer is done, in percent.
Tell = Callable[[int], None]
_PATIENCE_S = 5.0
_SOURCES = 10_000


class Answerer:
    """All processes of one audience, their queries composed once."""

    def __init__(
        self,
        schemas: Schemas,
        audience: Audience,
        ask: Ask,
        home: Path,
        registrar: Registrar | None = None,
    ) -> None:
        """``ask`` asks the database with the login of ``audience``, ``home`` holds rasters; with a
        ``registrar`` answers that are documents have receipts."""
        self._home = home
        self._schemas, self._audience, self._ask = schemas, audience, ask
        self._registrar = registrar
        self.processes = {p.id: p for p in schemas.processes.values() if audience.may_ask(p)}
        self.examples = Examples(schemas, audience, ask, derived.all_offered(schemas, audience))
        self._queries = {name: self._composed(one) for name, one in self.processes.items()}
        self._facts = {name: self._read_facts(one) for name, one in self.processes.items()}
        self._own = {
            name: statement.compose(text, schemas, audience)
            for name, text in queries.load("answers").items()
            if name in ("sources", "freshness")
        }
        self._named = {
            one.names: statement.compose(
                statement.over(queries.load("answers")["named"], one.names), schemas, audience
            )
            for some in self.offered.values()
            for one in some.values()
            if one.names
        }
        self._sources: dict[int, Any] = {}
        self.freshness = Freshness(ask, self._own["freshness"])

    def _composed(self, process: Process) -> dict[str, bytes]:
        named = queries.read(self._schemas.process_file(process, "sql"))
        return {
            name: statement.compose(text, self._schemas, self._audience)
            for name, text in named.items()
        }

    def _read_facts(self, process: Process) -> list[str]:
        text = self._schemas.process_file(process, "sql").read_text(encoding="utf-8")
        return sorted(statement.facts(text))

    @property
    def offered(self) -> Offered:
        """Of each process the inputs that it offers, by the names that clients use."""
        return self.examples.offered

    @property
    def city(self) -> City:
        """Whose names clients use."""
        return self._schemas.city

    async def answer(
        self, name: str, given: dict[str, Any], tell: Tell | None = None
    ) -> dict[str, Any]:
        """The answer of the process ``name``; raises a Refusal, or what the database raises.

        ``tell`` hears how far it is: then it is asked in the background, may be about more, and
        lists that were put together come encoded.
        """
        process = self.processes[name]
        values = self.check(name, given)
        await self._there(name, values)
        # Papers do not tell facts that an edit has overtaken, if a moment later they are right.
        patience_s = _PATIENCE_S if process.document else 0.0
        stale = await self.freshness.stale(self._facts[name], patience_s)
        await self._measure(process, values, in_background=tell is not None)
        batch = process.batch
        if batch and any(given.get(self._schemas.city.published(one)) for one in batch.of):
            found, runs = await self._in_parts(process, batch, values, tell)
        else:
            found = await self._found(process, values)
            runs = set(_runs(found))
            found = self._published(found)
        if process.verifies:
            return await self._verified(given, found)
        # Written while it was read: what was fresh before is not what was told.
        stale = sorted({*stale, *await self.freshness.stale(self._facts[name])})
        answer = found | {
            "sources": await self._told(runs),
            **({"stale": stale} if stale else {}),
        }
        if process.document and self._registrar:
            answer[RECEIPT] = self._registrar.receipt(process, process.document, given, answer)
        return answer

    async def _there(self, name: str, values: dict[str, Any]) -> None:
        """Raises NothingFoundError for the first input that should name something and does not."""
        for one in self.offered[name].values():
            value = values[one.name]
            if one.names is None or value is None:
                continue
            row = await self._ask(self._named[one.names], {"value": value})
            if row and row[0] is not None:
                raise NothingFoundError(no_such(one.title), orjson.loads(row[0]))

    async def _verified(self, given: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
        if self._registrar is None:
            raise NotDerivedError(RECEIPT)
        held = verify.Asked(
            given.get(RECEIPT),
            given.get("document"),
            found["kept"],
            self._audience.id,
            self._registrar.known,
        )
        return await verify.verified(held, self._registrar.seal, self.answer)

    def check(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """What the queries of ``name`` get of the inputs ``given``; raises WrongInputError."""
        process, offered = self.processes[name], self.offered[name]
        inputs.check(offered, process, self._schemas.city, given)
        if process.bundle:
            self._check_bundled(process.bundle, given)
        bound = inputs.bound(process, self._schemas.city, offered, given)
        return {**bound, PART: None} if process.batch else bound

    def _check_bundled(self, bundle: Bundle, given: dict[str, Any]) -> None:
        """Raises WrongInputError where the documents of a bundle could not be asked for."""
        city = self._schemas.city
        document = self.processes[given[city.published(bundle.kind)]]
        by = city.published(bundle.by)
        offered = self.offered[document.id]
        asked = {by: offered[by].example} | self.passed(bundle, given, document.id)
        inputs.check(offered, document, city, asked)

    def passed(self, bundle: Bundle, given: dict[str, Any], name: str) -> dict[str, Any]:
        """What of the inputs ``given`` to a bundle the process ``name`` is given too."""
        passes = map(self._schemas.city.published, bundle.passes)
        return {one: given[one] for one in passes if one in given and one in self.offered[name]}

    async def _found(self, process: Process, values: dict[str, Any]) -> dict[str, Any]:
        """The answer of one query by the contract's names, formulas worked out."""
        return await self._worked_out(process, values, await self._rows(process, values))

    async def _rows(self, process: Process, values: dict[str, Any]) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await self._json(process.id, "answer", values)
        return found

    async def _worked_out(
        self, process: Process, values: dict[str, Any], found: dict[str, Any] | None
    ) -> dict[str, Any]:
        """What the query ``found``, with its formulas and heights."""
        if found is None:
            near = "near" in self._queries[process.id]
            close = await self._json(process.id, "near", values) if near else []
            raise NothingFoundError(process.nothing, self._published(close or []))
        if process.formulas and found[formulas.YEAR] is not None:
            found = await asyncio.to_thread(
                formulas.worked_out,
                self._schemas.root,
                process.formulas,
                found,
                of=process.formulas_of,
                explained=values.get(PART) is None and process.formulas_explained,
                to=process.formulas_to,
            )
            found = await asyncio.to_thread(payment.numbered, self.city, process, found)
        if process.heights:
            day = values.get(process.heights.day or "")
            found = await asyncio.to_thread(
                heights.filled, self._home, self._schemas, process.heights, found, day
            )
            if found is None:
                raise NothingFoundError(process.nothing, [])
        return found

    async def _in_parts(
        self, process: Process, batch: Batch, values: dict[str, Any], tell: Tell | None
    ) -> tuple[dict[str, Any], set[int]]:
        """The answer put together of parts, by published names, and the loads it is from."""
        parts = await self._json(process.id, "parts", values) or []
        whole = await self._found(process, {**values, PART: parts[0] if parts else []})
        runs, lists = set(_runs(whole)), {name: [whole.pop(name)] for name in batch.lists}
        made = {name: [self._list(one) for one in lists[name]] for name in batch.lists}
        asked = [{**values, PART: part} for part in parts[1:]]
        async with aclosing(ahead(partial(self._rows, process), asked)) as rest:
            async for number, part, rows in rest:
                if tell:
                    tell(100 * number // len(parts))
                found = await self._worked_out(process, part, rows)
                runs.update(_runs(found))
                for name in batch.sums:
                    whole[name] += found[name]
                for name in batch.lists:
                    made[name].append(await asyncio.to_thread(self._list, found[name]))
        strung = {
            name: b"[" + b",".join(filter(None, pieces)) + b"]" for name, pieces in made.items()
        }
        read = orjson.Fragment if tell else orjson.loads
        joined = {name: read(text) for name, text in strung.items()}
        return self._published(whole) | joined, runs

    def _list(self, items: list[Any]) -> bytes:
        """What stands between the brackets of ``items``, by published names."""
        return orjson.dumps(self._published(items))[1:-1]

    async def _measure(
        self, process: Process, values: dict[str, Any], *, in_background: bool
    ) -> None:
        limit = process.limit
        if limit is None:
            return
        row = await self._ask(self._queries[process.id]["size"], values)
        size = int(row[0] or 0) if row else 0
        most = limit.most_in_background if in_background else None
        if size > (most or limit.most):
            raise TooMuchError(size, most or limit.most, limit.unit, limit.most_in_background)

    async def _json(self, process: str, query: str, values: dict[str, Any]) -> Any:
        row = await self._ask(self._queries[process][query], values)
        return orjson.loads(row[0]) if row and row[0] is not None else None

    async def _told(self, runs: set[int]) -> dict[str, Any]:
        """What is known of the loads ``runs``."""
        unknown = sorted(runs - self._sources.keys())
        if unknown:
            row = await self._ask(self._own["sources"], {"runs": unknown})
            found = orjson.loads(row[0]) if row and row[0] else {}
            if len(self._sources) > _SOURCES:
                self._sources.clear()
            self._sources |= {run: found.get(str(run)) for run in runs if str(run) in found}
        return {str(run): self._sources[run] for run in sorted(runs) if run in self._sources}

    def _published(self, value: Any) -> Any:
        """``value`` with members by the names that clients know."""
        if isinstance(value, dict):
            rename = self._schemas.city.published
            return {rename(name): self._published(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._published(inner) for inner in value]
        return value


def _runs(value: Any) -> Iterator[int]:
    """Every load that is named anywhere in ``value``."""
    if isinstance(value, dict):
        if isinstance(value.get(RUN), int):
            yield value[RUN]
        for inner in value.values():
            yield from _runs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _runs(inner)
