"""A drawn orthophoto of the fixture's surroundings: two sheets, roofs, shadows, trees and cars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import from_origin

from pipeline.sample import fixture
from pipeline.sample.arrays import Bools, Floats, Ints, Objects, objects
from pipeline.sample.arrivals import CRS
from pipeline.sample.blocks import Use
from pipeline.sample.town import Town
from pipeline.sample.warp import ORIGIN

PIXEL_M = 0.2
SIDE_M = 400.0

Picture = NDArray[np.float32]

_SOIL, _ASPHALT, _PAVEMENT = (176, 158, 130), (96, 96, 100), (168, 164, 156)
_WATER, _GRASS, _TARGET = (112, 124, 112), (104, 128, 76), (220, 20, 20)
_YARDS = np.array([(196, 190, 178), (182, 170, 150), (168, 160, 148), (150, 150, 122)])
_ROOFS = np.array(
    [
        (206, 202, 194),
        (178, 174, 168),
        (142, 140, 138),
        (120, 118, 118),
        (188, 160, 132),
        (224, 222, 216),
    ]
)
_TREES = np.array([(66, 92, 50), (80, 106, 58), (58, 82, 48), (94, 112, 64)])
_CARS = np.array([(232, 232, 232), (60, 60, 64), (150, 40, 36), (170, 172, 176), (70, 86, 120)])


@dataclass(frozen=True)
class Sheet:
    """One sheet: west and south edge in m (EPSG:32639), 400 m square, north row first."""

    name: str
    west: float
    south: float

    @property
    def box(self) -> shapely.Polygon:
        """The sheet's outline."""
        return shapely.box(self.west, self.south, self.west + SIDE_M, self.south + SIDE_M)

    @property
    def size(self) -> int:
        """Pixels on a side."""
        return round(SIDE_M / PIXEL_M)

    @property
    def transform(self) -> Any:
        """Affine transform of the pixels."""
        return from_origin(self.west, self.south + SIDE_M, PIXEL_M, PIXEL_M)

    def drawn(self, shapes: Iterable[Any], values: Iterable[int] | None = None) -> Ints:
        """Pixels of ``shapes`` hold its value (or its place, from 1), others 0."""
        shapes = list(shapes)
        numbers = range(1, len(shapes) + 1) if values is None else values
        pairs = list(zip(shapes, numbers, strict=True))
        if not pairs:
            return np.zeros((self.size, self.size), dtype=np.int64)
        image = rasterize(pairs, (self.size, self.size), transform=self.transform, dtype="int32")
        return np.asarray(image, dtype=np.int64)


SHEETS = (
    Sheet("ortho_4_1", ORIGIN[0] - 200.0, ORIGIN[1] - 200.0),
    Sheet("tasvir_4_2", ORIGIN[0] + 200.0, ORIGIN[1] - 200.0),
)


