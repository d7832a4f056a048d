"""How good a dataset is, for whoever wants to use it: the measures of its data in force."""

from __future__ import annotations

from typing import Any

import orjson
from psycopg import sql
from starlette.requests import Request
from starlette.responses import Response

from pipeline.db import queries
from pipeline.derive import views
from pipeline.serve import answers, datasets, documents, links, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.query import Statement
from pipeline.serve.site import Site

_NAMES = ("element", "measure", "unit")


async def page(request: Request) -> Response:
    """GET /collections/{id}/quality: results by ISO 19157, as JSON and as a page."""
    site = site_of(request)
    name = request.path_params["collection_id"]
    resource = site.collection(name)
    given = wanted.parameters(request, wanted.COMMON)
    form = wanted.form(request, given, tuple(documents.FORMS))
    language = wanted.language(request, given, site.languages)
    path = f"{site.base}/collections/{name}"
    known = await datasets.known(site)
    reports = [link for link in resource["links"] if link["rel"] == "describedby"]
    found = {
        "id": name,
        "title": resource["title"][language],
        "updated": known.updated.get(name),
        "results": [_said(site, name, one, language) for one in await _results(site, name)],
        "links": [
            *links.documents(f"{path}/quality", {}, documents.FORMS, form, language),
            links.link("collection", links.JSON, resource["title"][language], path, language),
            *reports,
        ],
    }
    if form == "html":
        return await answers.page(site, "collections/quality.html", found, language)
    return answers.json(found, language)


async def _results(site: Site, name: str) -> list[dict[str, Any]]:
    view = sql.Identifier(site.audience.schema_name, views.QUALITY)
    asked = sql.SQL(queries.load("answers")["quality_of"]).format(view=view).as_bytes(None)
    row = await site.features.row(Statement(asked, {"layer": _layer(site, name)}))
    found: list[dict[str, Any]] = orjson.loads(row[0]) if row else []
    return found


def _layer(site: Site, name: str) -> str:
    if name in site.served:
        return site.served[name].layer.id
    return next(one.id for one in site.schemas.rasters.values() if one.collection == name)


def _said(site: Site, name: str, one: dict[str, Any], language: str) -> dict[str, Any]:
    """A result with its codes in words, and the field by its title."""
    lists = {part: site.schemas.codelists[f"quality_{part}"].entries for part in _NAMES}
    words = {
        part: lists[part][one[part]].of(language) for part in _NAMES if one[part] in lists[part]
    }
    fields = site.served[name].layer.fields if name in site.served else ()
    titles = {field.name: field.title.of(language) for field in fields}
    return {**one, "words": {**words, "field": titles.get(one["field"])}}
