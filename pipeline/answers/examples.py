"""Examples that can be asked here: of what the city has, in place of those of the model city.

The examples of the contracts are about one parcel of the model city. Where that is not loaded,
forms, descriptions and refusals name things of which this city's data have one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import orjson

from pipeline.answers import inputs, statement
from pipeline.answers.freshness import Ask
from pipeline.contracts.audience import Audience
from pipeline.contracts.process import Input
from pipeline.contracts.registry import Schemas
from pipeline.db import queries

_KEPT_S = 60.0

#: Of each process the inputs that it offers, by the names that clients use.
Offered = dict[str, dict[str, Input]]


class Examples:
    """The examples of one audience, looked up when they are asked for, at most once a minute.
    ``lacking`` are inputs for which the city has nothing, by the contracts' own names."""

    def __init__(self, schemas: Schemas, audience: Audience, ask: Ask, offered: Offered) -> None:
        """``offered`` is what the contracts have; ``ask`` asks with the login of ``audience``."""
        self._city, self._ask, self._contracts = schemas.city, ask, offered
        self._query = statement.compose(queries.load("answers")["examples"], schemas, audience)
        self._until = 0.0
        self.lacking: frozenset[str] = frozenset()
        self.offered, self.digest = offered, ""

    async def look_up(self) -> None:
        """Looks the examples up, unless that was done a moment ago; ``digest`` tells those from
        others. Raises what the database raises."""
        if time.monotonic() < self._until:
            return
        row = await self._ask(self._query, self._usual())
        found = orjson.loads(row[0]) if row and row[0] else {}
        self._until = time.monotonic() + _KEPT_S
        self.lacking = frozenset(name for name, value in found.items() if value is None)
        self.digest = hashlib.blake2b(orjson.dumps(found), digest_size=8).hexdigest()
        self.offered = {
            process: {name: _with(one, found) for name, one in some.items()}
            for process, some in self._contracts.items()
        }

    def _usual(self) -> dict[str, Any]:
        """The examples of the contracts, and what their parcel code may mean."""
        every = {one.name: one for some in self._contracts.values() for one in some.values()}
        usual = {name: one.example for name, one in every.items()}
        codes = [one for one in every.values() if one.meaning == "code"]
        meant = [key for one in codes for key in inputs.keys(one.example, "code", self._city)]
        return {"usual": orjson.dumps(usual).decode(), "codes": meant}


def _with(one: Input, found: Mapping[str, Any]) -> Input:
    """The input with the example that was ``found``, if that is one."""
    value = found.get(one.name)
    if value is None or not jsonschema.Draft202012Validator(one.accepts).is_valid(value):
        return one
    return one.model_copy(update={"example": value})