class _Scene:
    """A picture being painted, from the ground upwards."""

    def __init__(self, town: Town, sheet: Sheet) -> None:
        self.town, self.sheet = town, sheet
        self.rng = town.city.rng(sheet.name)
        self.picture: Picture = np.empty((sheet.size, sheet.size, 3), dtype=np.float32)
        self.picture[:] = _SOIL
        near = shapely.box(*sheet.box.buffer(40.0).bounds)
        self.plots = np.flatnonzero(shapely.intersects(town.city.plots, near))
        self.houses = np.flatnonzero(shapely.intersects(town.houses.shapes, near))
        self.streets = np.flatnonzero(shapely.intersects(town.streets.shapes, near))

    def fill(self, mask: Bools, colour: Any) -> None:
        """Paints a colour, or one for each pixel of the mask."""
        self.picture[mask] = colour

    def tint(self, mask: Bools, factor: float) -> None:
        """Darkens (below 1) or lightens."""
        self.picture[mask] *= factor

    def ground(self) -> None:
        """Pavements, carriageways, the channel south of Yas and the white lines of main streets."""
        lines, width = self.town.streets.shapes[self.streets], self.town.names.width[self.streets]
        street = shapely.buffer(lines, width / 2, cap_style="square")
        self.fill(self.sheet.drawn(street) > 0, _PAVEMENT)
        lane = np.where(width > 9.0, width / 2 - 1.6, width / 2 - 0.5)
        self.road = self.sheet.drawn(shapely.buffer(lines, lane, cap_style="square")) > 0
        self.fill(self.road, _ASPHALT)
        wide = lines[width > 11.0]
        dashes = shapely.buffer(wide, 0.12)
        along = np.indices(self.road.shape).sum(axis=0) // 15 % 2 == 0
        self.fill((self.sheet.drawn(dashes) > 0) & along & self.road, (214, 212, 200))
        x, y = ORIGIN
        channel = shapely.box(x - 100.0, y - 13.2, x + 80.0, y - 9.0)
        self.fill(self.sheet.drawn([channel]) > 0, _WATER)

    def yards(self) -> None:
        """Plots: paved yards, bare land, gardens and parks; walls between them."""
        city = self.town.city
        ids = self.sheet.drawn(city.plots[self.plots])
        use = city.blocks.use[city.lots.block[self.plots]]
        colour = _YARDS[self.rng.integers(0, len(_YARDS), len(self.plots))]
        colour[self.town.houses.state[self.plots] == 1] = _SOIL
        colour[use == Use.PARK] = _GRASS
        colour[use == Use.SPORTS] = (120, 140, 84)
        inside = ids > 0
        self.fill(inside, colour[ids[inside] - 1])
        walls = shapely.buffer(shapely.boundary(city.plots[self.plots]), 0.12)
        self.fill(self.sheet.drawn(walls) > 0, (206, 198, 184))
        self.park = inside & (np.append(0, use)[ids] == Use.PARK)

    def park_paths(self) -> None:
        """Paths round and across each park."""
        city = self.town.city
        parks = city.plots[self.plots][city.blocks.use[city.lots.block[self.plots]] == Use.PARK]
        for park in parks:
            ring = shapely.buffer(park, -4.0)
            if ring.is_empty:
                continue
            middle = shapely.LineString(
                shapely.get_coordinates(shapely.oriented_envelope(park))[[0, 2]]
            )
            path = shapely.union_all([ring.boundary, shapely.intersection(middle, ring)])
            self.fill(self.sheet.drawn([shapely.buffer(path, 1.2)]) > 0, (198, 186, 160))

    def roofs(self) -> None:
        """Shadows to the north-west, then roofs with parapets and small things on them."""
        houses = self.town.houses
        shapes, floors = houses.shapes[self.houses], houses.floors[self.houses]
        ids = self.sheet.drawn(shapes)
        storeys = np.append(0, floors)[ids]
        for count in range(1, int(floors.max(initial=0)) + 1):
            away = round(count * 3.2 * 0.4 / PIXEL_M)
            for step in range(1, away + 1, 2):
                cast = np.roll(storeys == count, (-step, -step // 2), axis=(0, 1))
                self.dark |= cast & (storeys < count)
        self.tint(self.dark, 0.62)
        colour = _ROOFS[self.rng.integers(0, len(_ROOFS), len(shapes))]
        roof = ids > 0
        self.fill(roof, colour[ids[roof] - 1])
        parapets = shapely.buffer(shapely.boundary(shapes), 0.15)
        self.tint((self.sheet.drawn(parapets) > 0) & roof, 1.12)
        self._roof_things(shapes, roof)

    def _roof_things(self, shapes: Objects, roof: Bools) -> None:
        middle = shapely.get_coordinates(shapely.point_on_surface(shapes))
        spot = middle + self.rng.uniform(-3.0, 3.0, middle.shape)
        size = self.rng.uniform(0.5, 1.3, len(spot))
        half = size[:, None] / 2
        boxes = objects(shapely.box(*(spot - half).T, *(spot + half).T))
        shade = self.sheet.drawn(shapely.affinity.translate(b, -0.4, 0.4) for b in boxes) > 0
        self.tint(shade & roof, 0.7)
        self.fill((self.sheet.drawn(boxes) > 0) & roof, (218, 218, 214))

    def trees(self) -> None:
        """Trees in parks, in yards and along wide streets, each with its shadow."""
        crowns = objects(shapely.buffer(shapely.points(self._tree_places()), 1.0))
        scale = self.rng.uniform(0.7, 2.1, len(crowns))
        crowns = np.array(
            [shapely.affinity.scale(c, s, s) for c, s in zip(crowns, scale, strict=True)]
        )
        shadow = self.sheet.drawn(shapely.affinity.translate(c, -1.2, 1.6) for c in crowns) > 0
        self.tint(shadow & ~self.dark, 0.72)
        ids = self.sheet.drawn(crowns)
        colour = _TREES[self.rng.integers(0, len(_TREES), max(len(crowns), 1))]
        leaf = ids > 0
        self.fill(leaf, colour[ids[leaf] - 1] + self.rng.normal(0, 9, (int(leaf.sum()), 1)))

    def _tree_places(self) -> Floats:
        box = self.sheet.box.bounds
        scattered = self.rng.uniform((box[0], box[1]), (box[2], box[3]), (9000, 2))
        column = ((scattered[:, 0] - box[0]) / PIXEL_M).astype(np.int64)
        row = ((box[3] - scattered[:, 1]) / PIXEL_M).astype(np.int64)
        yard = self.town.houses.shapes[self.houses]
        built = self.sheet.drawn(yard) > 0
        in_park = self.park[row, column]
        in_yard = ~built[row, column] & ~self.road[row, column] & (np.arange(len(row)) % 9 == 0)
        wide = self.streets[self.town.names.width[self.streets] >= 14.0]
        edges = shapely.offset_curve(
            self.town.streets.shapes[wide], self.town.names.width[wide] / 2 - 1.0
        )
        rows = [shapely.get_coordinates(shapely.segmentize(edge, 7.0)) for edge in edges]
        return np.vstack([scattered[in_park | in_yard], *rows])

    def cars(self) -> None:
        """Cars parked along the streets."""
        lines = self.town.streets.shapes[self.streets]
        width = self.town.names.width[self.streets]
        count = np.maximum((shapely.length(lines) / 28.0).astype(np.int64), 0)
        line = np.repeat(np.arange(len(lines)), count)
        along = self.rng.uniform(0.1, 0.9, len(line))
        here = shapely.line_interpolate_point(lines[line], along, normalized=True)
        ahead = shapely.line_interpolate_point(lines[line], along + 0.02, normalized=True)
        start, end = shapely.get_coordinates(here), shapely.get_coordinates(ahead)
        forward = (end - start) / np.maximum(np.hypot(*(end - start).T), 1e-9)[:, None]
        aside = np.column_stack([-forward[:, 1], forward[:, 0]])
        side = self.rng.choice([-1.0, 1.0], len(line))
        middle = start + aside * (side * (width[line] / 2 - 2.2).clip(0.8))[:, None]
        sides = np.stack([middle - forward * 1.2, middle + forward * 1.2], axis=1)
        cars = objects(shapely.buffer(shapely.linestrings(sides), 0.9, cap_style="square"))
        ids = self.sheet.drawn(cars)
        on_road = (ids > 0) & self.road
        colour = _CARS[self.rng.integers(0, len(_CARS), max(len(cars), 1))]
        self.fill(on_road, colour[ids[on_road] - 1])

    def paint(self) -> NDArray[np.uint8]:
        """The finished picture, (rows, columns, 3)."""
        self.dark = np.zeros((self.sheet.size, self.sheet.size), dtype=np.bool_)
        self.ground()
        self.cars()
        self.yards()
        self.park_paths()
        self.roofs()
        self.trees()
        self.picture += _texture(self.rng, self.sheet.size)[..., None]
        x0, y0, x1, y1 = fixture.TARGET_BOX
        target = shapely.box(ORIGIN[0] + x0, ORIGIN[1] + y0, ORIGIN[0] + x1, ORIGIN[1] + y1)
        self.fill(self.sheet.drawn([target]) > 0, _TARGET)
        return np.clip(self.picture, 1, 254).astype(np.uint8)


def _texture(rng: np.random.Generator, size: int) -> Picture:
    """Grain and patches: noise of several sizes added up."""
    total = rng.integers(-5, 6, (size, size)).astype(np.float32)
    for cell, strength in ((8, 3.0), (50, 4.0), (250, 5.0)):
        coarse = rng.normal(0, strength, (size // cell + 2, size // cell + 2))
        at = np.arange(size) / cell
        low, share = at.astype(np.int64), at % 1
        rows = coarse[low] * (1 - share)[:, None] + coarse[low + 1] * share[:, None]
        total += (rows[:, low] * (1 - share) + rows[:, low + 1] * share).astype(np.float32)
    return total


def write(town: Town, sheet: Sheet, path: Path, *, embedded: bool) -> None:
    """Paints a sheet into ``path``: with its CRS inside, or bare with a .tfw world file beside."""
    picture = _Scene(town, sheet).paint()
    georeference: dict[str, Any] = {"transform": sheet.transform}
    georeference |= {"crs": CRS} if embedded else {"profile": "BASELINE", "tfw": "YES"}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=sheet.size,
        height=sheet.size,
        count=3,
        dtype="uint8",
        photometric="RGB",
        compress="deflate",
        predictor=2,
        tiled=True,
        **georeference,
    ) as image:
        image.write(picture.transpose(2, 0, 1))
