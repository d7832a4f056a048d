"""Tell: what a match leaves open, and where its two sides differ, as findings of the derivation."""

from __future__ import annotations

from psycopg import sql

from pipeline.contracts.fact import FactContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.findings import Catalog
from pipeline.joins import composed
from pipeline.joins.beside import Beside
from pipeline.joins.match import AMBIGUOUS, UNMATCHED
from pipeline.joins.side import Ints, listed

_CODES = {AMBIGUOUS: "match.ambiguous", UNMATCHED: "match.unmatched"}
_DIFFERS = "match.differs"


def tell(beside: Beside, schemas: Schemas, fact: FactContract, run: int, ids: Ints | None) -> None:
    """Writes the findings of ``run`` about the subjects ``ids`` (None: all) of a match."""
    if fact.kind != "match":
        return
    catalog, named = Catalog.load(), queries.load("facts")
    asked = None if ids is None else listed(ids)
    common = {"run": run, "layer": fact.subject, "ids": asked}
    left = sql.SQL(named["tell_left_over"]).format(**composed.parts(schemas, fact, beside))
    for method, code in _CODES.items():
        values = {"code": code, "severity": catalog.severity(code), "method": method}
        values["field"] = composed.said_field(fact) or ""
        beside.connection.execute(left, {**common, **values})
    for compare in fact.compare:
        query = sql.SQL(named["tell_differences"]).format(
            **composed.comparison(schemas, fact, compare, beside)
        )
        limits = {"least": compare.least, "tolerance": compare.tolerance}
        told = {"code": _DIFFERS, "severity": catalog.severity(_DIFFERS), "field": compare.subject}
        beside.connection.execute(query, {**common, **told, **limits})
