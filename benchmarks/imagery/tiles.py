"""Tiles of one city-wide COG: ours against TiTiler in the same run, and the time at every zoom.

``python -m benchmarks.imagery.tiles [--side 8000 --titiler]``. TiTiler is installed into a virtual
environment of its own below the temporary folder (``--titiler``); 2 workers each, 8 clients.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from pyproj import Transformer

from benchmarks.imagery.cog import picture
from pipeline.contracts import registry
from pipeline.contracts.raster import ServedRaster
from pipeline.derive import grids
from pipeline.derive.grids import Tile
from pipeline.rasters import cog
from pipeline.rasters import crs as crses
from pipeline.rasters.shelf import Shelf

warnings.simplefilter("ignore")
LAYER = "orthophoto"
ZOOMS = range(10, 22)
OURS = """
import os, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route
from pipeline.contracts import registry
from pipeline.derive import raster_collections
from pipeline.serve.raster_tiles import RasterTiles

schemas = registry.load("qom")
contract = schemas.rasters["orthophoto"]
found = raster_collections.providers(contract, schemas.city, Path(os.environ["HOME_OF_MAKAN"]))
definition = next(one for one in found if one["type"] == "tile")

async def tile(request):
    z, y, x = (request.path_params[name] for name in "zyx")
    plugin = RasterTiles(definition)
    made = await run_in_threadpool(
        plugin.get_tiles, tileset="WebMercatorQuad", z=z, y=y, x=x, format_="jpeg")
    return Response(made or b"", 200 if made else 204, media_type="image/jpeg")

app = Starlette(routes=[Route("/{z}/{y}/{x}", tile)])
"""
THEIRS = """
from fastapi import FastAPI
from titiler.core.factory import TilerFactory
app = FastAPI()
app.include_router(TilerFactory().router)
"""


def home(folder: Path, side: int) -> tuple[Path, Path]:
    """A home whose orthophoto is one COG, and that file."""
    schemas = registry.load("qom")
    contract = schemas.rasters[LAYER]
    shelf = Shelf(folder / "home", LAYER)
    shelf.folder.mkdir(parents=True)
    source = picture(folder / "plain.tif", side)
    made = cog.write(source, shelf.whole(1), contract.encoding)
    lonlat = crses.to_lonlat(schemas.city.crs, made.bounds) or (0, 0, 1, 1)
    shelf.serve(
        ServedRaster(
            layer=LAYER, path=shelf.relative(made.path), version=made.sha256, made_of="", run=1,
            sheets=1, srid=schemas.city.srid, width=made.width, height=made.height,
            bounds=made.bounds, lonlat=lonlat, updated="",
        )
    )  # fmt: skip
    return folder / "home", made.path


@contextmanager
def serving(python: str, folder: Path, text: str, env: dict[str, str]) -> Iterator[str]:
    """An application under two uvicorn workers; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir()
    (folder / "served.py").write_text(text, encoding="utf-8")
    words = [python, "-m", "uvicorn", "served:app", "--port", str(port), "--workers", "2",
             "--log-level", "error"]  # fmt: skip
    path = f"{folder}:{Path.cwd()}"
    running = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": path, **env}, cwd=folder)
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx2.get(base + "/")
                break
            except httpx2.HTTPError:
                time.sleep(0.1)
        yield base
    finally:
        running.terminate()
        running.wait()


def places(bounds: tuple[float, float, float, float], zoom: int, count: int) -> list[Tile]:
    """Tiles of a level that the picture fills, at random; the same every time."""
    chance = random.Random(zoom)
    grid = grids.WEB_MERCATOR
    move = Transformer.from_crs(32639, grid.srid, always_xy=True)
    west, south, east, north = bounds
    found = []
    for _ in range(count):
        x, y = move.transform(chance.uniform(west, east), chance.uniform(south, north))
        size = grid.size(zoom)
        at = int((grid.origin[1] - y) / size), int((x - grid.origin[0]) / size)
        found.append(Tile(zoom, *at))
    return found


def run(base: str, address: Callable[[Tile], str], tiles: list[Tile], clients: int) -> list[float]:
    """Seconds of each answer, and in the first place those of all."""
    left, times = list(tiles), [0.0]
    lock = threading.Lock()

    def work() -> None:
        with httpx2.Client(base_url=base, timeout=60) as client:
            while True:
                with lock:
                    if not left:
                        return
                    tile = left.pop()
                began = time.perf_counter()
                client.get(address(tile)).raise_for_status()
                times.append(time.perf_counter() - began)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times[0] = time.perf_counter() - began
    return times


def titiler(folder: Path) -> str:
    """The Python of an environment with TiTiler."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    words = [python, "-m", "pip", "install", "-q", "titiler.core", "uvicorn[standard]"]
    subprocess.run(words, check=True)
    return python


def measure(
    name: str, base: str, address: Callable[[Tile], str], bounds: tuple[float, ...]
) -> float:
    """Prints the time at each zoom for one client, and tiles a second for eight; the latter."""
    west, south, east, north = bounds
    box = (west, south, east, north)
    run(base, address, places(box, 17, 30), 4)
    told = []
    for zoom in ZOOMS:
        times = run(base, address, places(box, zoom, 15), 1)[1:]
        told.append(f"z{zoom} {statistics.median(times) * 1000:.0f}")
    print(f"{name}: median ms, one client: {', '.join(told)}")
    mixed = [tile for zoom in range(16, 21) for tile in places(box, zoom, 60)]
    random.Random(1).shuffle(mixed)
    times = run(base, address, mixed, 8)
    rate = len(mixed) / times[0]
    late = sorted(times[1:])[int(0.95 * len(mixed))] * 1000
    print(f"{name}: {rate:.1f} tiles/s, 8 clients, z16-20, p95 {late:.0f} ms")
    return rate


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8_000)
    parser.add_argument("--titiler", action="store_true")
    given = parser.parse_args()
    print(f"load average at the start: {os.getloadavg()[0]:.1f}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        at, file = home(folder, given.side)
        served = Shelf(at, LAYER).served()
        bounds = served.bounds if served else (0.0, 0.0, 1.0, 1.0)
        env = {"HOME_OF_MAKAN": str(at)}
        with serving(sys.executable, folder / "ours", OURS, env) as base:
            ours = measure("makan", base, lambda t: f"/{t.zoom}/{t.row}/{t.column}", bounds)
        if given.titiler:
            python = titiler(folder / "venv")
            with serving(python, folder / "theirs", THEIRS, {}) as base:
                theirs = measure(
                    "titiler",
                    base,
                    lambda t: f"/tiles/WebMercatorQuad/{t.zoom}/{t.column}/{t.row}.jpeg?url={file}",
                    bounds,
                )
            print(f"makan: {ours / theirs:.2f} x TiTiler's tiles/s")


if __name__ == "__main__":
    main()
