"""A block of frames: whose image, scale, footprint on the ground, strips, overlaps, gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from pyproj import CRS

from pipeline import geo
from pipeline.contracts.city import City
from pipeline.findings import Finding
from pipeline.geo import Geometries
from pipeline.photogrammetry import images, rotation
from pipeline.photogrammetry.camera import Camera
from pipeline.photogrammetry.collinear import Pose
from pipeline.photogrammetry.ground import Ground
from pipeline.photogrammetry.images import Image
from pipeline.photogrammetry.orientation import Orientation
from pipeline.terrain.grid import Floats

TILTED_DEG = 3.0
_BORDER = 8  # points a side of a footprint
_DRIFT_DEG = 5.0
_TURN_DEG = 30.0
_ASIDE = 0.25  # of the footprint's width
_FAR = 3.0  # of the usual distance between exposures
FORWARD_PCT, SIDE_PCT = 55.0, 20.0  # below, a block planned with 60 and 30 has a fault
SUBJECT = "frames"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``footprint`` is in the city's CRS, None where the ground is unknown; heights in
    m, ``gsd_m`` at the mean ground height, angles in degrees, overlaps in percent."""

    name: str
    pose: Pose
    image: Image | None
    angles_deg: tuple[float, float, float]
    tilt_deg: float
    ground_m: float
    scale: float
    gsd_m: float
    footprint: shapely.Polygon | None
    point: shapely.Point
    strip: int = 0
    place: int = 0
    forward_pct: float | None = None
    side_pct: float | None = None

    @property
    def flying_height_m(self) -> float:
        """Of the projection centre above the ground."""
        return float(self.pose.centre[2]) - self.ground_m


@dataclass(frozen=True, slots=True)
class Block:
    """Frames in the order of their file, findings, and what of the wanted area no frame shows."""

    name: str
    frames: tuple[Frame, ...]
    findings: tuple[Finding, ...]
    gaps: Geometries = field(default_factory=lambda: np.empty(0, dtype=object))

    @property
    def strips(self) -> dict[int, list[Frame]]:
        """Frames by the number of their strip."""
        found: dict[int, list[Frame]] = {}
        for frame in self.frames:
            found.setdefault(frame.strip, []).append(frame)
        return found


@dataclass(frozen=True, slots=True)
class Sources:
    """What a block is made of."""

    name: str
    orientation: Orientation
    cameras: dict[str, Camera]
    folder: str
    city: City
    crs: CRS


def study(sources: Sources, ground: Ground, area: shapely.Geometry | None = None) -> Block:
    """Everything that can be said of the block; ``area`` (city's CRS) is what it should show."""
    found, findings = images.find(sources.folder, sources.orientation.names, SUBJECT)
    frames = [_frame(sources, ground, index, found) for index in range(len(sources.orientation))]
    frames = _with_strips(frames)
    frames = _with_overlaps(frames)
    findings += [*_judged(frames, sources.city), *_strip_findings(frames)]
    gaps = _gaps(frames, area)
    for gap in gaps:
        hectares = gap.area * sources.city.metres_per_unit**2 / 10_000
        place = shapely.point_on_surface(gap)
        findings.append(Finding("frame.gap", SUBJECT, value=f"{hectares:.2f}", geometry=place))
    return Block(sources.name, tuple(frames), tuple(findings), gaps)


def _frame(sources: Sources, ground: Ground, index: int, found: dict[str, Image]) -> Frame:
    given = sources.orientation
    camera = _camera(sources.cameras, given.cameras[index])
    pose = Pose(given.centres[index], given.rotations[index], camera, sources.crs)
    pitch = camera.pitch[0] / 1000
    rough = max(float(pose.centre[2]) - ground.mean, 1.0) / (camera.focal / 1000) * pitch
    edge = pose.onto(pose.border(_BORDER), ground, rough / 10)
    known = np.isfinite(edge[:, 2])
    height = float(edge[known, 2].mean()) if known.any() else ground.mean
    scale = (float(pose.centre[2]) - height) / (camera.focal / 1000)
    move = geo.transformer(sources.crs, sources.city.crs)
    footprint = None
    if known.all():
        footprint = shapely.Polygon(np.column_stack(move.transform(edge[:, 0], edge[:, 1])))
    angles = np.degrees(rotation.angles(given.rotations[index : index + 1]))[0]
    return Frame(
        name=given.names[index],
        pose=pose,
        image=found.get(given.names[index]),
        angles_deg=(float(angles[0]), float(angles[1]), float(angles[2])),
        tilt_deg=float(rotation.tilt(given.rotations[index : index + 1])[0]),
        ground_m=height,
        scale=scale,
        gsd_m=scale * pitch,
        footprint=footprint,
        point=shapely.Point(*move.transform(*pose.centre[:2])),
    )


def _camera(cameras: dict[str, Camera], name: str | None) -> Camera:
    """The frame's camera: the one it names, else the first."""
    return cameras[name] if name in cameras else next(iter(cameras.values()))


def _with_strips(frames: Sequence[Frame]) -> list[Frame]:
    """Numbers strips in the order of flight: a turn, a step aside or a long gap begins one."""
    centres = np.array([frame.pose.centre[:2] for frame in frames])
    steps = np.diff(centres, axis=0)
    length = np.hypot(*steps.T) if len(steps) else np.empty(0)
    usual = float(np.median(length)) if len(length) else 0.0
    made, strip, place, heading = [], 1, 1, None
    for index, frame in enumerate(frames):
        if index:
            new = _begins(heading, steps[index - 1], usual, frame, frames[index - 1])
            strip, place = (strip + 1, 1) if new else (strip, place + 1)
            heading = None if new else steps[index - 1]
        made.append(replace(frame, strip=strip, place=place))
    return made


