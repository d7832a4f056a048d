"""WMS 1.3.0 and 1.1.1 for older programs: their words for the maps that ``maps`` draws."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive import symbols
from pipeline.serve import answers, fresh, legend, map_draw, map_view, maps, ows, params
from pipeline.serve.answers import site_of
from pipeline.serve.crs import Bounds, Crs
from pipeline.serve.errors import Problem, bad
from pipeline.serve.links import GEOJSON, JSON
from pipeline.serve.map_view import View
from pipeline.serve.site import Site

_COLOUR = re.compile(r"0[xX][0-9A-Fa-f]{6}")
_FORMS = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg"}
_MOST_FOUND = 10
_REACH = 3
_CAPABILITIES = {"1.1.1": "ows/wms111.xml", "1.3.0": "ows/wms130.xml"}


async def wms(request: Request) -> Response:
    """GET /wms."""
    version = "1.3.0"
    try:
        given = ows.parameters(request)
        version = _version(given)
        kind = ows.need(given, "REQUEST").lower()
        answer = _REQUESTS.get(kind)
        if answer is None or given.get("SERVICE", "WMS").upper() != "WMS":
            raise Problem(400, "OperationNotSupported", f"there is no request {kind!r} here")
        return await answer(request, given, version)
    except Exception as error:  # noqa: BLE001 - every request gets an answer
        return ows.exception(error, version)


def _version(given: dict[str, str]) -> str:
    """The version: what is below 1.3 is 1.1.1, as that standard has it agreed."""
    asked = given.get("VERSION") or given.get("WMTVER") or "1.3.0"
    return "1.1.1" if asked < "1.3" else "1.3.0"


async def _capabilities(request: Request, given: dict[str, str], version: str) -> Response:
    site = site_of(request)
    spoken = ows.language(request, given, site)
    found = ows.layers(site)
    content = {
        "address": f"{site.base}/wms?",
        "layers": [
            {
                "name": one.name,
                "title": one.title[spoken],
                "description": one.description[spoken],
                "bbox": one.bbox,
                "queryable": int(one.queryable),
                "styled": one.queryable,
            }
            for one in found.values()
        ],
        "crs": list(ows.epsg(site)),
        "title": site.config["metadata"]["identification"]["title"][spoken],
        "abstract": site.config["metadata"]["identification"]["description"][spoken],
        "legend": f"{site.base}/wms?SERVICE=WMS&VERSION={version}&REQUEST=GetLegendGraphic"
        f"&FORMAT=image/png&LANGUAGE={spoken}&LAYER=",
        "formats": ["image/png", "image/jpeg"],
        "most": map_view.MOST_SIDE,
    }
    return await ows.document(request, _CAPABILITIES[version], content, spoken)


def _names(site: Site, text: str) -> list[str]:
    """Collections in the order they are drawn in."""
    known = ows.layers(site)
    found: list[str] = []
    for name in text.split(","):
        if name not in known:
            raise Problem(400, "LayerNotDefined", f"there is no layer {name!r}")
        found += known[name].collections
    return list(dict.fromkeys(found))


def _crs(site: Site, given: dict[str, str], version: str) -> tuple[Crs, bool]:
    """The CRS, and whether boxes in it have their north first: in 1.3.0 as the CRS says, in 1.1.1
    never."""
    name = ows.need(given, "CRS" if version == "1.3.0" else "SRS").upper()
    known = ows.epsg(site)
    if name not in known:
        told = ", ".join(known)
        raise Problem(400, "InvalidCRS", f"{name!r} is not offered; there are {told}")
    return known[name], version == "1.3.0" and known[name].flipped


def _box(text: str, *, flipped: bool) -> Bounds:
    try:
        numbers = [float(part) for part in text.split(",")]
        a, b, c, d = numbers
    except ValueError:
        raise bad("BBOX: give four numbers") from None
    box = (b, a, d, c) if flipped else (a, b, c, d)
    if not (box[0] < box[2] and box[1] < box[3]) or max(map(abs, box)) > 1e9:
        raise bad("BBOX: the lower corner must lie below and left of the upper one")
    return box


def _view(site: Site, given: dict[str, str], version: str) -> View:
    target, flipped = _crs(site, given, version)
    box = _box(ows.need(given, "BBOX"), flipped=flipped)
    sides = {name.lower(): ows.need(given, name) for name in ("WIDTH", "HEIGHT")}
    return map_view.sized(site.schemas.city, box, target, sides)


async def _get_map(request: Request, given: dict[str, str], version: str) -> Response:
    site = site_of(request)
    names = _names(site, ows.need(given, "LAYERS"))
    if any(style not in ("", "default") for style in given.get("STYLES", "").split(",")):
        raise Problem(400, "StyleNotDefined", "each layer has the style default alone")
    kind = given.get("FORMAT", "image/png").split(";")[0].lower()
    if kind not in _FORMS:
        raise Problem(400, "InvalidFormat", f"there are {', '.join(dict.fromkeys(_FORMS))}")
    paper = given.get("BGCOLOR", "0xFFFFFF")
    if not _COLOUR.fullmatch(paper):
        raise bad("BGCOLOR: give it as 0xRRGGBB")
    view = _view(site, given, version)
    seen = given.get("TRANSPARENT", "FALSE").upper() == "TRUE"
    form = _FORMS[kind]

    async def drawn(request: Request) -> Response:
        del request
        canvas = await map_draw.draw(site, names, view)
        body = await run_in_threadpool(
            canvas.encoded, form, transparent=seen, paper=f"#{paper[2:].lower()}"
        )
        return answers.data(body, maps.FORMATS[form])

    async def state(request: Request) -> str:
        del request
        return await maps.state_of(site, names)

    return await fresh.validated(drawn, state)(request)


async def _info(request: Request, given: dict[str, str], version: str) -> Response:
    """What lies at a pixel, as GeoJSON or as plain text."""
    site = site_of(request)
    view = _view(site, given, version)
    names = [name for name in _names(site, ows.need(given, "QUERY_LAYERS")) if name in site.served]
    across, down = ("I", "J") if version == "1.3.0" else ("X", "Y")
    try:
        x, y = int(ows.need(given, across)), int(ows.need(given, down))
    except ValueError:
        raise Problem(400, "InvalidPoint", f"{across} and {down}: give whole numbers") from None
    if not (0 <= x < view.size[0] and 0 <= y < view.size[1]):
        raise Problem(400, "InvalidPoint", "the point lies outside the map")
    most = given.get("FEATURE_COUNT", "1")
    count = min(int(most), _MOST_FOUND) if most.isdigit() and len(most) < 4 else 1
    found: list[bytes] = []
    for name in reversed(names):
        if len(found) < count:
            found += await _at(site, name, view, (x, y), count - len(found))
    kind = given.get("INFO_FORMAT", "text/plain").split(";")[0]
    if kind in (JSON, GEOJSON):
        body = b'{"type":"FeatureCollection","features":[' + b",".join(found) + b"]}"
        return answers.data(body, GEOJSON)
    if kind != "text/plain":
        raise Problem(400, "InvalidFormat", "INFO_FORMAT: text/plain or application/json")
    lines = []
    for text in found:
        feature = orjson.loads(text)
        lines.append(f"{feature['id']}")
        lines += [f"  {key} = {value}" for key, value in feature["properties"].items()]
    return answers.data("\n".join(lines).encode(), "text/plain; charset=utf-8")


async def _at(
    site: Site, name: str, view: View, place: tuple[int, int], count: int
) -> Sequence[bytes]:
    """Features of a layer within some pixels of ``place``, each as GeoJSON."""
    west, _, east, north = view.box
    pixel = (east - west) / view.size[0]
    x, y = west + (place[0] + 0.5) * pixel, north - (place[1] + 0.5) * pixel
    reach = _REACH * pixel
    box = (x - reach, y - reach, x + reach, y + reach)
    if view.crs.flipped:
        box = (box[1], box[0], box[3], box[2])
    served = site.served[name]
    asked = {
        "bbox": ",".join(f"{number!r}" for number in box),
        "bbox-crs": view.crs.uri,
        "limit": str(count),
    }
    row = await site.features.row(params.query(served, asked).page(counted=True))
    if row is None or not row[0]:
        return []
    return [orjson.dumps(one) for one in orjson.loads(b"[%b]" % row[0])]


async def _legend(request: Request, given: dict[str, str], version: str) -> Response:
    del version
    site = site_of(request)
    names = _names(site, ows.need(given, "LAYER"))
    served = [site.served[name] for name in names if name in site.served]
    if not served:
        raise Problem(400, "LayerNotDefined", "a picture has no legend")
    drawings = [symbols.drawing(site.schemas, one.layer, one.audience) for one in served]
    spoken = ows.language(request, given, site)
    body = await run_in_threadpool(legend.png, drawings, spoken, map_draw.font(site))
    return answers.data(body, "image/png", {"Content-Language": spoken})


_REQUESTS = {
    "getcapabilities": _capabilities,
    "capabilities": _capabilities,
    "getmap": _get_map,
    "map": _get_map,
    "getfeatureinfo": _info,
    "getlegendgraphic": _legend,
}
