"""A block of frames to one orthophoto: rectify each, balance their colours, join them.

Everything that reads pixels is a pure task of ``pipeline.photogrammetry.tasks``, spread over
processes or machines; what looks at the whole block at once works on the tasks' small answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.errors import ArrivalError
from pipeline.photogrammetry import balance, mosaic, ortho, piece, tasks
from pipeline.photogrammetry.balance import Balance
from pipeline.photogrammetry.block import Block, Frame
from pipeline.photogrammetry.coregister import Agreement
from pipeline.photogrammetry.mosaic import Plan
from pipeline.photogrammetry.piece import Piece, Span
from pipeline.photogrammetry.tasks import Comparison, Composition, Rectification, Share
from pipeline.spread import executor, store
from pipeline.spread.executor import Executor, Local, Watching
from pipeline.terrain.grid import Grid

_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an orthophoto is to be made, on the elevation ``model``, in cells of ``gsd_m`` (None: the
    frames' own, rounded up). ``work`` is the folder, by path or address, where tasks leave what
    they make and find what is made already; the joined picture is written to ``folder``."""

    folder: Path
    work: str
    contract: RasterContract
    city: City
    model: str
    gsd_m: float | None
    tags: Mapping[str, str]
    executor: Executor = field(default_factory=lambda: Local(1))
    watching: Watching = lambda _: None


@dataclass(frozen=True, slots=True)
class Product:
    """The joined orthophoto and how well its frames fit; ``seams`` in the order of ``pieces``;
    ``made`` frames of them were rectified now, the others stood there already."""

    path: Path
    grid: Grid
    gsd_m: float
    pieces: list[Piece]
    balance: Balance
    agreement: list[Agreement]
    seams: list[shapely.MultiPolygon]
    made: int


def produce(block: Block, wanted: Wanted) -> Product:
    """Makes the orthophoto of all frames whose image is there and whose ground is known.

    Raises ArrivalError when there is none.
    """
    usable = [frame for frame in block.frames if frame.image and frame.footprint is not None]
    if not usable:
        raise ArrivalError("no frame has both an image and a footprint", where=block.name)
    gsd = wanted.gsd_m or _rounded(max(frame.gsd_m for frame in usable))
    pieces, made = _rectified(usable, wanted, gsd)
    origin = piece.whole(pieces)
    balanced, agreement = _compared(pieces, origin, wanted)
    sheets = _composed(pieces, balanced, origin, wanted)
    name = _NOT_IN_NAMES.sub("_", block.name) or "block"
    target = wanted.folder / f"{name}.tif"
    mosaic.join(sheets, _plan(origin, wanted), target)
    seams = _seams(pieces, origin, wanted)
    store.sweep(wanted.work, [piece.place for piece in pieces] + [sheet for sheet, _ in sheets])
    return Product(target, origin, gsd, pieces, balanced, agreement, seams, made)


def _rounded(gsd: float) -> float:
    """Up to two digits, so that cells are of a length that people can say."""
    digits = 1 - int(f"{gsd:e}".rpartition("e")[2])
    return max(round(gsd, digits), 10.0**-3)


def _gather(wanted: Wanted, stage: str, work: Callable[[Any], Any], given: list[Any]) -> list[Any]:
    return executor.gather(wanted.executor, work, given, wanted.watching(stage))


def _rectified(frames: list[Frame], wanted: Wanted, gsd: float) -> tuple[list[Piece], int]:
    """A piece of every frame, and how many of them were made now."""
    ground = store.fingerprint(wanted.model)
    given = [
        Rectification(
            frame, ortho.cells(frame, gsd, wanted.city), wanted.city, wanted.contract,
            wanted.model, ground, wanted.work,
        )
        for frame in frames
    ]  # fmt: skip
    found = _gather(wanted, "rectified", tasks.rectify, given)
    pieces = [
        Piece(task.frame, place, task.grid) for task, (place, _) in zip(given, found, strict=True)
    ]
    return pieces, sum(now for _, now in found)


def _compared(pieces: list[Piece], origin: Grid, wanted: Wanted) -> tuple[Balance, list[Agreement]]:
    """How to balance all pieces, and how well every two of them fit."""
    coarser = balance.reduction(pieces)
    numbers = piece.pairs(pieces, origin)
    given = [Comparison(pieces[i], pieces[j], span, origin, coarser) for i, j, span in numbers]
    found = _gather(wanted, "compared", tasks.compare, given)
    seen = [
        (i, j, colours)
        for (i, j, _), (colours, _) in zip(numbers, found, strict=True)
        if colours is not None
    ]
    return balance.solve(len(pieces), seen), [fit for _, fit in found if fit is not None]


def _plan(grid: Grid, wanted: Wanted) -> Plan:
    tags = {"AREA_OR_POINT": "Area", **{k: v for k, v in wanted.tags.items() if v}}
    return Plan(grid, wanted.city.crs, wanted.contract, tags)


def _composed(
    pieces: list[Piece], balanced: Balance, origin: Grid, wanted: Wanted
) -> list[tuple[str, Span]]:
    """The sheets of the mosaic, and the cells of ``origin`` that each fills."""
    parts = mosaic.sheets(pieces, origin)
    given = [
        Composition(
            [pieces[n] for n in numbers], balanced.of(numbers), _plan(grid, wanted), wanted.work
        )
        for grid, _, numbers in parts
    ]
    places = _gather(wanted, "joined", tasks.compose, given)
    return [(place, span) for place, (_, span, _) in zip(places, parts, strict=True)]


def _seams(pieces: list[Piece], origin: Grid, wanted: Wanted) -> list[shapely.MultiPolygon]:
    step = mosaic.reduction(origin)
    shares = _gather(wanted, "seams", tasks.share, [Share(p, origin, step) for p in pieces])
    return mosaic.seams(pieces, shares, origin)
