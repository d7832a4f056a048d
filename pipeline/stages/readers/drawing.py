"""Drawing: entities of a CAD drawing as rows: what they are, what they say, and their shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import shapely
from ezdxf.enums import InsertUnits
from ezdxf.lldxf.encoding import decode_dxf_unicode, decode_mif_to_unicode
from ezdxf.path import from_hatch
from ezdxf.units import conversion_factor

from pipeline.errors import ArrivalError
from pipeline.stages.curves import SAGITTA_M, bulged

Points = npt.NDArray[np.float64]

_BY_LAYER, _BY_BLOCK = 256, 0
_MAX_DEPTH, _MAX_PARTS = 16, 1_000_000
_ESCAPED = re.compile(r"\\[UM]\+[0-9A-Fa-f]")
_SURROGATES = re.compile(r"[\udc80-\udcff]")
_SPLINE_FRAME = 16
_TEXTS = ("TEXT", "ATTRIB", "ATTDEF")


@dataclass(frozen=True)
class _Column:
    attribute: str
    kind: pa.DataType


# What a drawing's rows are called, and where each stands in a row.
COLUMNS = {
    "Layer": _Column("layer", pa.string()),
    "Entity": _Column("kind", pa.string()),
    "Text": _Column("text", pa.string()),
    "Handle": _Column("handle", pa.string()),
    "Block": _Column("block", pa.string()),
    "Attributes": _Column("attributes", pa.string()),
    "Colour": _Column("colour", pa.int32()),
    "Linetype": _Column("linetype", pa.string()),
    "Elevation": _Column("elevation", pa.float64()),
    "Height": _Column("height", pa.float64()),
    "Rotation": _Column("rotation", pa.float64()),
    "Closed": _Column("closed", pa.bool_()),
}


@dataclass(frozen=True)
class Row:
    """One entity. ``elevation`` is the height of all its points, None where they differ."""

    layer: str
    kind: str
    text: str | None
    handle: str | None
    block: str | None
    attributes: str | None
    colour: int
    linetype: str
    elevation: float | None
    height: float | None
    rotation: float | None
    closed: bool | None
    wkb: bytes | None


@dataclass(frozen=True)
class _From:
    """What a part of a block takes from the INSERT that shows it."""

    layer: str
    colour: int
    handle: str | None
    block: str | None
    depth: int = 0


@dataclass(frozen=True)
class _Shape:
    """Points (n, 3), or polygons by their rings."""

    points: Points
    kind: str = "line"
    closed: bool | None = None
    made: shapely.Geometry | None = None


class Pen:
    """Draws the entities of one drawing."""

    def __init__(self, drawing: Any, label: str) -> None:
        """Curves are stroked to 1 cm in the drawing's units; unitless ones are taken for metres."""
        self.drawing = drawing
        self.label = label
        self.heard: set[str] = set()
        unit = int(drawing.header.get("$INSUNITS", 0))
        known = unit in set(InsertUnits) and unit
        metres = conversion_factor(InsertUnits(unit), InsertUnits.Meters) if known else 1.0
        self.sagitta = SAGITTA_M / (metres or 1.0)
        self.colours = {
            self._plain(one.dxf.name): abs(int(one.dxf.color)) for one in drawing.layers
        }

    def rows(self, entity: Any) -> Iterator[Row]:
        """The rows of an entity: itself, and what the block of an INSERT shows."""
        yield from self._rows(entity, None)

    def _rows(self, entity: Any, given: _From | None) -> Iterator[Row]:
        row = self._row(entity, given)
        yield row
        kind = entity.dxftype()
        if kind not in ("INSERT", "DIMENSION"):
            return
        name = "/".join(filter(None, [given.block if given else None, row.block]))
        depth = given.depth + 1 if given else 1
        if depth > _MAX_DEPTH:
            raise ArrivalError(f"nests blocks deeper than {_MAX_DEPTH}", where=self.label)
        inner = _From(row.layer, row.colour, row.handle, name or None, depth)
        for part in self._parts(entity):
            yield from self._rows(part, inner)

    def _parts(self, entity: Any) -> Iterator[Any]:
        """What an INSERT shows, each of its copies; nothing where its block is not here."""
        if entity.dxftype() != "INSERT":
            yield from entity.virtual_entities()
            return
        block = entity.block()
        if block is None or block.block.is_xref:
            what = "another drawing" if block else "a block that is not here"
            self.heard.add(f"{what} is inserted: {self._plain(entity.dxf.name)}")
            return
        if entity.mcount * len(block) > _MAX_PARTS:
            raise ArrivalError(f"inserts a block {entity.mcount} times at once", where=self.label)
        for one in entity.multi_insert() if entity.mcount > 1 else (entity,):
            yield from one.virtual_entities()

    def _row(self, entity: Any, given: _From | None) -> Row:
        dxf, kind = entity.dxf, entity.dxftype()
        shape = self._shape(entity, kind)
        layer = self._plain(dxf.get("layer", "0"))
        if layer == "0" and given:
            layer = given.layer
        attributes = self._attributes(entity) if kind == "INSERT" else {}
        has_text = kind in (*_TEXTS, "MTEXT")
        row = Row(
            layer=layer,
            kind=kind,
            text=self._text(entity, kind) or " ".join(filter(None, attributes.values())) or None,
            handle=given.handle if given else dxf.get("handle"),
            block=self._plain(dxf.name) if kind == "INSERT" else given.block if given else None,
            attributes=orjson.dumps(attributes).decode() if attributes else None,
            colour=self._colour(dxf, layer, given),
            linetype=self._plain(dxf.get("linetype", "BYLAYER")),
            elevation=None,
            height=_number(dxf, "char_height" if kind == "MTEXT" else "height")
            if has_text
            else None,
            rotation=_number(dxf, "rotation") if has_text or kind == "INSERT" else None,
            closed=shape.closed if shape else None,
            wkb=None,
        )
        return row if shape is None else replace(row, **_drawn(shape))

    def _colour(self, dxf: Any, layer: str, given: _From | None) -> int:
        colour = int(dxf.get("color", _BY_LAYER))
        if colour == _BY_BLOCK and given:
            return given.colour
        return self.colours.get(layer, 7) if colour == _BY_LAYER else colour

    def _attributes(self, insert: Any) -> dict[str, str]:
        return {self._plain(one.dxf.tag): self._text(one, "ATTRIB") or "" for one in insert.attribs}

    def _text(self, entity: Any, kind: str) -> str | None:
        if kind == "MTEXT":
            entity.text = self._plain(entity.text)
            said = entity.plain_text(fast=True)
        elif kind in _TEXTS:
            if kind != "TEXT" and entity.has_embedded_mtext_entity:
                said = entity.plain_mtext(fast=True)
            else:
                entity.dxf.text = self._plain(entity.dxf.get("text", ""))
                said = entity.plain_text()
        elif kind == "DIMENSION":
            said = self._plain(entity.dxf.get("text", "")).replace("<>", "").strip()
        else:
            return None
        return str(said).strip() or None

    def _plain(self, written: str) -> str:
        """Text with ``\\U+06CC`` and ``\\M+2A4A4`` decoded; bytes that are no text stop."""
        if _SURROGATES.search(written):
            raise ArrivalError(
                "its text is not in the encoding that is declared or was detected",
                where=self.label,
                todo="Declare the right encoding in the feed's [source], such as CP1256.",
            )
        if not _ESCAPED.search(written):
            return written
        return str(decode_mif_to_unicode(decode_dxf_unicode(written)))

    def _shape(self, entity: Any, kind: str) -> _Shape | None:
        draw = _SHAPES.get(kind)
        if draw is not None:
            return draw(entity, self.sagitta)
        if kind in ("MLINE", "MULTILEADER", "MLEADER", "ACAD_TABLE"):
            parts = [self._shape(one, one.dxftype()) for one in entity.virtual_entities()]
            lines = [one.points for one in parts if one and len(one.points) > 1]
            made = shapely.MultiLineString([line[:, :2] for line in lines]) if lines else None
            return _Shape(np.vstack(lines), made=made) if lines else None
        return None


