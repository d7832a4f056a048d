"""Our COG against ``gdal_translate -of COG`` with the same settings: seconds, CPU-seconds, bytes.

``python -m benchmarks.imagery.cog [--side 6000 --runs 3]``; gdal_translate is the system's.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from affine import Affine

from pipeline.contracts import registry
from pipeline.rasters import cog

warnings.simplefilter("ignore")


def picture(path: Path, side: int) -> Path:
    """Texture like that of a city from above, its corner masked; tiles of 512, ZSTD."""
    rng = np.random.default_rng(3)
    values = np.zeros((3, side, side), np.float32)
    for scale, strength in ((64, 45), (16, 30), (4, 22), (1, 12)):
        small = rng.normal(0, strength, (3, side // scale + 1, side // scale + 1))
        values += small.repeat(scale, 1).repeat(scale, 2)[:, :side, :side].astype(np.float32)
    pixels = np.clip(values + 120, 0, 255).astype(np.uint8)
    mask = np.where(np.add.outer(np.arange(side), np.arange(side)) < side // 2, 0, 255)
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8",
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "ZSTD",
        "crs": "EPSG:32639", "transform": Affine(0.1, 0, 488_600, 0, -0.1, 3_833_000),
        "photometric": "RGB",
    }  # fmt: skip
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as made:
        made.write(pixels)
        made.write_mask(mask.astype(np.uint8))
    return path


def timed(make: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor with what was started."""
    before = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    began = time.perf_counter()
    make()
    took = time.perf_counter() - began
    after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    used = sum(
        b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime
        for a, b in zip(before, after, strict=True)
    )
    return took, used


def main() -> None:
    """Measures and prints; ours also validates and hashes what it has written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    if shutil.which("gdal_translate") is None:
        raise SystemExit("gdal_translate is not installed (apt install gdal-bin)")
    encoding = next(c.encoding for c in registry.load("qom").rasters.values() if len(c.bands) == 3)
    print(f"load average at the start: {os.getloadavg()[0]:.1f}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = picture(folder / "plain.tif", given.side)
        settings = cog.options(encoding).items()
        words = [word for key, value in settings for word in ("-co", f"{key}={value}")]
        theirs = ["gdal_translate", "-q", "-of", "COG", *words, str(source), str(folder / "t.tif")]
        ways: dict[str, Callable[[], object]] = {
            "makan": lambda: cog.write(source, folder / "o.tif", encoding),
            "gdal_translate": lambda: subprocess.run(theirs, check=True),
        }
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(given.runs):
            for way, make in ways.items():
                found[way].append(timed(make))  # type: ignore[arg-type]
        sizes = {"makan": (folder / "o.tif").stat().st_size,
                 "gdal_translate": (folder / "t.tif").stat().st_size}  # fmt: skip
    for way, runs in found.items():
        wall, used = (statistics.median(run[n] for run in runs) for n in (0, 1))
        print(f"{way:<15} {wall:5.2f} s, {used:5.2f} CPU-s, {sizes[way] / 1e6:.2f} MB")
    print(f"size: {sizes['makan'] / sizes['gdal_translate'] - 1:+.2%} of gdal_translate's")


if __name__ == "__main__":
    main()
