"""pygeoapi's coverage and map endpoints, with the parameters that pygeoapi does not pass on.

Same signatures as pygeoapi's own functions, which they call: put them in the place of
``pygeoapi.api.coverages.get_collection_coverage`` and ``pygeoapi.api.maps.get_collection_map``.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pygeoapi.api import coverages, maps, validate_bbox
from pygeoapi.formats import F_HTML
from pygeoapi.plugin import load_plugin
from starlette.requests import Request

from pipeline.serve.coverage_part import OUTPUT, SCALING, Scaling
from pipeline.serve.raster_map import SIDES
from pipeline.serve.site import Site

#: Parameters of a coverage that go beyond pygeoapi's.
COVERAGE_PARAMETERS = ("scale-factor", "scale-size", "crs")

Answer = tuple[dict[str, str], int, Any]

#: The formats of coverages, and what pygeoapi calls them.
FORMS = {"json": "json", "html": "html", "GTiff": "GTiff"}
_SIZE = re.compile(r"(?:x|E)\((\d{1,6})\),(?:y|N)\((\d{1,6})\)")
_VALUES_ON_A_PAGE = 20_000
_HOW = "scale-size: give it as x(400),y(300)"

_coverage = coverages.get_collection_coverage
_map = maps.get_collection_map


def get_collection_coverage(api: Any, request: Any, dataset: str) -> Answer:
    """GET /collections/{id}/coverage, with scale-factor, scale-size and crs."""
    try:
        validate_bbox(request.params.get("bbox"))
        wanted = scaling(request.params)
        if wanted is None and request.format == F_HTML:
            wanted = Scaling(fit=_VALUES_ON_A_PAGE)
    except ValueError as error:
        headers = request.get_response_headers(**api.api_headers)
        found: Answer = api.get_exception(
            HTTPStatus.BAD_REQUEST, headers, request.format, "InvalidParameterValue", str(error)
        )
        return found
    scaled, placed = SCALING.set(wanted), OUTPUT.set(request.params.get("crs"))
    try:
        answer: Answer = _coverage(api, request, dataset)
        return answer
    finally:
        SCALING.reset(scaled)
        OUTPUT.reset(placed)


def scaling(parameters: Mapping[str, str]) -> Scaling | None:
    """How finely a request wants its answer; ValueError says what is wrong with it."""
    factor, size = parameters.get("scale-factor"), parameters.get("scale-size")
    if factor is not None and size is not None:
        raise ValueError("give either scale-factor or scale-size, not both")
    if size is not None:
        match = _SIZE.fullmatch(size.replace(" ", ""))
        if match is None or "0" in match.groups():
            raise ValueError(_HOW)
        return Scaling(size=(int(match[1]), int(match[2])))
    return None if factor is None else Scaling(factor=_factor(factor))


def _factor(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise ValueError("scale-factor: give a number above 0; 2 halves both sides")
    return found


async def state(request: Request) -> str | None:
    """For what is made of a raster's pixels: their state."""
    site: Site = request.app.state.site
    for provider in site.collection(request.path_params["collection_id"])["providers"]:
        if provider["type"] in ("coverage", "map"):
            return str(load_plugin("provider", provider).source.version())
    return None


def get_collection_map(api: Any, request: Any, dataset: str, style: str | None = None) -> Answer:
    """GET /collections/{id}/map, in any of the provider's formats instead of its one."""
    chosen = _answering(api, dataset, request.params.get("f"))
    token = SIDES.set(("width" in request.params, "height" in request.params))
    try:
        answer: Answer = _map(chosen, request, dataset, style)
        return answer
    finally:
        SIDES.reset(token)


def _answering(api: Any, dataset: str, form: str | None) -> Any:
    """``api`` as if the map provider of ``dataset`` had the format ``form``, if it offers that."""
    resources = api.config["resources"]
    resource = resources.get(dataset)
    if form is None or resource is None:
        return api
    providers = [_formatted(provider, form) for provider in resource["providers"]]
    changed = {**resources, dataset: {**resource, "providers": providers}}
    chosen = copy.copy(api)
    chosen.config = {**api.config, "resources": changed}
    return chosen


def _formatted(provider: dict[str, Any], form: str) -> dict[str, Any]:
    formats = (provider.get("options") or {}).get("formats", {})
    if provider["type"] != "map" or form not in formats:
        return provider
    return {**provider, "format": {"name": form, "mimetype": formats[form]}}
