"""What pygeoapi says of a collection, put right: links, the licence, what EDR asks for, and what
rasters are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive.collections import ACCURACY
from pipeline.derive.raster_collections import COVERAGE_JSON
from pipeline.serve import answers, links, models, site, wanted
from pipeline.serve.links import JSON, JSONLD, OGC

Part = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]
_QUERYABLES = f"{OGC}/queryables"


def refined(describe: Callable[..., Part]) -> Callable[..., Part]:
    """Descriptions without links to what is not served, the licence in the reader's language."""

    def answer(api: Any, request: Any, dataset: str, locale_: Any) -> Part:
        found = describe(api, request, dataset, locale_)
        found["links"] = [link for link in found["links"] if _is_served(dataset, link)]
        found["links"] += _drawn_links(dataset, locale_.language)
        for link in found["links"]:
            link["title"] = _title(api, dataset, link, locale_.language)
        for provider in api.config["resources"][dataset]["providers"]:
            if provider["type"] == "edr":
                found |= _edr(found, provider, locale_.language)
            if provider["type"] == "coverage":
                more = models.told(site.current(), provider["data"], locale_.language)
                found["links"] += more.pop("links", [])
                found |= more
        return found

    return answer


def _title(api: Any, dataset: str, link: Part, language: str) -> str:
    """What a link is called in the reader's language; pygeoapi has some in the first one only."""
    said = {
        "license": api.config["metadata"]["license"]["name"],
        "enclosure": api.config["resources"][dataset]["title"],
    }.get(link["rel"], {})
    if link["rel"] == "describedby":
        return _accuracy(link["title"], language)
    return str(said.get(language) or links.said(link["title"], language))


def _accuracy(title: str, language: str) -> str:
    """The title of a report (collections.ACCURACY and the sheet) in the reader's language."""
    for said in ACCURACY.values():
        if title.startswith(said):
            return ACCURACY.get(language, said) + title.removeprefix(said)
    return title


def _is_served(dataset: str, link: Part) -> bool:
    if link["type"] == JSONLD and link["rel"] in ("items", "data"):
        return False
    served = site.current().served.get(dataset)
    if served is None or served.layer.source != "log":
        return True
    # Changes are read on from a place: they take no filter, and are no table.
    return link["rel"] != _QUERYABLES and not link["type"].startswith("text/csv")


def _drawn_links(dataset: str, language: str) -> list[links.Link]:
    """How good a collection is, and how one of features looks: its map and its styles."""
    here = site.current()
    served = here.served.get(dataset)
    path = f"{here.base}/collections/{dataset}"
    told = links.link("describedby", links.HTML, "Quality", f"{path}/quality?f=html", language)
    if served is None or not (served.has_geometry and served.layer.publish.tiles):
        return [told]
    return [
        told,
        links.link(f"{OGC}/map", "image/png", "Map", f"{path}/map?f=png", language),
        links.link(f"{OGC}/styles", links.JSON, "Styles", f"{path}/styles?f=json", language),
    ]


def _edr(found: Part, provider: Part, language: str) -> Part:
    """CRSs and formats of position queries, and parameters in words of one language
    (OGC 19-086r5, requirement rc-collection-info)."""
    uris, forms = provider["crs"], [COVERAGE_JSON]
    queries = found["data_queries"]
    for query in queries.values():
        query["link"]["variables"] |= {
            "output_formats": forms,
            "default_output_format": COVERAGE_JSON,
            "crs_details": [{"crs": uri} for uri in uris],
        }
    parameters = found["parameter_names"]
    for told in parameters.values():
        told["description"] = told["description"][language]
        told["observedProperty"]["label"] = told["observedProperty"]["label"][language]
    return {
        "data_queries": queries,
        "parameter_names": parameters,
        "crs": uris,
        "output_formats": forms,
    }


def tile_sets(theirs: Handler) -> Handler:
    """pygeoapi's list of a raster's tile sets, with their titles, grids and templates."""

    async def answer(request: Request) -> Response:
        response = await theirs(request)
        if response.headers["content-type"] != JSON:
            return response
        here = answers.site_of(request)
        language = wanted.language(request, dict(request.query_params), here.languages)
        resource = here.collection(request.path_params["collection_id"])
        found = orjson.loads(bytes(response.body))
        found["links"] = [link for link in found["links"] if link["type"] != JSONLD]
        for link in found["links"]:
            if link["rel"] == "item":
                link["templated"] = True
        for told in found["tilesets"]:
            own = next(link["href"] for link in told["links"] if link["rel"] == "self")
            grid = own.split("?")[0].rsplit("/", 1)[1]
            told["title"] = f"{resource['title'][language]} · {grid}"
            told["tileMatrixSetURI"] = (
                told["tileMatrixSetURI"] or f"{here.base}/tileMatrixSets/{grid}"
            )
        return answers.json(found, language)

    return answer
