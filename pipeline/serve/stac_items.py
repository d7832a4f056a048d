"""What the STAC tree holds: an item for every sheet of a raster, and for every feature of a layer
whose contract says which columns STAC's properties are (``publish.stac``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from psycopg import sql

from pipeline.contracts.raster import RasterContract, ServedRaster, ServedSheet
from pipeline.derive.raster_collections import COG, REPORT_FORMS, report_path
from pipeline.serve import models
from pipeline.serve.links import JSON
from pipeline.serve.query import Statement
from pipeline.serve.raster_source import Source
from pipeline.serve.served import Served
from pipeline.serve.site import Site

VERSION = "1.1.0"
_EXTENSION = "https://stac-extensions.github.io/{}/schema.json"
#: By the prefix of the properties that they define.
_EXTENSIONS = {"proj": "projection/v2.0.0", "file": "file/v2.1.0", "view": "view/v1.0.0"}
#: Of what has no day: some time before it was taken in.
_LONG_AGO = "1900-01-01T00:00:00Z"
_SHA256 = "1220"  # of a multihash: SHA-256, 32 bytes
_NONE = shapely.Point()

Item = dict[str, Any]


@dataclass(frozen=True)
class Holding:
    """One collection of the tree and its items, in the order of their ids. ``links`` of an item
    are what it has beside those that the tree gives it."""

    id: str
    resource: dict[str, Any]
    items: list[Item]

    @cached_property
    def shapes(self) -> NDArray[Any]:
        """Their footprints, in degrees; empty where an item has none."""
        return np.array([_shape(item) for item in self.items], dtype=object)

    @cached_property
    def tree(self) -> shapely.STRtree:
        """To find items by place."""
        return shapely.STRtree(self.shapes)

    @cached_property
    def times(self) -> NDArray[np.datetime64]:
        """Begin and end of each, (n, 2)."""
        found = [times(item) for item in self.items]
        return np.array(found, dtype="datetime64[us]").reshape(-1, 2)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The place of each id."""
        return {item["id"]: number for number, item in enumerate(self.items)}


def times(item: Item) -> tuple[datetime, datetime]:
    """Begin and end, in UTC without saying so."""
    given = item["properties"]
    one = given["datetime"]
    begin, end = (one, one) if one else (given["start_datetime"], given["end_datetime"])
    return _moment(begin), _moment(end)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def _shape(item: Item) -> shapely.Geometry:
    if item["geometry"] is None:
        return _NONE
    return shapely.from_geojson(orjson.dumps(item["geometry"]))


def _dated(day: str | None, until: str) -> dict[str, Any]:
    """STAC's words for a day, or for some time before ``until``."""
    if day:
        return {"datetime": f"{day}T00:00:00Z"}
    return {"datetime": None, "start_datetime": _LONG_AGO, "end_datetime": until}


def rasters(site: Site) -> list[Holding]:
    """A collection for every raster that is served."""
    found = []
    for contract in site.schemas.rasters.values():
        served = Source(site.settings.home, contract.id).served()
        resource = site.config["resources"].get(contract.collection)
        if served is not None and resource is not None:
            made, last = models.of(site, contract.id), {one.sheet: one for one in served.parts}
            items = [
                _derived(
                    site,
                    _sheet(site, contract, served, part),
                    made.get(part.sheet) if last[part.sheet] is part else None,
                )
                for part in served.parts
            ]
            items.sort(key=lambda item: item["id"])
            found.append(Holding(contract.collection, resource, items))
    return found


def _sheet(site: Site, contract: RasterContract, served: ServedRaster, part: ServedSheet) -> Item:
    until = served.updated.replace("+00:00", "Z")
    asset = {
        "href": f"{site.base}/files/{contract.collection}/{part.name}.tif",
        "type": COG,
        "roles": ["data"],
        "title": contract.title.of(site.languages[0]),
        "bands": [_band(contract, band) for band in contract.bands],
        "file:size": part.size,
        "file:checksum": _SHA256 + part.version,
    }
    shape = shapely.from_geojson(orjson.dumps(part.footprint))
    item = {
        "type": "Feature",
        "stac_version": VERSION,
        "id": part.name,
        "collection": contract.collection,
        "geometry": part.footprint,
        "bbox": shapely.bounds(shape).tolist(),
        "properties": {
            **_dated(part.acquired, until),
            "title": part.sheet,
            "gsd": round(part.pixel_m, 4),
            "proj:code": f"EPSG:{served.srid}",
            "proj:shape": [part.height, part.width],
            **_grid(part),
        },
        "assets": {"data": asset, **_reports(site, contract, part)},
    }
    return _extended(item)