def _begins(
    heading: Floats | None, step: Floats, usual: float, frame: Frame, before: Frame
) -> bool:
    """Whether ``frame``, a ``step`` from the one ``before``, is the first of a strip."""
    turned = abs((frame.angles_deg[2] - before.angles_deg[2] + 180) % 360 - 180)
    far = float(np.hypot(*step)) > _FAR * usual
    if turned > _TURN_DEG or far:
        return True
    if heading is None:
        return False
    along = heading / max(float(np.hypot(*heading)), 1e-9)
    aside = abs(float(along[0] * step[1] - along[1] * step[0]))
    backwards = float(along @ step) < 0
    return backwards or aside > _ASIDE * frame.gsd_m * frame.pose.camera.columns


def _with_overlaps(frames: Sequence[Frame]) -> list[Frame]:
    """Shares of each footprint that the next of its strip, and frames of other strips, show too."""
    shapes = np.array([frame.footprint or shapely.Polygon() for frame in frames], dtype=object)
    area = shapely.area(shapes)
    strip = np.array([frame.strip for frame in frames])
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    apart = one != other
    one, other = one[apart], other[apart]
    share = 100 * shapely.area(shapely.intersection(shapes[one], shapes[other])) / area[one]
    forward, side = np.full(len(frames), np.nan), np.full(len(frames), np.nan)
    same = strip[one] == strip[other]
    beside = same & (np.abs(one - other) == 1)
    np.fmax.at(forward, one[beside], share[beside])
    np.fmax.at(side, one[~same], share[~same])
    several = len(set(strip.tolist())) > 1
    alone = {number for number in strip.tolist() if (strip == number).sum() == 1}
    return [
        replace(
            frame,
            forward_pct=_percent(forward[index], frame.strip not in alone and area[index] > 0),
            side_pct=_percent(side[index], several and area[index] > 0),
        )
        for index, frame in enumerate(frames)
    ]


def _percent(value: float, has_neighbour: bool) -> float | None:
    if not has_neighbour:
        return None
    return round(float(value), 2) if np.isfinite(value) else 0.0


def _judged(frames: Sequence[Frame], city: City) -> Iterator[Finding]:
    names = [frame.name for frame in frames]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Finding("frame.duplicate", SUBJECT, key=name)
    for frame in frames:
        yield from _about(frame, city)


def _about(frame: Frame, city: City) -> Iterator[Finding]:
    west, south, east, north = city.extent.bounds
    at = frame.point
    if not (west <= at.x <= east and south <= at.y <= north):
        value = f"{at.x:.0f} {at.y:.0f}"
        yield Finding("frame.outside", SUBJECT, key=frame.name, value=value)
    elif frame.footprint is None:
        yield Finding("frame.no_ground", SUBJECT, key=frame.name, geometry=at)
    if frame.flying_height_m <= 0:
        value = f"{frame.pose.centre[2]:.0f}"
        yield Finding(
            "frame.below_ground",
            SUBJECT,
            key=frame.name,
            value=value,
            detail=f"{frame.ground_m:.0f}",
        )
    if frame.tilt_deg > TILTED_DEG:
        value = f"{frame.tilt_deg:.1f}"
        yield Finding("frame.tilted", SUBJECT, key=frame.name, value=value, geometry=at)
    camera, image = frame.pose.camera, frame.image
    if image is None:
        return
    if (image.columns, image.rows) != (camera.columns, camera.rows):
        value, detail = f"{image.columns} x {image.rows}", f"{camera.columns} x {camera.rows}"
        yield Finding("frame.size", SUBJECT, key=frame.name, value=value, detail=detail)
    if image.transform is not None and frame.footprint is not None:
        away = images.apart(image, frame.footprint, city)
        yield Finding("frame.pretends", SUBJECT, key=frame.name, value=f"{away:.0f}")


def _strip_findings(frames: Sequence[Frame]) -> Iterator[Finding]:
    for number in sorted({frame.strip for frame in frames}):
        strip = [frame for frame in frames if frame.strip == number]
        kappa = np.radians([frame.angles_deg[2] for frame in strip])
        middle = np.angle(np.exp(1j * kappa).mean())
        drift = np.degrees(np.abs(np.angle(np.exp(1j * (kappa - middle)))))
        if drift.max() > _DRIFT_DEG:
            key = strip[int(drift.argmax())].name
            yield Finding("frame.drift", SUBJECT, key=key, value=f"{drift.max():.1f}")
    for frame in frames:
        for share, least, kind in (
            (frame.forward_pct, FORWARD_PCT, "forward"),
            (frame.side_pct, SIDE_PCT, "side"),
        ):
            if share is not None and share < least:
                yield Finding(
                    "frame.overlap",
                    SUBJECT,
                    key=frame.name,
                    value=f"{share:.0f}",
                    detail=kind,
                    geometry=frame.point,
                )


def _gaps(frames: Sequence[Frame], area: shapely.Geometry | None) -> Geometries:
    """Parts of ``area`` that no frame shows whose image is there, largest first."""
    if area is None:
        return np.empty(0, dtype=object)
    shown = [frame.footprint for frame in frames if frame.footprint is not None and frame.image]
    left = shapely.difference(area, shapely.union_all(np.array(shown, dtype=object)))
    parts = shapely.get_parts(left)
    parts = parts[shapely.area(parts) > 1.0]
    return np.asarray(parts[np.argsort(-shapely.area(parts))])
