"""The parameters of /items, read strictly: what cannot be understood is 400 and says why."""

from __future__ import annotations

from functools import cache
from typing import cast

from psycopg import sql

from pipeline.joins import forms
from pipeline.serve import bbox, cql, crs, paging, period
from pipeline.serve.clause import Binder, Clause
from pipeline.serve.cql_term import Filtered
from pipeline.serve.errors import Problem, bad
from pipeline.serve.query import Query, Shape
from pipeline.serve.served import Served
from pipeline.serve.values import CASTS, integer, read

#: Parameters of /items that are no property, in the order they are documented.
ITEMS = (
    *("f", "lang", "limit", "offset", "cursor", "bbox", "bbox-crs", "datetime", "crs"),
    *("properties", "skipGeometry", "resulttype", "count", "sortby"),
    *("filter", "filter-lang", "filter-crs"),
)
ITEM = ("f", "lang", "crs", "properties", "skipGeometry")


@cache
def known(served: Served) -> tuple[str, ...]:
    """All parameters of the collection's /items: a property that is named like one gives way."""
    return (*ITEMS, *(name for name in served.fields if name not in ITEMS))


def item(served: Served) -> tuple[str, ...]:
    """All parameters of one feature: a moment only where features have a past."""
    return (*ITEM, "datetime") if served.is_dated else ITEM


def query(
    served: Served, given: dict[str, str], *, whole: bool = False, placed: bool = False
) -> Query:
    """The request that ``given`` makes of ``served``; ``whole``: no page, so no limit of ours;
    ``placed``: as JSON-FG has features."""
    publish = served.layer.publish
    limit = _count(given, "limit", publish.default_limit)
    if limit < 1:
        raise bad("limit: must be 1 or more")
    limit = (limit if "limit" in given else 0) if whole else min(limit, publish.max_limit)
    cursor = given.get("cursor")
    offset = _count(given, "offset", 0)
    if offset < 0 or (cursor is not None and offset):
        raise bad("offset: must be 0 or more, and cannot go with cursor")
    past = "datetime" in given and served.is_dated
    return Query(
        served=served,
        past=past,
        shape=shape(served, given, placed=placed),
        where=tuple(_conditions(served, given)),
        keys=paging.keys(served, given.get("sortby"), versions=past),
        limit=limit,
        offset=offset,
        cursor=cursor,
        hits=_one_of(given, "resulttype", ("results", "hits")) == "hits",
        counted=_one_of(given, "count", ("true", "false")) == "true",
    )


def shape(served: Served, given: dict[str, str], *, placed: bool = False) -> Shape:
    """What of each feature is sent; JSON-FG has the city's coordinates where no CRS is named."""
    default = served.city.crs_uri if placed else crs.CRS84
    wanted = crs.named(served.city, given.get("crs", default), "crs")
    return Shape(
        placed=placed,
        crs=wanted,
        names=_names(served, given.get("properties")),
        skip_geometry=_one_of(given, "skipGeometry", ("false", "true")) == "true",
    )


def _count(given: dict[str, str], name: str, default: int) -> int:
    if name not in given:
        return default
    try:
        return int(integer(given[name]))
    except ValueError as error:
        raise bad(f"{name}: must be {error}, {given[name]!r} is not") from None


def _one_of(given: dict[str, str], name: str, offered: tuple[str, ...]) -> str:
    value = given.get(name, offered[0])
    if value not in offered:
        raise bad(f"{name}: {value!r} is not one of {', '.join(offered)}")
    return value


def _names(served: Served, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    asked = [name for name in text.split(",") if name]
    for name in asked:
        served.kind(name, "properties")
    # The id is always sent, beside the properties; the order is the layer's own.
    return tuple(name for name in served.fields if name in asked)


def _conditions(served: Served, given: dict[str, str]) -> list[Clause]:
    found = []
    box = given.get("bbox")
    if "bbox-crs" in given and box is None:
        raise bad("bbox-crs: stands without bbox")
    if box is not None:
        found.append(
            bbox.clause(
                served, box, crs.named(served.city, given.get("bbox-crs", crs.CRS84), "bbox-crs")
            )
        )
    if "datetime" in given:
        found.append(period.clause(served, given["datetime"]))
    equal = {n: v for n, v in given.items() if n in served.fields and n not in ITEMS}
    if equal:
        found.append(_equal(served, equal))
    by_filter = filtered(served, given)
    return [*found, by_filter] if by_filter else found


def _equal(served: Served, wanted: dict[str, str]) -> Clause:
    """Each property equals its parameter; a parcel's code is read with any padding."""
    binder = Binder("q")
    parts = []
    for name, text in wanted.items():
        kind = served.kinds[name]
        is_code = served.fields[name].type == "parcel_code"
        meant = forms.code(text, served.city) if is_code else text
        value = binder.add(read(kind, meant, name), CASTS[kind])
        parts.append(sql.SQL("v.{} = {}").format(sql.Identifier(name), value))
    return binder.clause(sql.SQL(" AND ").join(parts), varied=True)


def filtered(served: Filtered, given: dict[str, str]) -> Clause | None:
    """The condition of ``filter`` and the parameters that stand beside it."""
    text = given.get("filter")
    if text is None:
        for name in ("filter-lang", "filter-crs"):
            if name in given:
                raise bad(f"{name}: stands without filter")
        return None
    default = "cql2-json" if text.lstrip().startswith("{") else "cql2-text"
    language = _one_of(
        {"filter-lang": given.get("filter-lang", default)}, "filter-lang", cql.LANGUAGES
    )
    wanted = crs.named(served.city, given.get("filter-crs", crs.CRS84), "filter-crs")
    try:
        return cql.clause(served, text, cast("cql.Language", language), wanted)
    except Problem as problem:
        raise cql.refused(problem) from None


def item_number(text: str) -> int | None:
    """The feature id in a path, or None for what cannot be one."""
    digits = text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
    return int(text) if digits and len(text) < 20 and int(text) < 2**63 else None
