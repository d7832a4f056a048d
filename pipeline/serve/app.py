"""The ASGI application: the table of routes, and what happens when a worker starts and stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from pipeline import paths
from pipeline.derive.openapi_records import CATALOGUE
from pipeline.derive.raster_collections import COVERAGE_JSON
from pipeline.serve import (
    answers,
    datasets,
    described,
    documents,
    forms,
    fresh,
    glyphs,
    health,
    item,
    items,
    jobs,
    maps,
    models,
    processes,
    quality,
    ranges,
    raster_api,
    records,
    site,
    stac,
    stock,
    styles,
    tile_grids,
    tiles,
    warm,
    wms,
    wmts,
    writing,
)
from pipeline.serve.config import LICENCE
from pipeline.serve.door import Door, Entrance
from pipeline.serve.errors import Problem
from pipeline.serve.middleware import Guard
from pipeline.serve.site import Site
from pipeline.serve.squeeze import Squeeze

Handler = Callable[[Request], Awaitable[Response]]
_THREADS = 8
_COLLECTION = "/collections/{collection_id}"


def _answering(handler: Handler) -> Handler:
    """The handler, with an answer for whatever it raises."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            return await answers.failure(request, error)

    return answer


async def _refused(request: Request, error: Exception) -> Response:
    """No such path, or not by this method; plain OPTIONS is told what there is."""
    if not isinstance(error, HTTPException):
        return await answers.failure(request, error)
    if error.status_code == 405:
        allowed = dict(error.headers or {})
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=allowed)
        detail = f"{request.method} is not possible here; these data are read only"
        return await answers.failure(request, Problem(405, "MethodNotAllowed", detail, allowed))
    return await answers.failure(
        request, Problem(error.status_code, "NotFound", "there is nothing at this address")
    )


def _routes(pygeoapi: ModuleType) -> Iterator[BaseRoute]:
    """Ours first; what pygeoapi does well is its own endpoint behind our rules."""
    here = _COLLECTION
    box = ("bbox", "bbox-crs", "datetime")
    grid = (*box, "subset", "properties", *raster_api.COVERAGE_PARAMETERS)
    point = ("coords", "crs", "datetime", "parameter-name", "z")
    spoken = {COVERAGE_JSON: "json", "json": "json", "html": "html"}
    values = stock.endpoint(pygeoapi, "get_collection_edr_query", *point, needs="edr", forms=spoken)
    values = fresh.validated(values, raster_api.state)
    coverage = stock.endpoint(
        pygeoapi, "collection_coverage", *grid, needs="coverage", forms=raster_api.FORMS
    )
    table: dict[str, Handler] = {
        f"{here}/tiles/{{grid_id}}/{{zoom}}/{{row}}/{{column}}": tiles.tile,
        "/tiles/{grid_id}/{zoom}/{row}/{column}": tiles.together,
        f"{here}/coverage": fresh.validated(coverage, raster_api.state),
        f"{here}/map": _features_or(
            fresh.validated(maps.collection, maps.state),
            fresh.validated(maps.raster, raster_api.state),
        ),
        "/map": fresh.validated(maps.dataset, maps.state),
        "/wms": wms.wms,
        "/wmts": wmts.wmts,
        "/wmts/1.0.0/WMTSCapabilities.xml": wmts.capabilities,
        "/wmts/{layer}/default/{grid_id}/{zoom}/{row}/{column}.{form}": wmts.tile,
        f"{here}/position": values,
        f"{here}/trajectory": values,
        "/files/{collection_id}.tif": ranges.raster,
        "/files/{collection_id}/{sheet}.tif": ranges.sheet,
        "/files/{collection_id}/{sheet}/accuracy.{form}": ranges.report,
        "/files/{name}.pmtiles": ranges.tiles,
        "/files/{name}.gpkg": ranges.download,
        "/files/{name}.mbtiles": ranges.download,
        "/health/live": health.live,
        "/health/ready": health.ready,
    }
    yield from _catalogue()
    many = writing.dispatched(fresh.validated(items.items, fresh.layer), one=False)
    yield Route(f"{here}/items", _answering(many), methods=writing.METHODS)
    single = writing.dispatched(item.item, one=True)
    yield Route(f"{here}/items/{{item_id}}", _answering(single), methods=writing.METHODS)
    for path, handler in {**table, **_tree(), **_revalidated(pygeoapi)}.items():
        yield Route(path, _answering(handler), methods=["GET"])
    yield from _asked()
    quality_page = fresh.validated(quality.page, datasets.state)
    yield Route(f"{here}/quality", _answering(quality_page), methods=["GET"])
    yield Route(f"{here}/new", _answering(forms.new), methods=["GET"])
    yield Route("/stac/search", _answering(stac.search_by_body), methods=["POST"])
    yield Route(f"{here}/search", _answering(items.search), methods=["POST"])
    yield Mount("/static", StaticFiles(directory=paths.server_files() / "static"))


def _catalogue() -> Iterator[BaseRoute]:
    """The catalogue of data sets, OGC API Records."""
    catalogue: dict[str, Handler] = {
        "": records.described, "/items": records.items, "/items/{item_id}": records.item,
        "/sortables": records.schema, "/queryables": records.schema,
    }  # fmt: skip
    for part, handler in catalogue.items():
        state = datasets.state if part.startswith("/items") else fresh.published
        told = _answering(fresh.validated(handler, state))
        yield Route(f"/collections/{CATALOGUE}{part}", told, methods=["GET"])


