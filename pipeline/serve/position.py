"""The height at a point, as a pygeoapi provider of OGC API EDR position queries.

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

``coords`` is a POINT or MULTIPOINT in ``crs`` (CRS84 where none is named). The definition has no
``storage_crs`` of pygeoapi's: with one, pygeoapi could not tell "no crs" from "the storage CRS".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

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

_MOST_POINTS = 1000


class RasterPosition(BaseEDRProvider):  # type: ignore[misc]
    """Values of one raster layer at points."""

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
        given = crs_of(crs_transform_spec.target_crs_uri if crs_transform_spec else "OGC:CRS84")
        places = _places(wkt, given)
        bands = self._chosen(select_properties)
        east, north = zip(*places, strict=True)
        xs, ys = geo.transformer(given, self.stored).transform(east, north)
        with self.source.opened(when(datetime_)) as dataset:
            found = [value_at(dataset, x, y) for x, y in zip(xs, ys, strict=True)]
        if all(values is None for values in found) and format_ != F_HTML:
            raise ProviderNoDataError
        empty: Values = (None,) * len(self.bands)
        rows = [[(values or empty)[number] for number, _ in bands] for values in found]
        single = wkt is not None and wkt.geom_type == "Point"
        chosen = [band for _, band in bands]
        return coverage_json.points(chosen, places, rows, given, single=single)

    def _chosen(self, names: Sequence[str] | None) -> list[tuple[int, coverage_json.Band]]:
        return [
            (number, band)
            for number, band in enumerate(self.bands)
            if not names or band["name"] in names
        ]

    def __repr__(self) -> str:
        return f"<RasterPosition> {self.data}"


def _places(wkt: BaseGeometry | None, crs: CRS) -> list[tuple[float, float]]:
    """The points of ``coords`` as x before y."""
    if wkt is None or wkt.is_empty or wkt.geom_type not in ("Point", "MultiPoint"):
        raise refused("coords: give POINT(x y) or MULTIPOINT((x y),(x y))")
    parts = list(getattr(wkt, "geoms", [wkt]))
    if len(parts) > _MOST_POINTS:
        raise refused(f"coords: at most {_MOST_POINTS} points at once")
    places = [(float(part.x), float(part.y)) for part in parts]
    if not all(math.isfinite(number) for place in places for number in place):
        raise refused("coords: give finite numbers")
    return [(y, x) for x, y in places] if is_north_first(crs) else places
