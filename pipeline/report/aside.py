"""Aside: the rows that a run set aside, with the reasons in words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import tomli

from pipeline import geo
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.findings import Catalog, Finding
from pipeline.report.origin import RESERVED, Origin
from pipeline.stages.context import Context

_NAMED = re.compile(r"«(\w+)»")
_LATIN = re.compile(r"[0-9A-Za-z]")
# A millionth of a degree is a decimetre; a micrometre is enough of a metre.
_PRECISE = re.compile(r"(\d\.\d{6})\d+")


@dataclass(frozen=True)
class Aside:
    """One row as it arrived. ``closed_by`` is the run that has published its correction."""

    line: int
    key: str | None
    reasons: tuple[str, ...]
    raw: dict[str, Any]
    wkb: bytes | None
    closed_by: int | None
    en: tuple[str, ...] = ()
    fa: tuple[str, ...] = ()

    def told(self, lang: str) -> tuple[str, ...]:
        """Why it was set aside, in words."""
        return self.fa if lang == "fa" else self.en


def rows(connection: Connection, found: Origin, limit: int | None = None) -> list[Aside]:
    """The rows of the run in quarantine, in the order of its file; the first ``limit``."""
    named, values = queries.load("report"), {"run": found.run.id, "limit": limit}
    told = _told(connection, found)
    order = _order(found.context)
    return [
        Aside(
            line,
            key,
            tuple(reasons),
            _in_order(raw, order),
            None if wkb is None else bytes(wkb),
            closed,
            tuple(told["en", line]),
            tuple(told["fa", line]),
        )
        for line, key, reasons, raw, wkb, closed in _fetched(connection, named["set_aside"], values)
    ]


def _fetched(connection: Connection, query: Any, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    return connection.execute(query, values).fetchall()


def _told(connection: Connection, found: Origin) -> dict[tuple[str, int], list[str]]:
    told: dict[tuple[str, int], list[str]] = defaultdict(list)
    query = queries.load("report")["errors_by_line"]
    for row in _fetched(connection, query, {"run": found.run.id}):
        finding = Finding(*row)
        for lang in ("en", "fa"):
            message = in_words(finding, found.context, lang)
            if message not in told[lang, finding.line or 0]:
                told[lang, finding.line or 0].append(message)
    return told


def in_words(finding: Finding, context: Context, lang: str) -> str:
    """A finding as the office reads it: with the field's title, not its name in the database."""
    catalog: Catalog = context.catalog
    if finding.code not in catalog.codes:
        return finding.detail or finding.code
    # Within Persian, what reads from left to right is kept together.
    kept = _isolated if lang == "fa" else str
    named = Finding(
        finding.code,
        finding.layer,
        finding.key and kept(finding.key),
        finding.line,
        titled(finding.field, context.layer, lang),
        finding.value and kept(finding.value),
        finding.detail and kept(detail_in(finding.detail, lang)),
    )
    return catalog.message(named, lang)


def detail_in(detail: str, lang: str) -> str:
    """A detail as people read it: without digits that mean nothing, in Persian its words too."""
    shown = _PRECISE.sub(r"\1", detail)
    if lang == "fa":
        for pattern, words in _details().items():
            shown = pattern.sub(words, shown)
    return shown


def evidence_in(said: str, lang: str, schemas: Schemas) -> str:
    """What shows that coordinates are right; in Persian with the titles of the layers it names."""
    if lang != "fa":
        return said
    titles = {name: layer.title.of(lang) for name, layer in schemas.layers.items()}
    return _NAMED.sub(lambda found: f"«{titles.get(found[1], found[1])}»", detail_in(said, lang))


@cache
def _details() -> dict[re.Pattern[str], str]:
    path = Path(__file__).parent / "templates" / "details.toml"
    found = tomli.loads(path.read_text(encoding="utf-8"))
    return {re.compile(pattern): words for pattern, words in found.items()}


def _isolated(value: str) -> str:
    return f"\u2068{value}\u2069" if _LATIN.search(value) else value


def titled(field: str | None, layer: LayerContract, lang: str) -> str | None:
    """The titles of a field, or of several joined by blanks; the name where it has none."""
    if field is None:
        return None
    titles = {one.name: one.title.of(lang) for one in layer.fields}
    if all(name in titles for name in field.split()):
        return " + ".join(titles[name] for name in field.split())
    return field


def _order(context: Context) -> dict[str, int]:
    """The source's columns in the feed's order: the database keeps none."""
    points = context.feed.source.points
    names = [name for column in context.feed.columns for name in column.sources]
    names += [points.x, points.y] if points else []
    return {name: place for place, name in reversed(list(enumerate(names)))}


def _in_order(raw: dict[str, Any], order: dict[str, int]) -> dict[str, Any]:
    names = sorted((n for n in raw if n not in RESERVED), key=lambda n: order.get(n, len(order)))
    return {name: raw[name] for name in names}


def shapes(found: Iterable[Aside]) -> geo.Geometries:
    """Their geometries as they arrived; None where there is none or it cannot be read."""
    wkb = np.array([row.wkb for row in found], dtype=object)
    made = np.asarray(shapely.from_wkb(wkb, on_invalid="ignore"), dtype=object)
    if len(made):
        made[~geo.finite(made)] = None
    return made
