"""JSON-FG (OGC 21-045): GeoJSON with a CRS, a time and a type, in the city's own coordinates.

PostGIS writes the features (``placed`` in schemas/sql/serve.sql); here stands what goes round them.
"""

from __future__ import annotations

from collections.abc import Buffer
from typing import Any

import orjson

from pipeline.serve.crs import CRS84
from pipeline.serve.links import JSONFG, Link
from pipeline.serve.query import Shape
from pipeline.serve.served import Served

FORMAT = {"jsonfg": (JSONFG, "This document as JSON-FG")}
CONFORMS = (
    "http://www.opengis.net/spec/json-fg-1/1.0/conf/core",
    "http://www.opengis.net/spec/json-fg-1/1.0/conf/types-schemas",
)
_DIMENSIONS = {"Point": 0, "LineString": 1, "Polygon": 2}


def _head(served: Served, shape: Shape, schema: str) -> dict[str, Any]:
    """What a document says of itself and of its features."""
    found: dict[str, Any] = {
        "conformsTo": CONFORMS,
        "featureType": served.id,
        "featureSchema": schema,
    }
    if served.layer.geometry and not shape.skip_geometry:
        plain = served.layer.geometry.type.removeprefix("Multi")
        found["geometryDimension"] = _DIMENSIONS[plain]
        if shape.crs.uri != CRS84:
            found["coordRefSys"] = shape.crs.uri
    return found


def collection(
    served: Served,
    shape: Shape,
    counts: tuple[int | None, int],
    links: list[Link],
    features: Buffer,
) -> bytes:
    """A page: ``counts`` match (None: not counted) and are returned, ``features`` as PostGIS wrote
    them. The schema is beside the items."""
    path = links[0]["href"].split("/items")[0]
    head = {
        "type": "FeatureCollection",
        **_head(served, shape, f"{path}/schema"),
        **({} if counts[0] is None else {"numberMatched": counts[0]}),
        "numberReturned": counts[1],
        "links": links,
    }
    return b"".join((orjson.dumps(head)[:-1], b',"features":[', features, b"]}"))


def feature(served: Served, shape: Shape, links: list[Link], written: bytes) -> bytes:
    """One feature; a reader finds what it conforms to before what it is."""
    path = links[0]["href"].split("/items")[0]
    head = {**_head(served, shape, f"{path}/schema"), "links": links}
    return orjson.dumps(head)[:-1] + b"," + written[1:]
