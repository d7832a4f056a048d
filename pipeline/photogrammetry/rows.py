"""What is published of a block: one class a layer, called as the layer is, one field a column."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from pipeline import geo
from pipeline.contracts.city import City
from pipeline.contracts.registry import Schemas
from pipeline.db.derived import Batch
from pipeline.photogrammetry.block import Block, Frame
from pipeline.photogrammetry.piece import Piece
from pipeline.photogrammetry.triangulation import Kind, Result
from pipeline.rasters import crs as crses

_KNOWN: tuple[Kind, Kind] = ("control", "check")
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class AerialFrame:
    """One frame, its footprint as geometry."""

    block_name: str
    frame_name: str
    strip_no: int
    frame_no: int
    camera_name: str
    flown_on: date | None
    photo_scale: float
    gsd_m: float
    tilt_deg: float
    flying_height_m: float
    ground_height_m: float
    overlap_fwd_pct: float | None
    overlap_side_pct: float | None
    image_given: bool
    exposure_x: float
    exposure_y: float
    exposure_h_m: float
    omega_deg: float
    phi_deg: float
    kappa_deg: float
    exposure_crs: str
    image_file: str | None
    geom: bytes | None


@dataclass(frozen=True, slots=True)
class FlightStrip:
    """One strip, the line through its centres as geometry."""

    block_name: str
    strip_no: int
    frame_count: int
    heading_deg: float | None
    geom: bytes | None


@dataclass(frozen=True, slots=True)
class FlightBlock:
    """The block, the union of its footprints as geometry."""

    block_name: str
    camera_name: str
    focal_length_mm: float
    pixel_pitch_um: float
    image_columns: int
    image_rows: int
    flown_on: date | None
    strip_count: int
    frame_count: int
    image_count: int
    photo_scale: float
    gsd_m: float
    covered_ha: float
    gap_ha: float
    geom: bytes | None


@dataclass(frozen=True, slots=True)
class CoverageGap:
    """A part of the wanted area that no frame shows."""

    block_name: str
    gap_no: int
    area_ha: float
    geom: bytes


@dataclass(frozen=True, slots=True)
class OrthoSeam:
    """What one frame gives to the orthophoto."""

    block_name: str
    frame_name: str
    flown_on: date | None
    gain_pct: float
    geom: bytes


@dataclass(frozen=True, slots=True)
class Triangulation:
    """What came of a block's triangulation."""

    block_name: str
    software: str
    sigma0_um: float | None
    frame_count: int | None
    tie_count: int
    gross_count: int | None
    control_count: int
    control_rmse_x_m: float | None
    control_rmse_y_m: float | None
    control_rmse_z_m: float | None
    check_count: int
    check_rmse_x_m: float | None
    check_rmse_y_m: float | None
    check_rmse_z_m: float | None
    asprs_2023: bool


@dataclass(frozen=True, slots=True)
class TriangulationPoint:
    """One point of it."""

    block_name: str
    point_name: str
    triangulation_use: str
    ray_count: int | None
    height_m: float
    residual_x_m: float | None
    residual_y_m: float | None
    residual_z_m: float | None
    geom: bytes


Row = (
    AerialFrame | FlightStrip | FlightBlock | CoverageGap | OrthoSeam | Triangulation
    | TriangulationPoint
)  # fmt: skip


def layer_of(kind: type[Row]) -> str:
    """The layer whose rows these are."""
    return _WORD.sub("_", kind.__name__).lower()


def batch(schemas: Schemas, kind: type[Row], rows: list[Any], block: str) -> Batch:
    """``rows`` as what the layer's table is to hold of ``block``."""
    layer = schemas.layer(layer_of(kind))
    return Batch(layer, [asdict(row) for row in rows], {layer.key[0]: block})


def frames(block: Block, flown: date | None) -> list[AerialFrame]:
    """All frames of the block."""
    return [_frame(block.name, frame, flown) for frame in block.frames]


