"""What reads pixels of a block, as pure functions of one argument, for any machine to work off.

Files are named by the digest of all that went into them, so that nothing is made twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.photogrammetry import balance, coregister, ground, mosaic, ortho
from pipeline.photogrammetry.balance import Balance
from pipeline.photogrammetry.block import Frame
from pipeline.photogrammetry.coregister import Agreement
from pipeline.photogrammetry.mosaic import Plan
from pipeline.photogrammetry.ortho import Sheet
from pipeline.photogrammetry.piece import Piece, Span, Valid, common
from pipeline.rasters import crs as crses
from pipeline.spread import once, store
from pipeline.terrain.grid import Floats, Grid


@dataclass(frozen=True, slots=True)
class Rectification:
    """A frame to be put on the cells of ``grid``; ``ground`` is the fingerprint of ``model``."""

    frame: Frame
    grid: Grid
    city: City
    contract: RasterContract
    model: str
    ground: str
    work: str

    def __str__(self) -> str:
        return self.frame.name

    def place(self) -> str:
        """Where the piece of the very same frame, ground and cells stands."""
        pose, image = self.frame.pose, self.frame.image
        inside = store.fingerprint(image.place) if image else None
        key = once.digest(
            inside, self.ground, self.grid, pose.centre.tolist(), pose.rotation.tolist(),
            pose.camera, crses.name(pose.crs), self.city.srid, self.contract.digest,
        )  # fmt: skip
        return once.place(self.work, "frame", key, ".tif")


def rectify(task: Rectification) -> tuple[str, bool]:
    """The place of the frame's orthophoto, and whether it was made now; the same bytes whoever
    does it. Raises ArrivalError for an image that cannot be used."""
    place = task.place()

    def make(path: Path) -> None:
        with ground.opened(store.local(task.model)) as below:
            ortho.rectify(task.frame, below, Sheet(task.grid, task.city, task.contract), path)

    return place, once.made(place, make)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two pieces that overlap in ``span``, their colours to be compared ``coarser``."""

    one: Piece
    other: Piece
    span: Span
    origin: Grid
    coarser: int


def compare(task: Comparison) -> tuple[Floats | None, Agreement | None]:
    """Quantiles of the colours of both, and how far they lie apart."""
    cv2.setNumThreads(1)
    spans = task.one.span(task.origin), task.other.span(task.origin)
    coarse = common(*spans, task.coarser)
    colours = None
    if coarse is not None:
        colours = balance.quantiles(task.one, task.other, coarse, task.origin, task.coarser)
    return colours, coregister.compare(task.one, task.other, task.span, task.origin)


@dataclass(frozen=True, slots=True)
class Composition:
    """One sheet of the mosaic, and the pieces that show something of it."""

    pieces: list[Piece]
    balance: Balance
    plan: Plan
    work: str

    def __str__(self) -> str:
        return f"sheet of the mosaic at {self.plan.grid.west:.0f} {self.plan.grid.north:.0f}"

    def place(self) -> str:
        """Where the sheet of the very same pieces and colours stands."""
        plan = self.plan
        # A piece's place holds the digest of what it was made of.
        names = [piece.place.rsplit("/", 1)[-1] for piece in self.pieces]
        key = once.digest(
            names, [piece.nadir for piece in self.pieces], self.balance.gain.tolist(),
            self.balance.offset.tolist(), plan.grid, sorted(plan.tags.items()),
            plan.contract.digest,
        )  # fmt: skip
        return once.place(self.work, "sheet", key, ".tif")


def compose(task: Composition) -> str:
    """The place of the sheet."""
    place = task.place()
    once.made(place, lambda path: mosaic.compose(task.pieces, task.balance, task.plan, path))
    return place


@dataclass(frozen=True, slots=True)
class Share:
    """A piece whose valid cells are asked for, ``step`` cells along a side as one."""

    piece: Piece
    origin: Grid
    step: int


def share(task: Share) -> Valid | None:
    """Which coarse cells it shows; None if it is smaller than one."""
    whole = (0, task.origin.rows, 0, task.origin.columns)
    span = common(task.piece.span(task.origin), whole, task.step)
    return None if span is None else task.piece.read(span, task.origin, task.step)[1]
