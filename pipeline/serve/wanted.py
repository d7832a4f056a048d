"""What every request says of its answer: query parameters read strictly, format and language."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl

from starlette.requests import Request

from pipeline.serve.errors import Problem, bad

_MAX_QUERY = 65_536
_MAX_BODY = 1_000_000
_MAX_PARAMETERS = 100
#: Media types a client may name in Accept, and the format each means.
_TYPES = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/geo+json": "json",
    "application/vnd.ogc.fg+json": "jsonfg",
    "application/gml+xml": "gml",
    "application/json": "json",
    "application/schema+json": "json",
    "application/vnd.oai.openapi+json": "json",
    "application/ld+json": "jsonld",
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/flatgeobuf": "fgb",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.mapbox-vector-tile": "mvt",
    "application/vnd.mapbox.style+json": "mbs",
    "application/vnd.ogc.sld+xml": "sld10",
    "application/x-qgis-layer-settings": "qml",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
}
COMMON = ("f", "lang")


def parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """The query parameters; 400 for one that is unknown, doubled or not UTF-8."""
    raw: bytes = request.scope["query_string"]
    if len(raw) > _MAX_QUERY:
        raise Problem(414, "InvalidParameterValue", "the address is too long; POST to /search")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        raise bad("the query is not UTF-8, or has too many parameters") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise bad(f"unknown parameter {name!r}; known are {', '.join(known)}")
        if name in found:
            raise bad(f"the parameter {name} stands twice")
        if "\0" in value:
            raise bad(f"{name}: holds a NUL character")
        found[name] = value
    return found


async def body(request: Request) -> bytes:
    """What was sent; 413 for more than anybody needs to send, as soon as that much has come."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MAX_BODY:
            raise Problem(413, "InvalidParameterValue", f"the body exceeds {_MAX_BODY} bytes")
    return bytes(content)


@lru_cache(maxsize=512)
def _accepted(header: str) -> tuple[str, ...]:
    """Formats of an Accept header, best first."""
    weighed: list[tuple[float, str]] = []
    for part in header.split(","):
        kind, *options = (piece.strip() for piece in part.split(";"))
        weight = next((o[2:] for o in options if o.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            quality = 0.0
        if kind.lower() in _TYPES and quality > 0:
            weighed.append((quality, _TYPES[kind.lower()]))
    return tuple(name for _, name in sorted(weighed, key=lambda pair: -pair[0]))


def form(request: Request, given: dict[str, str], offered: Sequence[str]) -> str:
    """The format of the answer: ``f``, else Accept, else the first that is offered."""
    name = given.get("f")
    if name is not None:
        if name not in offered:
            raise bad(f"f: {name!r} is not offered here; there are {', '.join(offered)}")
        return name
    for found in _accepted(request.headers.get("accept", "")):
        if found in offered:
            return found
    return offered[0]


@lru_cache(maxsize=512)
def _spoken(header: str, languages: tuple[str, ...]) -> str:
    weighed: list[tuple[float, str]] = []
    for part in header.split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        weighed.append((-quality, tag.split("-")[0].lower()))
    for _, tag in sorted(weighed, key=lambda pair: pair[0]):
        if tag in languages:
            return tag
    return languages[0]


def negotiated(request: Request, languages: tuple[str, ...]) -> tuple[str, str]:
    """What the Accept headers choose among representations of one address."""
    forms = _accepted(request.headers.get("accept", ""))
    return ",".join(forms), _spoken(request.headers.get("accept-language", ""), languages)


def language(request: Request, given: dict[str, str], languages: tuple[str, ...]) -> str:
    """The language of the answer: ``lang``, else Accept-Language, else the city's first."""
    name = given.get("lang")
    if name is None:
        return _spoken(request.headers.get("accept-language", ""), languages)
    tag = name.replace("_", "-").split("-")[0].lower()
    if tag not in languages:
        raise bad(f"lang: {name!r} is not offered; there are {', '.join(languages)}")
    return tag
