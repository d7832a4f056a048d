"""The bare city: cells, blocks and plots with their geometry, before anybody has numbered them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.contracts.city import Extent
from pipeline.errors import SettingsError
from pipeline.sample.arrays import Bools, Floats, Ints, Objects
from pipeline.sample.blocks import Blocks, Lanes, layout, to_board
from pipeline.sample.cells import Cells, cells, old_town
from pipeline.sample.lots import Lots, lots
from pipeline.sample.rows import Rows, boundaries, rows, trimmed
from pipeline.sample.warp import ORIGIN, Ground, ground

SMALLEST = 50
_MARGIN_M = 900.0
_FEWEST_CELLS = 40


@dataclass(frozen=True)
class City:
    """What stands on the ground.

    ``cells`` are those within the city limit (built up or not), ``blocks`` those that are built;
    ``plots`` (lots,) and ``block_shapes`` (blocks,) are polygons, ``points`` (points, 2) their
    vertices, all in EPSG:32639, whole mm. The first block is the fixture's.
    """

    seed: int
    ground: Ground
    cells: Cells
    lanes: Lanes
    blocks: Blocks
    rows: Rows
    lots: Lots
    points: Floats
    plots: Objects
    block_shapes: Objects

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose: what one table draws never changes another."""
        return generator(self.seed, purpose)

    def board(self, cell: Ints, p: Floats, q: Floats) -> tuple[Floats, Floats]:
        """Cell axes (m) to the board (m)."""
        return to_board(self.cells, cell, p, q)

    def place(self, cell: Ints, p: Floats, q: Floats) -> Floats:
        """Cell axes (m) to the ground: (n, 2) in EPSG:32639."""
        return self.ground.place(*self.board(cell, p, q))

    @property
    def lot_cell(self) -> Ints:
        """The cell of each plot (lots,)."""
        return self.blocks.cell[self.lots.block]

    @property
    def home_lots(self) -> Bools:
        """Which plots belong to the fixture: those of block 1-12-45 and its park (lots,)."""
        return self.lots.block <= 1

    @property
    def p7(self) -> int:
        """The place of parcel P7 among the plots."""
        return int(np.flatnonzero((self.lots.block == 0) & (self.lots.number == 7))[0])


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator that depends on the seed and the purpose alone."""
    return np.random.default_rng([seed, *purpose.encode()])


def build(parcels: int, seed: int, extent: Extent) -> City:
    """A city of exactly ``parcels`` plots within ``extent``."""
    if parcels < SMALLEST:
        raise SettingsError(f"--parcels {parcels} is too few", todo=f"Give {SMALLEST} or more.")
    rng = generator(seed, "board")
    xmin, ymin, xmax, ymax = extent.bounds
    x, y = ORIGIN
    room = (xmin + _MARGIN_M - x, ymin + _MARGIN_M - y, xmax - _MARGIN_M - x, ymax - _MARGIN_M - y)
    all_cells = cells(rng, parcels, room)
    lanes, all_blocks = layout(rng, all_cells)
    all_rows = rows(all_blocks)
    if all_rows.count.sum() < parcels:
        most = int(all_rows.count.sum()) // 1000 * 1000
        raise SettingsError(
            f"--parcels {parcels}: the city's extent has no room for so many",
            todo=f"Give at most {most}.",
        )
    kept = trimmed(all_rows, parcels)
    blocks = all_blocks.take(np.arange(kept.block[-1] + 1))
    plots = lots(blocks, kept, boundaries(rng, kept))
    inside = max(int(blocks.cell.max()) + 1, _FEWEST_CELLS)
    return _placed(seed, all_cells.first(inside), lanes.first(inside), blocks, kept, plots)


def _placed(seed: int, cells: Cells, lanes: Lanes, blocks: Blocks, kept: Rows, plots: Lots) -> City:
    land = ground(generator(seed, "ground"), cells.reach, old_town(cells.reach))
    cell = blocks.cell[plots.point_block]
    points = land.place(*to_board(cells, cell, plots.p, plots.q))
    return City(
        seed,
        land,
        cells,
        lanes,
        blocks,
        kept,
        plots,
        points,
        plots.rings.polygons(points),
        plots.block_rings.polygons(points),
    )