def _number(dxf: Any, name: str) -> float | None:
    value = dxf.get(name)
    return None if value is None else float(value)


def _drawn(shape: _Shape) -> dict[str, Any]:
    """The shape as WKB: heights are in it where they differ, in the elevation where they do not."""
    points = shape.points
    heights = points[:, 2]
    level = len(heights) > 0 and bool(np.all(heights == heights[0]))
    elevation = float(heights[0]) if level else None
    if shape.made is not None:
        return {"elevation": elevation, "wkb": shapely.to_wkb(shape.made)}
    used = points[:, :2] if level else points
    if shape.kind == "point":
        return {"elevation": elevation, "wkb": shapely.to_wkb(shapely.Point(used[0]))}
    if len(used) < 2:
        return {"elevation": elevation, "wkb": None}
    return {"elevation": elevation, "wkb": shapely.to_wkb(shapely.LineString(used))}


def _xyz(points: Iterable[Any]) -> Points:
    """Points as an array (n, 3)."""
    return np.array([(p.x, p.y, p.z) for p in points], dtype=np.float64).reshape(-1, 3)


def _point(name: str, *, own_axes: bool = False) -> Callable[[Any, float], _Shape]:
    def draw(entity: Any, _: float) -> _Shape:
        at = entity.dxf.get(name)
        if own_axes:
            at = entity.ocs().to_wcs(at)
        return _Shape(_xyz([at]), "point")

    return draw


def _text_place(entity: Any, _: float) -> _Shape:
    """Where a text is placed: its alignment point, where it has one."""
    dxf = entity.dxf
    aligned = dxf.get("halign", 0) or dxf.get("valign", 0)
    at = dxf.align_point if aligned and dxf.hasattr("align_point") else dxf.get("insert", (0, 0, 0))
    return _Shape(_xyz([entity.ocs().to_wcs(at)]), "point")


def _line(entity: Any, _: float) -> _Shape:
    return _Shape(_xyz([entity.dxf.start, entity.dxf.end]), closed=False)