def _band(contract: RasterContract, band: str) -> dict[str, Any]:
    told = {"name": band, "data_type": contract.dtype, "nodata": contract.nodata,
            "unit": contract.unit}  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def _grid(part: ServedSheet) -> dict[str, Any]:
    """Where the pixels of ``proj:shape`` lie: more than what is valid of them."""
    if part.transform is None:
        return {}
    a, b, west, d, e, north = part.transform
    south, east = north + e * part.height, west + a * part.width
    return {"proj:transform": [a, b, west, d, e, north], "proj:bbox": [west, south, east, north]}


def _derived(site: Site, item: Item, made: dict[str, Any] | None) -> Item:
    """The item with the collections that its sheet is ``made`` of, if it is."""
    if made is None:
        return item
    named = {served.layer.id: name for name, served in site.served.items()}
    seen = [one for one in made["layers"] if one["layer"] in named]
    href = f"{site.base}/collections/{{}}?f=json"
    links = [
        {"rel": "derived_from", "type": JSON, "href": href.format(named[one["layer"]])}
        for one in seen
    ]
    older = [named[one["layer"]] for one in seen if one["outdated"]]
    properties = {**item["properties"], **({"makan:older_than": older} if older else {})}
    return {**item, "properties": properties, "links": links}


def _extended(item: Item) -> Item:
    """The item with the extensions whose properties it and its assets have."""
    names = [*item["properties"], *(name for one in item["assets"].values() for name in one)]
    used = {name.split(":")[0] for name in names if ":" in name}
    found = [_EXTENSION.format(where) for name, where in _EXTENSIONS.items() if name in used]
    return {**item, "stac_extensions": found}


def _reports(site: Site, contract: RasterContract, part: ServedSheet) -> dict[str, Any]:
    """What is told of the sheet's accuracy, as assets."""
    if part.name not in ServedRaster.reports(site.settings.home, contract.id):
        return {}
    return {
        f"accuracy-{form}": {
            "href": site.base + report_path(contract, part.name, form),
            "type": kind,
            "roles": ["metadata"],
            "title": f"Accuracy ({form.upper()})",
        }
        for form, kind in REPORT_FORMS.items()
    }


def is_held(served: Served) -> bool:
    """Whether a collection of features is in the tree."""
    return bool(served.layer.publish.stac) and served.has_geometry


def question(served: Served) -> Statement:
    """All features as one document: the id, the footprint in degrees, and STAC's properties."""
    names = _columns(served)
    pairs = [
        sql.SQL("{}, {}").format(sql.Literal(said), sql.SQL("v.") + sql.Identifier(column))
        for said, column in names.items()
    ]
    label = served.layer.publish.label or served.layer.key[-1]
    made = sql.SQL(
        "SELECT coalesce(json_agg(json_build_array(v.id, v.{label}, "
        "ST_AsGeoJSON(ST_Transform(v.geom, 4326), 7)::json, json_build_object({pairs})) "
        "ORDER BY v.id), '[]')::text FROM {view} v"
    ).format(label=sql.Identifier(label), pairs=sql.SQL(", ").join(pairs), view=served.view)
    return Statement(made.as_bytes(None), {})


def _columns(served: Served) -> dict[str, str]:
    """STAC's properties and the columns they are, those the audience sees."""
    named = {
        said: served.city.published(column) for said, column in served.layer.publish.stac.items()
    }
    return {said: column for said, column in named.items() if column in served.fields}


def features(served: Served, resource: dict[str, Any], answer: bytes) -> Holding:
    """The collection of what ``question`` brought."""
    until = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    items = []
    for number, title, shape, told in orjson.loads(answer):
        day = told.pop("datetime", None)
        plain = {name: value for name, value in told.items() if value is not None}
        item: Item = {
            "type": "Feature",
            "stac_version": VERSION,
            "id": str(number),
            "collection": served.id,
            "geometry": shape,
            "properties": {**_dated(day, until), "title": title, **plain},
            "assets": {},
        }
        if shape is not None:
            found = shapely.from_geojson(orjson.dumps(shape))
            item["bbox"] = shapely.bounds(found).tolist()
        items.append(_extended(item))
    return Holding(served.id, resource, items)
