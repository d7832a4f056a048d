"""Agree: what a file claims of itself is compared with what its feed declares.

Driver, layer, CRS and encoding: a contradiction stops the load, for one of the two is wrong and
only the sender knows which.
"""

from __future__ import annotations

from pyproj import CRS

from pipeline import geo
from pipeline.contracts.city import City
from pipeline.contracts.feed import Feed
from pipeline.errors import ArrivalError
from pipeline.operations import NoOperationError, crs_name
from pipeline.stages.batch import Found
from pipeline.stages.container import Opened
from pipeline.stages.encoding import is_utf8, python_name
from pipeline.stages.read import Source
from pipeline.stages.readers import open_dataset
from pipeline.stages.readers.base import OPEN_TEXT, Layer
from pipeline.stages.telling import Told

_DIMENSIONS = {"Point": 0, "Line": 1, "Curve": 1, "Polygon": 2, "Surface": 2}


def open_source(
    arrival: Opened, feed: Feed, city: City, *, wants: str | None, needs: bool = True
) -> Source:
    """What ``arrival`` holds, compared with what ``feed`` declares; raises ArrivalError.

    ``wants`` is the type of the layer's geometry, if it has one, and ``needs`` whether every row
    must have it. Nothing of a row is read yet. The
    counts come from a reader other than the stream's.
    """
    found, label = Found(), arrival.label
    dataset = open_dataset(arrival)
    sheet = _choose_sheet(dataset.sheets, feed, label)
    if dataset.driver != feed.source.driver:
        raise ArrivalError(
            f"is a file of {dataset.driver}, the feed {feed.id} takes {feed.source.driver}",
            where=label,
            todo="Choose another feed, or ask for the declared format.",
        )
    layer = dataset.layer(sheet, _agree_on_encoding(dataset.told, feed, found, label))
    layer.want(feed.needed)
    geometry = choose_geometry(layer, feed.source.geometry, wants)
    drawn = bool(feed.source.points or geometry)
    wanted = bool(wants) and (drawn or needs)
    crs = _crs_of(layer, geometry, feed, city, found) if wanted else None
    return Source(feed=feed, layer=layer, crs=crs, geometry=geometry, found=found)


def choose_geometry(layer: Layer, named: str | None, wants: str | None) -> str | None:
    """The geometry column that is the row's shape, None where there is none; raises ArrivalError.

    Of several it is the one that is ``named``, or else the only one of the dimension that the
    layer ``wants``.
    """
    have = layer.geometries
    if named is not None and named not in have:
        raise ArrivalError(
            f"has no geometry {named}; it has {', '.join(have) or 'none'}",
            where=layer.label,
            todo="Correct geometry in the feed's [source].",
        )
    if named is not None or len(have) <= 1:
        return named or next(iter(have), None)
    fits = [name for name, kind in have.items() if wants and _dimension(kind) == _dimension(wants)]
    if wants is not None and len(fits) != 1:
        listed = ", ".join(f"{name} ({kind})" for name, kind in have.items())
        raise ArrivalError(
            f"has several geometries: {listed}",
            where=layer.label,
            todo='Name one as geometry = "…" in the feed\'s [source].',
        )
    return fits[0] if fits else None


def _dimension(kind: str) -> int | None:
    return next((size for part, size in _DIMENSIONS.items() if part in kind), None)


def _crs_of(layer: Layer, geometry: str | None, feed: Feed, city: City, found: Found) -> CRS:
    if not feed.source.points and not layer.geometries:
        raise ArrivalError(
            "has no geometry", where=layer.label, todo="Ask for the layer, not its table."
        )
    crs = _agree_on_crs(layer.crs_of(geometry), feed, found, layer.label)
    try:
        city.operation(crs)
    except NoOperationError as error:
        raise ArrivalError(
            f"{error}; EPSG knows {'; '.join(error.known) or 'none'}",
            where=layer.label,
            todo=f"Ask for {crs_name(city.crs)}, or pin an operation as [[transformations]] in "
            f"schemas/cities/{city.id}.toml.",
        ) from None
    return crs


def _agree_on_encoding(told: Told, feed: Feed, found: Found, label: str) -> str | None:
    """The encoding that the reader is told, None where there is nothing to tell.

    Declared by the feed, said by the file, or else detected; what is detected is a finding, and
    stops where it is not sure.
    """
    declared = feed.source.encoding
    if declared is not None:
        _refuse_declaration(declared, feed, told, label)
        return declared
    if told.trial is None:
        return told.said
    samples = " | ".join(told.trial.samples)
    if not told.trial.sure:
        raise ArrivalError(
            f"does not say how its text is encoded; as {told.trial.encoding} it reads: {samples}",
            where=label,
            todo="Ask the sender, and declare encoding in the feed's [source], such as CP1256.",
        )
    found.whole("encoding.detected", value=told.trial.encoding, detail=samples)
    return told.trial.encoding


def _refuse_declaration(declared: str, feed: Feed, told: Told, label: str) -> None:
    name = python_name(declared)
    if name is None:
        raise ArrivalError(
            f"the feed {feed.id} declares the unknown encoding {declared}",
            where=label,
            todo="Use a name such as UTF-8, CP1256 or ISO-8859-6.",
        )
    if feed.source.driver not in OPEN_TEXT and not is_utf8(declared):
        raise ArrivalError(
            f"the feed {feed.id} declares the encoding {declared} for {feed.source.driver}",
            where=label,
            todo="It can be declared for Shapefile, DBF, CSV, DXF and MDB; take it out.",
        )
    said = told.said
    # A drawing's code page is what the program had at hand; a .cpg is meant.
    same = not said or python_name(said) in (name, None) or (is_utf8(said) and is_utf8(declared))
    if same or feed.source.driver == "DXF":
        return
    raise ArrivalError(
        f"says its text is {said}, the feed {feed.id} declares {declared}",
        where=label,
        todo="Ask the sender which is true; correct the feed or the file (.cpg).",
    )


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
            f"says its CRS is {crs_name(own)}, the feed {feed.id} declares {crs_name(declared)}",
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
