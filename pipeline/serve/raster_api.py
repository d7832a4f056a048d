"""pygeoapi's coverage endpoint, with the parameters that pygeoapi does not pass on.

Same signature as pygeoapi's own function, which it calls: put it in the place of
``pygeoapi.api.coverages.get_collection_coverage``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pygeoapi.api import coverages, validate_bbox
from pygeoapi.formats import F_HTML
from pygeoapi.plugin import load_plugin
from starlette.requests import Request

from pipeline.serve.coverage_part import OUTPUT, SCALING, Scaling
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
