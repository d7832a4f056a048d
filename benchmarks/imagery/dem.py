"""2000 x 2000 cells from 2 m contours of rough ground, against the truth and GRASS v.surf.rst.

``python -m benchmarks.imagery.dem [--grass]``: GRASS (apt grass-core) takes some minutes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import contourpy
import numpy as np
import shapely

from pipeline.terrain.grid import Grid
from pipeline.terrain.levels import solve
from pipeline.terrain.survey import Segments, Survey

SIDE, CELL, INTERVAL = 2000, 2.0, 2.0
_HILLS = (
    (0.25, 0.7, 90, 0.09),
    (0.65, 0.75, 140, 0.12),
    (0.8, 0.3, 60, 0.08),
    (0.45, 0.5, 40, 0.06),
)
_SCRIPT = """g.region n={end} s=0 e={end} w=0 res={cell}
v.in.ascii -zt in=pts.txt out=pts sep=space x=1 y=2 z=3 --q
v.surf.rst -t in=pts elev=rst tension=40 smooth=0.1 nprocs=1 --q
r.out.bin -f in=rst out=rst.bin bytes=4 --q
"""


def ground() -> tuple[Any, Any]:
    """Axis (m) and heights, south row first: an alluvial plain, hills, roughness, a channel."""
    rng = np.random.default_rng(7)
    axis = (np.arange(SIDE) + 0.5) * CELL
    x, y = np.meshgrid(axis, axis)
    length = SIDE * CELL
    hill = np.zeros_like(x)
    for cx, cy, height, width in _HILLS:
        hill += height * np.exp(-((x / length - cx) ** 2 + (y / length - cy) ** 2) / (2 * width**2))
    k = np.hypot(np.fft.rfftfreq(SIDE)[None, :], np.fft.fftfreq(SIDE)[:, None])
    k[0, 0] = 1
    strength = k**-1.75 * (1 - np.exp(-((k * SIDE / 6) ** 2)))
    strength[0, 0] = 0
    phase = rng.normal(size=k.shape) + 1j * rng.normal(size=k.shape)
    rough = np.fft.irfft2(strength * phase, s=x.shape)
    z = 900 + 0.006 * x + 0.003 * y + hill + rough / rough.std() * (0.9 + hill / 25)
    channel = np.abs(y - (length * 0.2 + 120 * np.sin(x / 500)))
    return axis, z - 3 * np.exp(-((channel / 25) ** 2))


def survey(axis: Any, z: Any) -> Survey:
    """Contours every 2 m, generalised to 0.6 m as on a map, and 2,050 spots."""
    drawn = contourpy.contour_generator(axis, axis, z, name="serial")
    levels = np.arange(np.ceil(z.min() / INTERVAL) * INTERVAL, z.max(), INTERVAL)
    found = [(h, line) for h in levels for line in drawn.lines(h) if len(line) > 3]
    lines = shapely.simplify(np.array([shapely.LineString(line) for _, line in found]), 0.6)
    at = np.random.default_rng(1).integers(0, SIDE, (2050, 2))
    spots = np.column_stack([axis[at[:, 1]], axis[at[:, 0]], z[at[:, 0], at[:, 1]]])
    return Survey(lines, np.array([h for h, _ in found]), np.empty(0, dtype=object), spots)


def scores(made: Any, truth: Any) -> str:
    """RMSE, slope RMSE and the share of flat cells, south row first."""

    def slope(z: Any) -> Any:
        return np.degrees(np.arctan(np.hypot(*np.gradient(z, CELL))))

    steep = slope(made)
    missed = np.sqrt(np.mean((steep - slope(truth)) ** 2))
    rmse = np.sqrt(np.mean((made - truth) ** 2))
    return (
        f"RMSE {rmse:.3f} m, slope RMSE {missed:.2f} deg, flat {100 * np.mean(steep < 0.02):.2f} %"
    )


def grass(found: Survey, truth: Any, folder: Path) -> None:
    """The same by v.surf.rst, the best of six in ../shared/imagery.md."""
    points = np.vstack([Segments.of(found).samples(6.0)[0], found.spots])
    np.savetxt(folder / "pts.txt", points, fmt="%.3f")
    (folder / "run.sh").write_text(_SCRIPT.format(end=SIDE * CELL, cell=CELL), encoding="utf-8")
    subprocess.run(["grass", "-c", "EPSG:32639", "loc", "-e"], cwd=folder, check=True)
    began = time.monotonic()
    words = ["grass", "loc/PERMANENT", "--exec", "bash", "run.sh"]
    subprocess.run(words, cwd=folder, check=True)
    took = time.monotonic() - began
    made = np.fromfile(folder / "rst.bin", np.float32).reshape(truth.shape)[::-1]
    print(f"GRASS v.surf.rst: {scores(made, truth)}; {took:.0f} s of wall time")


def main() -> None:
    """Measures and prints."""
    axis, truth = ground()
    found = survey(axis, truth)
    count = shapely.get_num_coordinates(found.contours).sum()
    print(f"{len(found.contours):,} contours, {count:,} vertices, {len(found.spots):,} spots")
    with TemporaryDirectory() as name:
        folder = Path(name)
        began = time.process_time()
        solved = solve(found, Grid(0.0, SIDE * CELL, CELL, SIDE, SIDE), folder)
        took = time.process_time() - began
        print(f"makan: {scores(np.asarray(solved.heights)[::-1], truth)}; {took:.1f} CPU-s")
        if "--grass" in sys.argv:
            grass(found, truth, folder)


if __name__ == "__main__":
    main()
