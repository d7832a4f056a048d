"""Agree: what a file claims of itself is compared with what its feed declares.

Driver, layer, CRS and encoding: a contradiction stops the load, for one of the two is wrong and
only the sender knows which.
"""

from __future__ import annotations

from typing import Any

import pyogrio
from pyproj import CRS
from pyproj.exceptions import ProjError

from pipeline import geo
from pipeline.contracts.city import City
from pipeline.contracts.feed import Feed
from pipeline.errors import ArrivalError
from pipeline.stages import container
from pipeline.stages.batch import Found
from pipeline.stages.read import OPTIONS, Source, explained

# What is decoded: Shapefile and DBF by GDAL, CSV by the container. All else says UTF-8 itself.
_SHAPEFILE = "ESRI Shapefile"
_DECODED = (_SHAPEFILE, "CSV")


def open_source(
    arrival: container.Opened, feed: Feed, city: City, *, wants_geometry: bool
) -> Source:
    """What ``arrival`` holds, compared with what ``feed`` declares; raises ArrivalError.

    Nothing of a row is read yet. The counts come from a reader other than the stream's.
    """
    found, label = Found(), arrival.label
    heard: set[str] = set()
    encoding = _agree_on_encoding(arrival, feed)
    with explained(label, heard):
        layers = pyogrio.list_layers(arrival.place)
    sheet = _choose_sheet([str(row[0]) for row in layers], feed, label)
    with explained(label, heard):
        info = pyogrio.read_info(
            arrival.place,
            layer=sheet,
            encoding=encoding,
            force_feature_count=True,
            **OPTIONS.get(feed.source.driver, {}),
        )
    if info["driver"] != feed.source.driver:
        raise ArrivalError(
            f"is a file of {info['driver']}, the feed {feed.id} takes {feed.source.driver}",
            where=label,
            todo="Choose another feed, or ask for the declared format.",
        )
    return Source(
        feed=feed,
        label=label,
        place=arrival.place,
        sheet=sheet,
        encoding=encoding,
        crs=_crs_of(info, feed, city, found, label) if wants_geometry else None,
        names=[str(name) for name in info["fields"]],
        features=int(info["features"]),
        declared=encoding is not None or info["encoding"] == "UTF-8",
        found=found,
        heard=heard,
    )


def _crs_of(info: dict[str, Any], feed: Feed, city: City, found: Found, label: str) -> CRS:
    if not feed.source.points and info["geometry_type"] is None:
        raise ArrivalError("has no geometry", where=label, todo="Ask for the layer, not its table.")
    crs = _agree_on_crs(info["crs"], feed, found, label)
    try:
        geo.transformer(crs, city.crs)
    except ProjError:
        raise ArrivalError(
            f"there is no way from its CRS {_crs_name(crs)} to the city's {_crs_name(city.crs)}",
            where=label,
            todo="Ask the sender for the CRS, and declare it as crs in the feed's [source].",
        ) from None
    return crs


def _agree_on_encoding(arrival: container.Opened, feed: Feed) -> str | None:
    """The encoding that GDAL is told, None where it knows by itself."""
    declared = feed.source.encoding
    if declared is None:
        return None
    name = container.python_name(declared)
    if name is None:
        raise ArrivalError(
            f"the feed {feed.id} declares the unknown encoding {declared}",
            where=arrival.label,
            todo="Use a name such as UTF-8, CP1256 or ISO-8859-6.",
        )
    if feed.source.driver not in _DECODED and not container.is_utf8(declared):
        raise ArrivalError(
            f"the feed {feed.id} declares the encoding {declared} for {feed.source.driver}",
            where=arrival.label,
            todo="An encoding can be declared for Shapefile, DBF and CSV; take it out.",
        )
    if feed.source.driver != _SHAPEFILE:
        return None
    if arrival.said and container.python_name(arrival.said) not in (name, None):
        raise ArrivalError(
            f"says its text is {arrival.said} (.cpg), the feed {feed.id} declares {declared}",
            where=arrival.label,
            todo="Ask the sender which is true; correct the feed or the .cpg.",
        )
    return declared


def _choose_sheet(sheets: list[str], feed: Feed, label: str) -> str:
    wanted = feed.source.sheet
    if wanted is None and len(sheets) == 1:
        return sheets[0]
    if wanted in sheets:
        return str(wanted)
    if not sheets:
        raise ArrivalError("holds no layer", where=label, todo="Ask for the file again.")
    what = f"has no layer {wanted}" if wanted else "has several layers"
    raise ArrivalError(
        f"{what}: {', '.join(sheets[:12])}",
        where=label,
        todo=f"Name one as sheet in the [source] of the feed {feed.id}.",
    )


def _agree_on_crs(said: str | None, feed: Feed, found: Found, label: str) -> CRS:
    declared = geo.parse_crs(feed.source.crs) if feed.source.crs else None
    if feed.source.crs and declared is None:
        raise ArrivalError(
            f"the feed {feed.id} declares the unknown CRS {feed.source.crs}", where=label
        )
    own = meant_crs(said)
    if own is None and declared is None:
        raise ArrivalError(
            f"the CRS is unknown{f' ({said[:60]})' if said else ''}",
            where=label,
            todo="Ask the sender, and declare it as crs in the feed's [source].",
        )
    if own is None:
        found.whole("crs.assumed", value=feed.source.crs)
    elif declared is not None and not geo.same_crs(own, declared):
        raise ArrivalError(
            f"says its CRS is {_crs_name(own)}, the feed {feed.id} declares {_crs_name(declared)}",
            where=label,
            todo="Ask the sender which is true; correct the feed or the file.",
        )
    chosen = declared or own
    if chosen is None:
        raise AssertionError("one of the two is there")
    return chosen


def meant_crs(said: str | None) -> CRS | None:
    """The CRS that a file names; None for those that say that they say nothing."""
    own = geo.parse_crs(said) if said else None
    nothing = own is not None and (
        own.name.casefold().startswith("undefined") or own.type_name == "Engineering CRS"
    )
    return None if nothing else own


def _crs_name(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code} ({crs.name})" if code else str(crs.name)
