"""Assemble: line work becomes areas, texts their numbers, and every entity is accounted for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import shapely

from pipeline.contracts.cad import Cad
from pipeline.errors import GuardError
from pipeline.fabric.cad import lines as work
from pipeline.fabric.cad.entities import (
    IGNORED,
    USED,
    Drawn,
    Entities,
    Floats,
    Ints,
    Mask,
    Shapes,
    Texts,
    entities,
)
from pipeline.fabric.cad.lines import Lines, Meeting, Reach

COLUMNS = ("Number", "Block", "Sheet", "Handle")


@dataclass(frozen=True)
class Told:
    """A finding about drawn sheets: code, entity or entities, measure, and place in their CRS."""

    code: str
    value: str
    detail: str
    place: shapely.Geometry | None


@dataclass
class Assembly:
    """Areas with what is known of them, what was found, and the account of the entities."""

    columns: dict[str, list[str | None]]
    shapes: Shapes
    told: list[Told] = field(default_factory=list)
    account: Counter[str] = field(default_factory=Counter)

    @property
    def table(self) -> pa.Table:
        """As a reader of files gives it; geometry as WKB."""
        made = {name: pa.array(self.columns[name], pa.string()) for name in COLUMNS}
        made["geometry"] = pa.array(shapely.to_wkb(self.shapes), pa.binary())
        return pa.table(made)


def assemble(sheets: list[Drawn], rules: Cad, metres: float) -> Assembly:
    """Makes numbered areas of all sheets together; ``metres`` in a unit of their coordinates.

    Raises GuardError where an entity is neither used nor ignored nor set aside.
    """
    found = entities(sheets, rules)
    reach = Reach.of(rules.snap_mm, rules.open_mm, rules.scale, metres)
    told = _unmapped(found)
    seam = _seam(found, len(sheets))
    areas, more = _areas(found, "boundary", reach, (seam, metres))
    told += more
    numbers, handles = _numbered(found, areas, "number", told)
    thin = _thin(areas, numbers, reach)
    told += _slivers(areas.shapes[thin], metres)
    blocks, more = _areas(found, "block", reach, (None, metres))
    told += more
    block = _block_of(found, areas, blocks, told)
    told += _counted_aside(found)
    kept = ~thin
    columns = {
        "Number": numbers[kept].tolist(),
        "Block": block[kept].tolist(),
        "Sheet": _sheet_of(found, areas)[kept].tolist(),
        "Handle": handles[kept].tolist(),
    }
    account = found.counted()
    if account.pop(None, 0) or sum(account.values()) != len(found):  # type: ignore[call-overload]
        raise GuardError(f"the account of the entities does not close: {account}")
    aside = sum(account.values()) - account[USED] - account[IGNORED]
    detail = f"{account[USED]} used + {account[IGNORED]} ignored + {aside} set aside"
    told.append(Told("cad.account", str(len(found)), detail, None))
    return Assembly(columns, areas.shapes[kept], told, account)


@dataclass(frozen=True)
class _Areas:
    """Faces of the line work, and the pairs of a face and an entity that bounds it."""

    shapes: Shapes
    face: Ints
    entity: Ints


def _unmapped(found: Entities) -> list[Told]:
    """Layers that the feed says nothing about, each once with its entities."""
    open_ones = found.layer[found.role == None]  # noqa: E711 - by element
    return [
        Told("cad.layer_unmapped", name, str(count), None)
        for name, count in sorted(Counter(open_ones.tolist()).items())
    ]


def _seam(found: Entities, sheets: int) -> shapely.Geometry | None:
    """The frames of several sheets; None where there is one sheet, or no frame."""
    frames = found.shapes[found.role == "frame"]
    frames = frames[np.isin(shapely.get_type_id(frames), (1, 2, 3, 5, 6))]
    if sheets < 2 or not len(frames):
        return None
    areal = np.isin(shapely.get_type_id(frames), (3, 6))
    frames[areal] = shapely.boundary(frames[areal])
    return shapely.union_all(frames)


def _areas(
    found: Entities, role: str, reach: Reach, where: tuple[shapely.Geometry | None, float]
) -> tuple[_Areas, list[Told]]:
    """The faces that the lines of a role bound."""
    seam, metres = where
    lines = work.drawn(found, found.of(role), reach)
    told: list[Told] = []
    sheet = np.unique(found.sheet[lines.entity].astype(str), return_inverse=True)[1]
    if len(np.unique(sheet)) > 1:
        near, far, alone = work.match(lines, sheet, seam, reach)
        told += _meetings("cad.edge_matched", found, near, metres)
        told += _meetings("cad.edge_mismatch", found, far, metres)
        told += _meetings("cad.edge_alone", found, alone, metres)
    told += _meetings("cad.closed", found, work.close(lines, reach), metres)
    told += _meetings("cad.open", found, work.gaps(lines, reach), metres)
    if not len(lines.entity):
        return _Areas(np.zeros(0, dtype=object), *[np.zeros(0, dtype=np.int64)] * 2), told
    noded = shapely.union_all(lines.shapes, grid_size=reach.grid)
    faces, _, dangles, _ = shapely.polygonize_full(shapely.get_parts(noded))
    told += _dangling(lines, found, shapely.get_parts(dangles), reach, metres)
    shapes = np.asarray(shapely.get_parts(faces), dtype=object)
    face, entity = _bounding(lines, shapes, reach)
    found.settle(entity, USED)
    found.settle(lines.entity, "bounds no area")
    return _Areas(shapes, face, entity), told


def _meetings(code: str, found: Entities, made: list[Meeting], metres: float) -> list[Told]:
    told = []
    for one in made:
        names = [found.named(one.entity)]
        if one.other >= 0 and one.other != one.entity:
            names.append(found.named(one.other))
        told.append(
            Told(code, ", ".join(names), f"{one.distance * metres * 1000:.0f} mm", one.place)
        )
    return told


def _dangling(
    lines: Lines, found: Entities, dangles: Shapes, reach: Reach, metres: float
) -> list[Told]:
    """Pieces of lines beyond their last crossing: short ones overshoot, long ones lead nowhere."""
    if not len(dangles):
        return []
    middles = shapely.line_interpolate_point(dangles, 0.5, normalized=True)
    at, line = shapely.STRtree(lines.shapes).query(
        middles, predicate="dwithin", distance=reach.grid * 2
    )
    owner = np.full(len(dangles), -1, dtype=np.int64)
    owner[at] = lines.entity[line]
    told = []
    for piece, entity in zip(dangles, owner.tolist(), strict=True):
        code = "cad.overshoot" if piece.length <= reach.told else "cad.dangle"
        name = found.named(entity) if entity >= 0 else ""
        told.append(Told(code, name, f"{piece.length * metres:.3f} m", piece))
    return told


def _bounding(lines: Lines, faces: Shapes, reach: Reach) -> tuple[Ints, Ints]:
    """Pairs of a face and an entity: the middle of one of its edges lies on the face's boundary."""
    joined = lines.line[1:] == lines.line[:-1]
    middles = ((lines.points[1:] + lines.points[:-1]) / 2)[joined]
    owner = lines.entity[lines.line[1:][joined]]
    boundaries = shapely.boundary(faces)
    face, edge = _within(boundaries, middles, reach.grid * 2)
    pairs = np.unique(np.column_stack([face, owner[edge]]), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _within(shapes: Shapes, points: Floats, distance: float) -> tuple[Ints, Ints]:
    dots = np.asarray(shapely.points(points), dtype=object)
    return tuple(shapely.STRtree(dots).query(shapes, predicate="dwithin", distance=distance))


def _numbered(found: Entities, areas: _Areas, role: str, told: list[Told]) -> tuple[Texts, Texts]:
    """For each area the number that lies in it, and the handle of its text.

    Several different ones name none; texts in no area are set aside.
    """
    places = found.of(role)
    number, handle = (np.full(len(areas.shapes), None, dtype=object) for _ in range(2))
    text, area = shapely.STRtree(areas.shapes).query(found.shapes[places], predicate="intersects")
    # A text on an edge would name both sides: the first does.
    _, first = np.unique(text, return_index=True)
    text, area = places[text[first]], area[first]
    outside = np.setdiff1d(places, text)
    found.settle(outside, "in no area")
    told += [
        Told(f"cad.{role}_outside", found.named(at), str(found.text[at]), found.shapes[at])
        for at in outside.tolist()
    ]
    for at, where in zip(text.tolist(), area.tolist(), strict=True):
        said = found.text[at].strip()
        if number[where] is None:
            number[where], handle[where] = said, found.handle[at]
        elif number[where] != said:
            number[where] = f"{number[where]} | {said}"
    several = np.array([one is not None and " | " in one for one in number], dtype=bool)
    told += [
        Told(
            f"cad.{role}_several",
            number[at],
            _names(found, text[area == at]),
            areas.shapes[at],
        )
        for at in np.flatnonzero(several).tolist()
    ]
    number[several] = None
    found.settle(text[several[area]], "one of several numbers")
    found.settle(text, USED)
    return number, handle


def _thin(areas: _Areas, numbers: Texts, reach: Reach) -> Mask:
    """Areas without a number that are nowhere wider than ends are joined: lines drawn twice."""
    nameless = np.array([one is None for one in numbers], dtype=bool)
    shrunk = shapely.buffer(areas.shapes, -reach.snap / 2, quad_segs=1)
    return nameless & np.asarray(shapely.is_empty(shrunk))


def _slivers(shapes: Shapes, metres: float) -> list[Told]:
    return [Told("cad.sliver", f"{shape.area * metres**2:.4f} m2", "", shape) for shape in shapes]


def _names(found: Entities, places: Ints) -> str:
    """Several entities as people find them."""
    return ", ".join(found.named(int(at)) for at in places)


def _block_of(found: Entities, areas: _Areas, blocks: _Areas, told: list[Told]) -> Texts:
    """For each area the number of the block around it."""
    number, _ = _numbered(found, blocks, "block_number", told)
    made = np.full(len(areas.shapes), None, dtype=object)
    if len(areas.shapes) and len(blocks.shapes):
        inner = shapely.point_on_surface(areas.shapes)
        area, block = shapely.STRtree(blocks.shapes).query(inner, predicate="intersects")
        made[area] = number[block]
    return made


def _sheet_of(found: Entities, areas: _Areas) -> Texts:
    """The sheets that an area is drawn on."""
    made: list[set[str]] = [set() for _ in areas.shapes]
    for face, entity in zip(areas.face.tolist(), areas.entity.tolist(), strict=True):
        made[face].add(str(found.sheet[entity]))
    texts = np.empty(len(made), dtype=object)
    texts[:] = [" ".join(sorted(one)) for one in made]
    return texts


def _counted_aside(found: Entities) -> list[Told]:
    """Why entities are set aside, each reason once with their number."""
    aside: Mask = ~np.isin(found.fate.astype(str), (USED, IGNORED, "layer not mapped"))
    told = []
    for reason, count in sorted(Counter(found.fate[aside].tolist()).items(), key=str):
        places = np.flatnonzero(aside & (found.fate == reason))
        some = _names(found, places[:5])
        told.append(Told("cad.aside", str(count), f"{reason}: {some}", None))
    return told
