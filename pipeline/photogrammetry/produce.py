"""A block of frames to one orthophoto: rectify each, balance their colours, join them.

Rectifying one frame is a pure function of files and numbers, so frames are spread over processes;
balance and seams look at all of them at once, from reduced pixels.
"""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import shapely

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.errors import ArrivalError
from pipeline.photogrammetry import balance, coregister, ground, mosaic, ortho, piece
from pipeline.photogrammetry.balance import Balance
from pipeline.photogrammetry.block import Block, Frame
from pipeline.photogrammetry.coregister import Agreement
from pipeline.photogrammetry.ortho import Sheet
from pipeline.photogrammetry.piece import Piece
from pipeline.terrain.grid import Grid

_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an orthophoto is to be made: work in ``folder``, on the elevation ``model``, in cells of
    ``gsd_m`` (None: the frames' own, rounded up), ``jobs`` frames at once."""

    folder: Path
    contract: RasterContract
    city: City
    model: Path
    gsd_m: float | None
    jobs: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Product:
    """The joined orthophoto and how well its frames fit; ``seams`` in the order of ``pieces``."""

    path: Path
    grid: Grid
    gsd_m: float
    pieces: list[Piece]
    balance: Balance
    agreement: list[Agreement]
    seams: list[shapely.MultiPolygon]


def produce(block: Block, wanted: Wanted) -> Product:
    """Makes the orthophoto of all frames whose image is there and whose ground is known.

    Raises ArrivalError when there is none.
    """
    usable = [frame for frame in block.frames if frame.image and frame.footprint is not None]
    if not usable:
        raise ArrivalError("no frame has both an image and a footprint", where=block.name)
    gsd = wanted.gsd_m or _rounded(max(frame.gsd_m for frame in usable))
    pieces = _rectified(usable, wanted, gsd)
    origin = piece.whole(pieces)
    balanced = balance.solve(pieces, origin)
    agreement = coregister.compare(pieces, origin)
    name = _NOT_IN_NAMES.sub("_", block.name) or "block"
    target = wanted.folder / f"{name}.tif"
    tags = {"AREA_OR_POINT": "Area", **{k: v for k, v in wanted.tags.items() if v}}
    plan = mosaic.Plan(origin, wanted.city.crs, wanted.contract, tags)
    mosaic.compose(pieces, balanced, plan, target)
    seams = mosaic.seams(pieces, origin)
    return Product(target, origin, gsd, pieces, balanced, agreement, seams)


def _rounded(gsd: float) -> float:
    """Up to two digits, so that cells are of a length that people can say."""
    digits = 1 - int(f"{gsd:e}".rpartition("e")[2])
    return max(round(gsd, digits), 10.0**-3)


def _rectified(frames: list[Frame], wanted: Wanted, gsd: float) -> list[Piece]:
    tasks = [(frame, wanted, gsd, n) for n, frame in enumerate(frames)]
    if wanted.jobs == 1 or len(tasks) == 1:
        return [rectify(task) for task in tasks]
    # Started anew, not forked: GDAL's and OpenCV's threads do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(wanted.jobs, len(tasks)), mp_context=spawn) as pool:
        return list(pool.map(rectify, tasks))


def rectify(task: tuple[Frame, Wanted, float, int]) -> Piece:
    """One frame to a file of its own; the same bytes whoever does it."""
    frame, wanted, gsd, number = task
    grid = ortho.cells(frame, gsd, wanted.city)
    folder = wanted.folder / f"frame-{number}"
    folder.mkdir(exist_ok=True)
    target = folder / "ortho.tif"
    with ground.opened(wanted.model) as below:
        ortho.rectify(frame, below, Sheet(grid, wanted.city, wanted.contract), target)
    return Piece(frame, target, grid)
