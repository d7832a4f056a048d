"""/items/{id}: one feature, as it is or as it was at a moment."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pipeline.serve import answers, changes, fresh, items, json_fg, links, params, period, query
from pipeline.serve.errors import Problem, missing
from pipeline.serve.items import FORMATS, Asked
from pipeline.serve.links import GEOJSON, JSONFG
from pipeline.serve.query import Shape
from pipeline.serve.served import Served
from pipeline.serve.site import Site

_FORMATS = {name: FORMATS[name] for name in ("json", "jsonfg", "html")}
_TOLD = 20
"""So many of the times at which a feature was there are told."""


async def item(request: Request) -> Response:
    """GET /collections/{id}/items/{feature}."""
    if items.is_log(request):
        return await changes.item(request)
    asked = items.read(request, params.item, _FORMATS)
    text = request.path_params["item_id"]
    number = params.item_number(text)
    shape = params.shape(asked.served, asked.given, placed=asked.form == "jsonfg")
    if number is None:
        raise missing(f"there is no feature {text!r} in {asked.served.id}")
    if "datetime" in asked.given:
        return await _then(request, asked, shape, number)
    row = await asked.site.features.row(
        query.item(asked.served, shape, number), request.is_disconnected
    )
    if row is None:
        raise missing(f"there is no feature {text!r} in {asked.served.id}")
    content, run = bytes(row[0]), row[1]

    async def answer(_: Request) -> Response:
        return await _one(asked, content, number, shape)

    return await fresh.feature(request, run, fresh.layer, answer)


async def _then(request: Request, asked: Asked, shape: Shape, number: int) -> Response:
    """The version of the feature at the moment that is asked for."""
    moment = period.instant(asked.given["datetime"])

    async def answer(_: Request) -> Response:
        question = query.version(asked.served, shape, number, moment)
        row = await asked.site.features.row(question, request.is_disconnected)
        if row is None:
            raise await _not_then(request, asked, number)
        return await _one(asked, bytes(row[0]), number, shape)

    # What was is told otherwise by an undo or a delivery that corrects it.
    return await fresh.validated(answer, fresh.layer)(request)


async def _not_then(request: Request, asked: Asked, number: int) -> Problem:
    """404 with the times at which the feature was there, if it ever was."""
    question = query.held(asked.served, number, _TOLD)
    row = await asked.site.features.row(question, request.is_disconnected)
    known = bytes(row[0]).decode() if row and row[0] else None
    when = asked.given["datetime"]
    said = f"there is no feature {number} in {asked.served.id} at {when}"
    return missing(f"{said}; it was there: {known}" if known else said)


async def _one(asked: Asked, feature: bytes, number: int, shape: Shape) -> Response:
    path = f"{asked.path}/items/{number}"
    found = links.documents(path, asked.given, _FORMATS, asked.form, asked.language)
    found.append(asked.collection_link())
    if asked.served.references:
        found += related(asked.site, asked.served, orjson.loads(feature), asked.language)
    headers = {"Content-Crs": f"<{shape.crs.uri}>"}
    if asked.form == "jsonfg":
        content = json_fg.feature(asked.served, shape, found, feature)
        return answers.data(content, JSONFG, headers)
    if asked.form == "json":
        content = feature[:-1] + b',"links":' + orjson.dumps(found) + b"}"
        return answers.data(content, GEOJSON, headers)
    answer = await _page(asked, orjson.loads(feature), found)
    answer.headers.update(headers)
    return answer


def related(site: Site, served: Served, feature: dict[str, Any], language: str) -> list[links.Link]:
    """The features of other collections that this one names, such as the plan of a zone."""
    found = []
    for name, layer in served.references.items():
        value, other = feature["properties"].get(name), site.served.get(_collection(site, layer))
        if value is None or other is None:
            continue
        key = site.schemas.city.published(other.layer.key[0])
        path = links.address(f"{site.base}/collections/{other.id}/items", {key: str(value)})
        title = f"{other.layer.title.of(language)}: {value}"
        found.append(links.link("related", GEOJSON, title, path, language))
    return found


def _collection(site: Site, layer: str) -> str:
    return site.schemas.layer(layer).publish.collection


async def _page(asked: Asked, feature: dict[str, Any], found: list[links.Link]) -> Response:
    names = params.shape(asked.served, asked.given).names
    label = asked.served.label
    content = {
        **feature,
        "links": found,
        "title": asked.served.layer.title.of(asked.language),
        "id_field": "id",
        "title_field": label if names is None or label in names else None,
        "dataset_path": asked.path,
        "collections_path": f"{asked.site.base}/collections",
    }
    return await answers.page(asked.site, "collections/items/item.html", content, asked.language)
