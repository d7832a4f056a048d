"""Judge: one batch through map, clean, shape and check: which rows are good, and what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyproj import CRS

from pipeline import geo, text
from pipeline.contracts.feed import Points
from pipeline.geo import Floats
from pipeline.stages.batch import COLUMNS, Found, Geometries, Mask, Raw, Rows
from pipeline.stages.check import check_rows, derive_fields, slivers
from pipeline.stages.clean import clean_values
from pipeline.stages.context import Context
from pipeline.stages.flatten import Heights
from pipeline.stages.held import held
from pipeline.stages.map import as_text, map_rows
from pipeline.stages.shape import Shaper, from_wkb
from pipeline.stages.unread import UNREAD
from pipeline.stages.wkb import written, written_again

# Something arrived for the field, and no one value could be read of it.
_UNREAD_VALUE = frozenset({"value.type", "geometry.slanted"})
# No height can be read where there is no geometry.
_SHAPELESS = UNREAD | {"geometry.missing", "geometry.empty", "geometry.nonfinite"}


@dataclass(frozen=True)
class Judged:
    """A batch with its verdict: ``good`` rows are loaded, the others quarantined.

    ``wkb`` are the rows' geometries in the city's CRS, None where there is none.
    ``heights`` are those that were left out, ``sizes`` areas in m2 or lengths in m, ``dates`` when
    rows hold by what they say themselves.
    """

    rows: Rows
    good: Mask
    found: Found
    wkb: pa.Array | None = None
    heights: Heights = field(default_factory=Heights)
    sizes: Floats | None = None
    dates: dict[str, pa.Array] = field(default_factory=dict)


def judge(raw: Raw, context: Context, crs: CRS | None) -> Judged:
    """All row-by-row stages over one batch; ``crs`` is that of the file's coordinates."""
    rows, found = map_rows(raw, context)
    odd = raw.lines[np.isin(raw.lines, list(context.odd))] if context.odd else raw.lines[:0]
    for line in odd.tolist():
        found.mark(context.odd[line], np.array([line]))
    heights, shapes = Heights(), None
    rows, more = clean_values(rows, context)
    found.extend(more)
    if crs is not None:
        arrived, unread = drawn(raw, context, crs)
        found.extend(unread)
        shaper = Shaper(raw.lines, arrived, context, crs)
        found.extend(_not_twice(shaper.work(), found))
        rows, heights = replace(rows, geometry=shaper.made), shaper.heights
        found.extend(slivers(rows, context))
        shapes = _written(raw, shaper, unread)
    sizes = _sizes(rows, context)
    dates, more = held(raw, context)
    found.extend(more)
    rows = derive_fields(rows, context)
    found.extend(check_rows(rows, context))
    found = _without_echo(found, context)
    bad = found.lines_of(error_codes(context))
    good = ~np.isin(raw.lines, bad)
    return Judged(rows, good, found, shapes, heights, sizes, dates)


def _sizes(rows: Rows, context: Context) -> Floats | None:
    """How large each row is on the city's grid; 0 where nothing can be drawn."""
    wanted, metres = context.layer.geometry, context.city.metres_per_unit
    if rows.geometry is None or wanted is None:
        return None
    if wanted.type.endswith("Polygon"):
        return np.nan_to_num(rows.area * metres**2)
    return np.nan_to_num(rows.length * metres)


def _written(raw: Raw, shaper: Shaper, unread: Found) -> pa.Array:
    """The geometries as WKB; what GEOS could not read as it stood is not as it arrived."""
    if raw.wkb is None or shaper.wanted.is_high:
        return written(geo.promote(shaper.made, shaper.wanted.type), shaper.wanted.dimension)
    as_arrived = shaper.as_arrived & ~np.isin(raw.lines, unread.line)
    return written_again(shaper.made, shaper.wanted.type, raw.wkb, as_arrived)


def error_codes(context: Context) -> frozenset[str]:
    """Codes of findings that quarantine a row."""
    catalog = context.catalog
    return frozenset(code for code in catalog.codes if catalog.severity(code) == "error")


def drawn(raw: Raw, context: Context, crs: CRS) -> tuple[Geometries, Found]:
    """The geometries of ``raw`` as they arrived, None where there is none."""
    points = context.feed.source.points
    if points is not None:
        return _from_columns(raw, points)
    if raw.wkb is None:
        return np.full(len(raw.lines), None, dtype=object), Found()
    made, found = from_wkb(raw.lines, raw.wkb, context, crs)
    return _raised(raw, made, context.feed.source.level), found


def _raised(raw: Raw, shapes: Geometries, level: str | None) -> Geometries:
    """Shapes without heights at the height that the column ``level`` has for them."""
    if level is None:
        return shapes
    told = text.number_text(text.display(as_text(raw.columns.column(level).combine_chunks())))
    height = _numbers(told)
    flat = ~shapely.has_z(shapes) & ~shapely.is_missing(shapes) & np.isfinite(height)
    made = shapes.copy()
    made[flat] = shapely.force_3d(shapes[flat], height[flat])
    return made


def _from_columns(raw: Raw, points: Points) -> tuple[Geometries, Found]:
    """Points from two columns of a plain table; a coordinate that is no number is a finding."""
    found = Found()
    axes, lost = [], np.zeros(len(raw.lines), dtype=bool)
    empty = np.zeros(len(raw.lines), dtype=bool)
    for name in (points.x, points.y):
        shown = text.number_text(text.display(as_text(raw.columns.column(name).combine_chunks())))
        numbers = _numbers(shown)
        given = np.asarray(shown.is_valid())
        lost |= given & np.isnan(numbers)
        empty |= ~given
        axes.append(numbers)
    found.mark("geometry.unreadable", raw.lines[lost], details=f"{points.x} or {points.y}")
    made = np.asarray(shapely.points(axes[0], axes[1]), dtype=object)
    made[lost | empty] = None
    return made, found


def _numbers(shown: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    good = pc.match_substring_regex(shown, r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
    kept = pc.if_else(good, shown, pa.scalar(None, pa.string())).cast(pa.float64())
    return np.asarray(kept.to_numpy(zero_copy_only=False), dtype=np.float64)


def _not_twice(shaped: Found, before: Found) -> Found:
    """A geometry that could not be read is not missing as well."""
    unread = set(before.lines_of(UNREAD).tolist())
    if not unread:
        return shaped
    return _keep(shaped, lambda code, line, _: code != "geometry.missing" or line not in unread)


def _without_echo(found: Found, context: Context) -> Found:
    """A value that could not be read is null now, but it is not missing; nor is a height whose
    geometry is."""
    by_shape = [column.to for column in context.columns if column.z]
    told: set[tuple[int, str | None]] = set()
    for code, line, name in zip(found.code, found.line, found.field_name, strict=True):
        if code in _UNREAD_VALUE:
            told.add((line, name))
        elif by_shape and code in _SHAPELESS:
            told.update((line, one) for one in by_shape)
    if not told:
        return found
    return _keep(
        found, lambda code, line, name: code != "value.missing" or (line, name) not in told
    )


def _keep(found: Found, wanted: Callable[[str, int, str | None], bool]) -> Found:
    kept = Found(tally=found.tally)
    for row in zip(*(getattr(found, name) for name in COLUMNS), strict=True):
        if wanted(row[0], row[1], row[2]):
            for name, value in zip(COLUMNS, row, strict=True):
                getattr(kept, name).append(value)
    return kept
