"""Orthorectification: accuracy on frames with exact truth, time and memory on a large one.

``python -m benchmarks.imagery.ortho [--columns 4608 --rows 5760]``
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.windows import Window

from benchmarks.imagery import flight
from benchmarks.imagery.flight import Shot
from pipeline.contracts import registry
from pipeline.photogrammetry import camera, ground, orientation, ortho
from pipeline.photogrammetry.block import Sources, study
from pipeline.rasters import cog

warnings.simplefilter("ignore")


def rectified(shot: Shot, image: Path, gsd: float, folder: Path) -> Path:
    """The orthophoto of one shot, all but the COG."""
    schemas = registry.load("qom")
    contract = next(c for c in schemas.rasters.values() if len(c.bands) == 3)
    eo = folder / "eo.txt"
    eo.write_text(" ".join(map(str, (shot.name, *shot.centre, *shot.angles))), encoding="utf-8")
    cameras = camera.read(flight.write_camera(folder / "camera.yaml", shot))
    found = orientation.read(eo, "deg", CRS.from_epsg(32639))
    sources = Sources(
        "bench", found, cameras, str(image.parent), schemas.city, CRS.from_epsg(32639)
    )
    with ground.opened(folder / "ground.tif") as below:
        frame = study(sources, below).frames[0]
        sheet = ortho.Sheet(ortho.cells(frame, gsd, schemas.city), schemas.city, contract)
        ortho.rectify(frame, below, sheet, folder / "ortho.tif")
    return folder / "ortho.tif"


def accuracy(folder: Path) -> None:
    """Blobs against their true places, without and with a distorting lens."""
    for lens in ((0.0, 0.0), (-0.05, 0.02)):
        centre = (flight.EAST + 20, flight.NORTH - 10, 1930.0)
        shot = Shot("truth", centre, (0.8, -1.2, 37.0), (1800, 1400), lens)
        image = flight.render(shot, folder / "frames" / "truth.tif")
        missed = flight.missed(rectified(shot, image, 0.1, folder))
        rmse = np.sqrt((missed**2).sum(axis=1).mean())
        most = np.abs(missed).max()
        print(f"lens {lens}: {len(missed)} targets, RMSE {rmse:.4f} px, most {most:.3f}")
        image.unlink()


def _cpu() -> float:
    times = os.times()
    return times.user + times.system


def speed(folder: Path, size: tuple[int, int]) -> None:
    """A large frame, from TIFF to COG, in a process of its own so that memory is its own."""
    image = _noise(folder / "frames" / "large.tif", size)
    queue: Any = multiprocessing.Queue()
    child = multiprocessing.Process(target=_large, args=(image, folder, size, queue))
    child.start()
    child.join()
    if child.exitcode == 0:
        print(queue.get())


def _large(image: Path, folder: Path, size: tuple[int, int], queue: Any) -> None:
    before, quiet = _cpu(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shot = Shot("large", (flight.EAST, flight.NORTH, 1930.0), (0.8, -1.2, 91.0), size)
    made = rectified(shot, image, 0.1, folder)
    contract = next(c for c in registry.load("qom").rasters.values() if len(c.bands) == 3)
    took = cog.write(made, folder / "cog.tif", contract.encoding)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cells, pixels = took.width * took.height / 1e6, size[0] * size[1] / 1e6
    told = f"{pixels:.1f} Mpx frame -> {cells:.1f} Mpx COG: {_cpu() - before:.1f} CPU-s"
    queue.put(f"{told}, peak memory {peak / 1024:.0f} MB (at the start {quiet / 1024:.0f})")


def _noise(path: Path, size: tuple[int, int]) -> Path:
    rng = np.random.default_rng(1)
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": 3,
        "dtype": "uint8",
        "BIGTIFF": "IF_SAFER",
    }
    with rasterio.open(path, "w", width=size[0], height=size[1], **profile) as written:
        for top in range(0, size[1], 512):
            rows = min(512, size[1] - top)
            coarse = rng.integers(60, 200, (3, rows // 8 + 1, size[0] // 8 + 1), dtype=np.uint8)
            pixels = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :rows, : size[0]]
            written.write(pixels, window=Window(0, top, size[0], rows))
    return path


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=4608)
    parser.add_argument("--rows", type=int, default=5760)
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "frames").mkdir()
        flight.write_model(folder / "ground.tif", 1.0, 1500.0)
        accuracy(folder)
        speed(folder, (given.columns, given.rows))


if __name__ == "__main__":
    main()
