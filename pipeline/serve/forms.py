"""The page with a form for a new row of a collection that takes some: a report to 137, a place.

What it shows derives from the contract: the fields that a client gives, their codes in words. The
page sends what the API takes; nothing is written by another way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pipeline.contracts.field import Field
from pipeline.contracts.registry import Schemas
from pipeline.derive import collections
from pipeline.serve import answers, tile_layers, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.errors import missing
from pipeline.serve.served import Served

_PLACES = "geocode"


async def new(request: Request) -> Response:
    """GET /collections/{id}/new: HTML alone, where the audience may make rows of one point."""
    site = site_of(request)
    served = site.feature_collection(request.path_params["collection_id"])
    if not collections.has_form(served.layer, served.audience):
        raise missing(f"{served.id} takes no new features by a form")
    given = wanted.parameters(request, wanted.COMMON)
    language = wanted.language(request, given, site.languages)
    title = served.layer.title.of(language)
    content = {
        "id": served.id,
        "title": title,
        "fields": list(_fields(site.schemas, served, language)),
        "titles": {name: field.title.of(language) for name, field in served.fields.items()},
        "codes": {
            name: {code: text.of(language) for code, text in listed.entries.items()}
            for name, field in served.fields.items()
            if (listed := site.schemas.codes(field)) is not None
        },
        "geocode": _PLACES if _PLACES in site.answerer.processes else None,
        "city": tile_layers.city_map(site),
        "links": [],
    }
    return await answers.page(site, "collections/new.html", content, language)


def _fields(schemas: Schemas, served: Served, language: str) -> Iterator[dict[str, Any]]:
    """What is asked for each field that a client gives; what is personal last."""
    for name, field in served.fields.items():
        if field.filled is None and field.derive is None and field.numbers_of is None:
            yield _field(schemas, name, field, language)
    for one in served.layer.personal:
        yield {"name": one.name, "title": one.title.of(language), "personal": True, "type": "text"}


def _field(schemas: Schemas, name: str, field: Field, language: str) -> dict[str, Any]:
    codes = schemas.codes(field)
    return {
        "name": name,
        "title": field.title.of(language),
        "description": field.description.of(language) if field.description else None,
        "type": field.type,
        "required": field.required,
        "min": field.min,
        "max": field.max,
        "max_length": field.max_length,
        "codes": [(code, text.of(language)) for code, text in codes.entries.items()]
        if codes
        else None,
    }