def _flattened(*, closed: bool | None) -> Callable[[Any, float], _Shape]:
    def draw(entity: Any, sagitta: float) -> _Shape:
        points = _xyz(entity.flattening(sagitta))
        ring = _is_ring(points) if closed is None else closed
        if ring and len(points):
            points[-1] = points[0]
        return _Shape(points, closed=ring)

    return draw


def _is_ring(points: Points) -> bool:
    return len(points) > 3 and bool(np.allclose(points[0], points[-1], rtol=0, atol=1e-9))


def _lwpolyline(entity: Any, sagitta: float) -> _Shape:
    flat = np.array(list(entity.get_points("xyb")), dtype=np.float64).reshape(-1, 3)
    return _polyline(entity, flat, float(entity.dxf.get("elevation", 0.0)), sagitta, entity.closed)


def _heavy_polyline(entity: Any, sagitta: float) -> _Shape | None:
    if entity.is_poly_face_mesh or entity.is_polygon_mesh:
        return _faces(entity.virtual_entities())
    if entity.is_3d_polyline:
        points = _xyz(entity.points())
        return _Shape(_closed(points) if entity.is_closed else points, closed=entity.is_closed)
    flat = np.array(
        [(v.dxf.location.x, v.dxf.location.y, v.dxf.get("bulge", 0.0)) for v in entity.vertices
         if not v.dxf.get("flags", 0) & _SPLINE_FRAME],
        dtype=np.float64,
    ).reshape(-1, 3)  # fmt: skip
    first = next(iter(entity.vertices), None)
    level = entity.dxf.get("elevation")
    height = level.z if level is not None else first.dxf.location.z if first else 0.0
    return _polyline(entity, flat, float(height), sagitta, entity.is_closed)


def _polyline(entity: Any, flat: Points, height: float, sagitta: float, closed: bool) -> _Shape:
    """``flat``: x, y and bulge of each vertex, in the entity's own axes."""
    line = _stroked(flat, sagitta, closed=closed)
    ocs = entity.ocs()
    if ocs.transform:
        points = _xyz(ocs.points_to_wcs([(x, y, height) for x, y in line]))
    else:
        points = np.column_stack([line, np.full(len(line), height)])
    return _Shape(points, closed=closed)


def _stroked(flat: Points, sagitta: float, *, closed: bool) -> Points:
    if closed and len(flat) > 1 and not np.array_equal(flat[0, :2], flat[-1, :2]):
        flat = np.vstack([flat, [*flat[0, :2], 0.0]])
    if not flat[:-1, 2].any():
        return flat[:, :2]
    parts = [flat[:1, :2]]
    for (x, y, bulge), (x2, y2, _) in pairwise(flat):
        start, end = np.array([x, y]), np.array([x2, y2])
        bent = bulge and not np.array_equal(start, end)
        parts.append(bulged(start, end, bulge, sagitta)[1:] if bent else end[None, :])
    return np.vstack(parts)


def _closed(points: Points) -> Points:
    same = len(points) < 2 or np.array_equal(points[0], points[-1])
    return points if same else np.vstack([points, points[:1]])


def _face(entity: Any, _: float) -> _Shape | None:
    return _faces([entity])


def _faces(faces: Iterable[Any]) -> _Shape | None:
    rings = [_closed(_xyz(dict.fromkeys(face.wcs_vertices()))) for face in faces]
    rings = [ring for ring in rings if len(ring) > 3]
    if not rings:
        return None
    polygons = [shapely.Polygon(ring[:, :2]) for ring in rings]
    made = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    return _Shape(np.vstack(rings), made=made)


def _hatch(entity: Any, sagitta: float) -> _Shape | None:
    """The hatched area: rings inside rings are holes."""
    rings = [_closed(_xyz(path.flattening(sagitta))) for path in from_hatch(entity)]
    rings = [ring for ring in rings if len(ring) > 3]
    if not rings:
        return None
    areas = [shapely.make_valid(shapely.Polygon(ring[:, :2])) for ring in rings]
    made = reduce(shapely.symmetric_difference, areas)
    return _Shape(np.vstack(rings), made=made)


def _leader(entity: Any, _: float) -> _Shape:
    return _Shape(_xyz(entity.vertices), closed=False)


_SHAPES: dict[str, Callable[[Any, float], _Shape | None]] = {
    "POINT": _point("location"),
    "INSERT": _point("insert", own_axes=True),
    "MTEXT": _point("insert"),
    "SHAPE": _point("insert", own_axes=True),
    "DIMENSION": _point("defpoint"),
    **dict.fromkeys(_TEXTS, _text_place),
    "LINE": _line,
    "LEADER": _leader,
    "ARC": _flattened(closed=False),
    "CIRCLE": _flattened(closed=True),
    "ELLIPSE": _flattened(closed=None),
    "SPLINE": _flattened(closed=None),
    "HELIX": _flattened(closed=False),
    "LWPOLYLINE": _lwpolyline,
    "POLYLINE": _heavy_polyline,
    "3DFACE": _face,
    "SOLID": _face,
    "TRACE": _face,
    "HATCH": _hatch,
    "MPOLYGON": _hatch,
}
