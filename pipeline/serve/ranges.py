"""Files as they are, whole or in parts (RFC 9110, 14): QGIS and GDAL read a COG over HTTP so.

A version that never changes is the file's strong tag. A client that reads on after the file was
replaced sees by If-Range that it is another one, and gets the new one whole.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from pipeline.contracts.raster import ServedRaster
from pipeline.derive.raster_collections import COG, REPORT_FORMS
from pipeline.serve import conditions, downloads, publish, wanted
from pipeline.serve.answers import site_of
from pipeline.serve.errors import missing
from pipeline.serve.raster_source import Source
from pipeline.serve.site import Site

PMTILES = "application/vnd.pmtiles"
_TOLD = ("en", "fa")  # languages of reports
_BLOCK = 2**18
_UNIT = "bytes"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is asked for: ``version`` is another one whenever its bytes are."""

    path: Path
    version: str
    media_type: str
    name: str


class _Ranged(FileResponse):
    """Starlette's, in larger blocks and with ranges left aside where they mean nothing: of other
    units than bytes, and of HEAD (RFC 9110, 14.2)."""

    chunk_size = _BLOCK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the file or the parts that are asked for."""
        unit = Request(scope).headers.get("range", _UNIT).partition("=")[0]
        if unit.strip().lower() != _UNIT or scope["method"] == "HEAD":
            kept = [pair for pair in scope["headers"] if pair[0] != b"range"]
            scope = {**scope, "headers": kept}
        await super().__call__(scope, receive, send)


def answer(request: Request, stored: Stored, cache: str = "no-cache") -> Response:
    """200, 206, 304 or 416 for ``stored``; HEAD as GET of the whole. Raises Problem: 404 if it is
    gone, 412 if it is not what the client has begun with."""
    tag = f'"{stored.version}"'
    headers = {"ETag": tag, "Cache-Control": cache, "Accept-Ranges": _UNIT}
    try:
        state = stored.path.stat()
    except FileNotFoundError:
        raise missing(f"the file {stored.name!r} is not here any more") from None
    if conditions.same(request.headers, tag, state.st_mtime):
        return Response(status_code=304, headers=headers)
    return _Ranged(
        stored.path,
        headers=headers,
        media_type=stored.media_type,
        filename=stored.name,
        stat_result=state,
        content_disposition_type="inline",
    )


async def raster(request: Request) -> Response:
    """GET or HEAD /files/{collection}.tif: the COG that a raster collection is served from, or its
    window in an extract."""
    site = site_of(request)
    name = request.path_params["collection_id"]
    if f"{name}{downloads.PICTURE}" in downloads.offered(site.settings):
        return await download(request)
    found = _served(site, name)
    stored = Stored(site.settings.home / found.path, found.version, COG, f"{name}.tif")
    return answer(request, stored)


async def tiles(request: Request) -> Response:
    """GET or HEAD /files/{name}.pmtiles: tiles that ``makan tiles export`` has written."""
    site = site_of(request)
    name = request.path_params["name"]
    if name not in {*site.served, *site.schemas.groups}:
        raise missing(f"there is no file of tiles called {name!r}")
    path = publish.files(site.settings).config.with_name(f"{name}.pmtiles")
    try:
        state = path.stat()
    except FileNotFoundError:
        raise missing(f"the tiles of {name!r} were not exported") from None
    version = f"{state.st_mtime_ns:x}-{state.st_size:x}"
    return answer(request, Stored(path, version, PMTILES, f"{name}.pmtiles"))


async def download(request: Request) -> Response:
    """GET or HEAD /files/{name}.gpkg, .mbtiles, .tif: what ``makan publish`` and ``makan extract``
    made; its digest is its tag, and stands in ``Repr-Digest`` (RFC 9530) as well."""
    site = site_of(request)
    name = request.url.path.rsplit("/", 1)[1]
    found = downloads.offered(site.settings).get(name)
    if found is None:
        raise missing(f"there is no file {name!r} to download")
    path = downloads.folder(site.settings) / found.name
    response = answer(request, Stored(path, found.sha256, found.media_type, found.name))
    digest = base64.b64encode(bytes.fromhex(found.sha256)).decode()
    response.headers["Repr-Digest"] = f"sha-256=:{digest}:"
    return response


async def sheet(request: Request) -> Response:
    """GET or HEAD /files/{collection}/{sheet}.tif: one sheet, of now or of another time."""
    site = site_of(request)
    name, wanted = request.path_params["collection_id"], request.path_params["sheet"]
    for part in _served(site, name).parts:
        if part.name == wanted:
            stored = Stored(site.settings.home / part.path, part.version, COG, f"{wanted}.tif")
            return answer(request, stored)
    raise missing(f"the collection {name!r} has no sheet {wanted!r}")


async def report(request: Request) -> Response:
    """GET or HEAD /files/{collection}/{sheet}/accuracy.{form}: how accurate a file is."""
    site = site_of(request)
    given = wanted.parameters(request, ("lang",))
    language = wanted.language(request, given, site.languages)
    name, form = request.path_params["sheet"], request.path_params["form"]
    kind = REPORT_FORMS.get(form)
    served = _served(site, request.path_params["collection_id"])
    version = ServedRaster.reports(site.settings.home, served.layer).get(name)
    if kind is None or version is None:
        raise missing(f"there is no accuracy.{form} about {name!r}")
    ending = form if form == "json" else f"{language if language in _TOLD else _TOLD[0]}.{form}"
    path = ServedRaster.report(site.settings.home, served.layer, name, ending)
    stored = Stored(path, f"{version}-{ending}", kind, f"{name}-accuracy.{ending}")
    return answer(request, stored)


def _served(site: Site, collection: str) -> ServedRaster:
    """What is served of a raster collection; 404 where there is no such file."""
    site.collection(collection)
    for contract in site.schemas.rasters.values():
        if contract.collection == collection:
            found = Source(site.settings.home, contract.id).served()
            if found is not None:
                return found
    raise missing(f"the collection {collection!r} is no file")
