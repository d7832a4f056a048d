"""The height at a point or along a line, as a pygeoapi provider of OGC API EDR queries.

Provider definition (``pipeline.derive.raster_collections`` writes it):

    type: edr
    name: pipeline.serve.position.RasterPosition
    data: <layer id>
    crs: [CRS84, EPSG:4326, the city's, EPSG:3857 as URIs]
    options:
        home: <MAKAN_HOME>
        storage_crs: <URI of the city's CRS>
        bands:
            - {name: height, title: {fa: ..., en: ...}, unit: m}

``coords`` is a POINT or MULTIPOINT (position), a LINESTRING (trajectory), in ``crs`` (CRS84 where
none is named). The definition has no ``storage_crs`` of pygeoapi's: with one, pygeoapi could not
tell "no crs" from "the storage CRS".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from pygeoapi.formats import F_HTML
from pygeoapi.provider.base import ProviderNoDataError
from pygeoapi.provider.base_edr import BaseEDRProvider
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from pipeline import geo
from pipeline.rasters.point import Values, value_at
from pipeline.serve import coverage_json
from pipeline.serve.period import when
from pipeline.serve.raster_source import Source, crs_of, is_north_first, refused

_MOST_POINTS, _MOST_STEPS = 1000, 2000


@dataclass(frozen=True, slots=True)
class _Told:
    """Values at ``places`` (x before y, in ``crs``); ``blank``: an answer without any is sent."""

    places: list[tuple[float, float]]
    values: list[Values | None]
    crs: CRS
    single: bool
    blank: bool


class RasterPosition(BaseEDRProvider):  # type: ignore[misc]
    """Values of one raster layer at points and along lines."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """From the definition above; the COG is opened by each request."""
        super().__init__(provider_def)
        self.source = Source.of(provider_def)
        self.bands: list[coverage_json.Band] = self.options["bands"]
        self.stored = crs_of(self.options["storage_crs"])
        self._fields: dict[str, Any] = coverage_json.fields(self.bands)

    def get_fields(self) -> dict[str, Any]:
        """The bands with their unit and title."""
        return self._fields

    def get_parameters(
        self,
        parameters: Sequence[str] = (),
        as_list: bool = False,
    ) -> Any:
        """The bands as CoverageJSON parameters, in every language of the city."""
        bands = [band for band in self.bands if not parameters or band["name"] in parameters]
        found = coverage_json.parameters(bands)
        for name, parameter in found.items():
            parameter |= {"id": name, "name": self._fields[name]["title"]}
        return list(found.values()) if as_list else found

    def position(
        self,
        wkt: BaseGeometry | None = None,
        select_properties: Sequence[str] | None = None,
        crs_transform_spec: Any = None,
        format_: str | None = None,
        datetime_: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """CoverageJSON with the interpolated value at each point, null where there is none.

        Raises ProviderNoDataError (204) if no point lies in the raster, except for a page, which
        would be blank; ProviderItemNotFoundError (404) for a time of which nothing is; and
        ProviderInvalidQueryError (400).
        """
        given = _given(crs_transform_spec)
        places = _places(wkt, given)
        east, north = zip(*places, strict=True)
        xs, ys = geo.transformer(given, self.stored).transform(east, north)
        with self.source.opened(when(datetime_)) as dataset:
            found = [value_at(dataset, x, y) for x, y in zip(xs, ys, strict=True)]
        single = wkt is not None and wkt.geom_type == "Point"
        told = _Told(places, found, given, single=single, blank=format_ == F_HTML)
        return self._answer(told, select_properties)

    def trajectory(
        self,
        wkt: BaseGeometry | None = None,
        select_properties: Sequence[str] | None = None,
        crs_transform_spec: Any = None,
        format_: str | None = None,
        datetime_: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """CoverageJSON with the values along a line: at its vertices, and between them a pixel
        apart (further, where these were more than 2,000), in order. Raises as ``position``.

        It is a MultiPoint: a trajectory of CoverageJSON has a time at each place, the ground none.
        """
        given = _given(crs_transform_spec)
        if wkt is None or wkt.is_empty or wkt.geom_type != "LineString":
            raise refused("coords: give LINESTRING(x y,x y)")
        corners = _in_x_y(shapely.get_coordinates(wkt).tolist(), given)
        move = geo.transformer(given, self.stored)
        xs, ys = move.transform(*np.transpose(corners))
        line = shapely.LineString(np.column_stack([xs, ys]))
        if not math.isfinite(line.length):
            raise refused("coords: the line leaves the reach of the raster's CRS")
        with self.source.opened(when(datetime_)) as dataset:
            # Rounding of a side as long as so many pixels makes no more places of it.
            step = max(abs(dataset.transform.a), line.length / _MOST_STEPS) * (1 + 1e-6)
            xs, ys = shapely.get_coordinates(shapely.segmentize(line, step)).T
            found = [value_at(dataset, x, y) for x, y in zip(xs, ys, strict=True)]
        back = move.transform(xs, ys, direction="INVERSE")
        digits = 8 if given.is_geographic else 3
        places = [tuple(place) for place in np.round(np.transpose(back), digits).tolist()]
        told = _Told(places, found, given, single=False, blank=format_ == F_HTML)
        return self._answer(told, select_properties)

    def _answer(self, told: _Told, names: Sequence[str] | None) -> dict[str, Any]:
        if all(values is None for values in told.values) and not told.blank:
            raise ProviderNoDataError
        bands, empty = self._chosen(names), (None,) * len(self.bands)
        rows = [[(values or empty)[number] for number, _ in bands] for values in told.values]
        chosen = [band for _, band in bands]
        return coverage_json.points(chosen, told.places, rows, told.crs, single=told.single)

    def _chosen(self, names: Sequence[str] | None) -> list[tuple[int, coverage_json.Band]]:
        return [
            (number, band)
            for number, band in enumerate(self.bands)
            if not names or band["name"] in names
        ]

    def __repr__(self) -> str:
        return f"<RasterPosition> {self.data}"


def _given(spec: Any) -> CRS:
    """The CRS of ``coords`` and of the answer."""
    return crs_of(spec.target_crs_uri if spec else "OGC:CRS84")


def _in_x_y(places: list[Any], crs: CRS) -> list[tuple[float, float]]:
    """``places`` in the axis order of ``crs`` as x before y; all are finite."""
    if not all(math.isfinite(number) for place in places for number in place):
        raise refused("coords: give finite numbers")
    return [(y, x) if is_north_first(crs) else (x, y) for x, y in places]


def _places(wkt: BaseGeometry | None, crs: CRS) -> list[tuple[float, float]]:
    """The points of ``coords`` as x before y."""
    if wkt is None or wkt.is_empty or wkt.geom_type not in ("Point", "MultiPoint"):
        raise refused("coords: give POINT(x y) or MULTIPOINT((x y),(x y))")
    parts = list(getattr(wkt, "geoms", [wkt]))
    if len(parts) > _MOST_POINTS:
        raise refused(f"coords: at most {_MOST_POINTS} points at once")
    return _in_x_y([(float(part.x), float(part.y)) for part in parts], crs)