def _asked() -> Iterator[BaseRoute]:
    """Processes and their jobs."""
    run = "/processes/{process_id}/execution"
    yield Route(run, _answering(processes.execute_by_address), methods=["GET"])
    yield Route(run, _answering(processes.execute), methods=["POST"])
    yield Route("/jobs", _answering(jobs.listed), methods=["GET"])
    yield Route("/jobs/{job_id}/results", _answering(jobs.results), methods=["GET"])
    yield Route("/jobs/{job_id}", _answering(jobs.status), methods=["GET"])
    yield Route("/jobs/{job_id}", _answering(jobs.dismiss), methods=["DELETE"])


def _revalidated(pygeoapi: ModuleType) -> dict[str, Handler]:
    """What clients ask for again and again, with tags: documents, features, tiles."""
    here = _COLLECTION
    listed = models.following(records.listed(stock.endpoint(pygeoapi, "collections")))
    collections = fresh.validated(stock.kept(listed, models.state), models.state)
    documented: dict[str, Handler] = {
        "/": documents.landing,
        "/conformance": documents.conforms,
        LICENCE: documents.licence,
        "/kiosk": documents.kiosk,
        "/openapi": documents.openapi,
        "/TileMatrixSets": tile_grids.tile_grids,
        "/tileMatrixSets": tile_grids.tile_grids,
        "/TileMatrixSets/{grid_id}": tile_grids.tile_grid,
        "/tileMatrixSets/{grid_id}": tile_grids.tile_grid,
        "/processes": processes.listed,
        "/processes/{process_id}/answer-schema": processes.answer_schema,
        "/styles": styles.listed,
        "/styles/{style_id}": styles.sheet,
        "/styles/{style_id}/metadata": styles.metadata,
        "/styles/{style_id}/legend": styles.legend_image,
        f"{here}/styles": styles.listed,
        "/fonts/{fontstack}/{range}.pbf": glyphs.glyphs,
        "/tiles": tiles.listed_together,
        "/tiles/{grid_id}": tiles.tileset_together,
        f"{here}/tiles/{{grid_id}}": tiles.tileset,
        f"{here}/tiles": _tilesets(pygeoapi),
        f"{here}/schema": _schema(pygeoapi, "collection_schema", documents.schema),
        f"{here}/queryables": _schema(pygeoapi, "collection_queryables", documents.queryables),
    }
    told = {path: fresh.validated(do, fresh.published) for path, do in documented.items()}
    described = fresh.validated(processes.described, processes.state)
    return {
        **told,
        "/processes/{process_id}": described,
        "/collections": collections,
        here: collections,
    }


def _tree() -> dict[str, Handler]:
    """The STAC tree and its search, by address."""
    here = "/stac/collections"
    table: dict[str, Handler] = {
        "/stac": stac.catalog,
        "/stac/search": stac.search,
        here: stac.collections,
        f"{here}/{{collection_id}}": stac.collection,
        f"{here}/{{collection_id}}/items": stac.items,
        f"{here}/{{collection_id}}/items/{{item_id}}": stac.item,
    }
    return {path: fresh.validated(do, stac.state) for path, do in table.items()}


def _features_or(ours: Handler, theirs: Handler) -> Handler:
    """What is told of features is ours; of rasters it is pygeoapi's."""

    async def choose(request: Request) -> Response:
        served = answers.site_of(request).served
        chosen = ours if request.path_params["collection_id"] in served else theirs
        return await chosen(request)

    return choose


def _tilesets(pygeoapi: ModuleType) -> Handler:
    theirs = stock.endpoint(pygeoapi, "get_collection_tiles", "scheme", needs="tile")
    return _features_or(tiles.listed, described.tile_sets(theirs))


def _schema(pygeoapi: ModuleType, name: str, ours: Handler) -> Handler:
    return _features_or(ours, stock.endpoint(pygeoapi, name, needs="coverage"))


def create(
    found: Site,
    config: Path,
    openapi: Path,
    *,
    entrance: Entrance | None = None,
    on_ready: Callable[[], None] | None = None,
) -> Starlette:
    """The application for a published site, behind ``entrance`` if it is not for everybody;
    ``on_ready`` is called when a worker is warm."""
    site.install(found)
    found.pages.warm()

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="makan")
        asyncio.get_running_loop().set_default_executor(executor)
        # A worker that takes the place of another may begin while the database is away.
        there = all(await asyncio.gather(found.features.open(), found.tiles.open()))
        if found.editor:
            found.editor.open()
        found.tile_store.cache.open()
        if there:
            await warm.warm(app, found)
        if on_ready:
            on_ready()
        yield
        found.printer.close()
        await found.features.close()
        await found.tiles.close()
        if found.editor:
            found.editor.close()
        found.tile_store.cache.close()
        if entrance:
            entrance.close()

    app = Starlette(
        routes=list(_routes(stock.load(found.config, config, openapi))),
        middleware=[
            Middleware(Guard, closed=entrance is not None),
            *([Middleware(Door, entrance=entrance)] if entrance else []),
            Middleware(Squeeze),
        ],
        exception_handlers={HTTPException: _refused},
        lifespan=life,
    )
    app.router.redirect_slashes = False
    app.state.site = found
    return app