def _frame(name: str, frame: Frame, flown: date | None) -> AerialFrame:
    x, y, height = (round(float(value), 3) for value in frame.pose.centre)
    omega, phi, kappa = (round(angle, 5) for angle in frame.angles_deg)
    return AerialFrame(
        name, frame.name, frame.strip, frame.place, frame.pose.camera.name, flown,
        round(frame.scale), round(frame.gsd_m, 3), round(frame.tilt_deg, 3),
        round(frame.flying_height_m, 1), round(frame.ground_m, 1),
        frame.forward_pct, frame.side_pct, frame.image is not None,
        x, y, height, omega, phi, kappa, crses.name(frame.pose.crs)[:200],
        frame.image.name if frame.image else None,
        None if frame.footprint is None else bytes(shapely.to_wkb(frame.footprint)),
    )  # fmt: skip


def strips(block: Block) -> list[FlightStrip]:
    """All strips of the block."""
    found = []
    for number, members in block.strips.items():
        points = shapely.get_coordinates(np.array([frame.point for frame in members]))
        heading, line = None, None
        if len(points) > 1:
            east, north = points[-1] - points[0]
            heading = round(float(np.degrees(np.arctan2(east, north))) % 360, 1)
            line = bytes(shapely.to_wkb(shapely.LineString(points)))
        found.append(FlightStrip(block.name, number, len(members), heading, line))
    return found


def blocks(block: Block, city: City, flown: date | None) -> list[FlightBlock]:
    """The block itself, in a list of one."""
    shown = np.array([f.footprint for f in block.frames if f.footprint is not None], dtype=object)
    union = shapely.union_all(shown)
    parts = [part for part in shapely.get_parts(union) if part.geom_type == "Polygon"]
    square = city.metres_per_unit**2 / 10_000
    camera = block.frames[0].pose.camera
    return [
        FlightBlock(
            block.name, camera.name, camera.focal, round(camera.pitch[0] * 1000, 4),
            camera.columns, camera.rows, flown, len(block.strips), len(block.frames),
            sum(frame.image is not None for frame in block.frames),
            round(float(np.mean([frame.scale for frame in block.frames]))),
            round(float(np.mean([frame.gsd_m for frame in block.frames])), 3),
            round(float(union.area) * square, 2),
            round(float(shapely.area(block.gaps).sum()) * square, 2),
            bytes(shapely.to_wkb(shapely.MultiPolygon(parts))) if parts else None,
        )
    ]  # fmt: skip


def gaps(block: Block, city: City) -> list[CoverageGap]:
    """All gaps of the block, largest first."""
    square = city.metres_per_unit**2 / 10_000
    return [
        CoverageGap(block.name, n, round(gap.area * square, 3), bytes(shapely.to_wkb(gap)))
        for n, gap in enumerate(block.gaps, start=1)
    ]


def seams(
    name: str,
    pieces: list[Piece],
    shapes: list[shapely.MultiPolygon],
    gains: Any,
    flown: date | None,
) -> list[OrthoSeam]:
    """What each piece gives; pieces that give nothing are left out."""
    return [
        OrthoSeam(
            name, piece.frame.name, flown, round(100 * float(np.mean(gain)), 1),
            bytes(shapely.to_wkb(shape)),
        )
        for piece, shape, gain in zip(pieces, shapes, gains, strict=True)
        if not shape.is_empty
    ]  # fmt: skip


def triangulation(name: str, found: Result) -> Triangulation:
    """A result as a row."""
    control, check = (tuple(map(_kept, found.rmse(kind))) for kind in _KNOWN)
    return Triangulation(
        name, found.software, _kept(found.sigma0_um), found.frames, found.kinds.count("tie"),
        found.gross, len(found.of("control")), control[0], control[1], control[2],
        len(found.of("check")), check[0], check[1], check[2], found.is_enough,
    )  # fmt: skip


def triangulation_points(
    name: str, found: Result, crs: CRS, city: City
) -> list[TriangulationPoint]:
    """Its points, from ``crs`` to the city's."""
    x, y = geo.transformer(crs, city.crs).transform(found.places[:, 0], found.places[:, 1])
    shapes = shapely.to_wkb(shapely.points(x, y))
    made = []
    for n, (point, kind, rays) in enumerate(
        zip(found.points, found.kinds, found.rays, strict=True)
    ):
        vx, vy, vz = (_kept(float(value)) for value in found.residuals[n])
        height, seen = round(float(found.places[n, 2]), 3), rays if rays >= 0 else None
        row = TriangulationPoint(name, point, kind, seen, height, vx, vy, vz, bytes(shapes[n]))
        made.append(row)
    return made


def _kept(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, 4)
