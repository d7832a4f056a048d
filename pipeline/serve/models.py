"""Rasters that are made of layers: of which, as they were when, and whether these have changed
since. It is told where such a raster is described, for whoever is about to use it.

A load of a layer changes it, so it is asked of the database, whenever the state of all of them is
another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
import psycopg
from psycopg import sql
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive import views
from pipeline.serve import links
from pipeline.serve.answers import site_of
from pipeline.serve.clause import template
from pipeline.serve.query import Statement
from pipeline.serve.site import Site

Part = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]
_KEY = ("models",)
_PATIENCE_S = 0.15
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, TimeoutError)


async def state(request: Request) -> str | None:
    """Of all such rasters, for tags."""
    return await _version(site_of(request))


async def _version(site: Site) -> str:
    """The state of all; the last that was known where the database does not tell it at once: what
    collections there are is told while it is away, too."""
    try:
        return await asyncio.wait_for(site.state.version(views.MODEL), _PATIENCE_S)
    except _AWAY:
        last: str = site.static.get(_KEY, ("", {}))[0]
        return last


async def known(site: Site) -> None:
    """Asks anew where something has changed; then ``of`` is right."""
    version = await _version(site)
    if not version or (_KEY in site.static and site.static[_KEY][0] == version):
        return
    view = sql.Identifier(site.audience.schema_name, views.MODEL)
    made = template("models").format(view=view).as_bytes(None)
    with suppress(*_AWAY):
        row = await site.features.row(Statement(made, {}))
        site.static[_KEY] = version, orjson.loads(row[0]) if row else {}


def of(site: Site, raster: str) -> dict[str, Part]:
    """The sheets of ``raster`` that are made of layers: ``made`` when, ``up_to_date``, and of each
    of the ``layers`` its ``layer``, when it was ``changed``, whether that is ``outdated``."""
    found: dict[str, Part] = site.static.get(_KEY, ("", {}))[1].get(raster, {})
    return found


def told(site: Site, raster: str, language: str) -> Part:
    """What the description of the collection of ``raster`` says more: members of its document."""
    sheets = of(site, raster)
    if not sheets:
        return {}
    named = {served.layer.id: name for name, served in site.served.items()}
    sources: dict[str, Part] = {}
    for sheet in sheets.values():
        for one in sheet["layers"]:
            name = named.get(one["layer"])
            if name is not None:
                told = {"collection": name, "changed": one["changed"]}
                current = sources.get(name, {}).get("upToDate", True) and not one["outdated"]
                sources[name] = {**told, "upToDate": current}
    via = [
        links.link("via", links.JSON, site.config["resources"][name]["title"][language],
                   f"{site.base}/collections/{name}?f=json", language)
        for name in sources
    ]  # fmt: skip
    made = min(sheet["made"] for sheet in sheets.values())
    current = all(one["upToDate"] for one in sources.values())
    return {
        "madeOf": {"made": made, "upToDate": current, "sources": list(sources.values())},
        "links": via,
    }


def following(handle: Handler) -> Handler:
    """``handle`` with what it tells of rasters known anew."""

    async def answer(request: Request) -> Response:
        await known(site_of(request))
        return await handle(request)

    return answer
