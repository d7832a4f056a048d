"""Search among records: words, kinds, places, times, values of properties; and their order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import shapely

from pipeline import fold
from pipeline.serve import bbox, crs, period
from pipeline.serve.errors import bad

#: What records are sorted by, and asked for by value; ``id`` is asked for by ``ids``.
PROPERTIES = ("title", "type", "license")
SORTABLES = ("id", *PROPERTIES)
DEFAULT = ("type", "title")
PARAMETERS = (
    *("q", "type", "ids", "externalIds", "bbox", "datetime", "limit", "offset", "sortby"),
    *(name for name in PROPERTIES if name != "type"),
)
Part = dict[str, Any]
Ends = tuple[datetime | None, datetime | None]
# The letters in the order of the Persian alphabet, which is not that of their codes.
_ALPHABET = {letter: n for n, letter in enumerate("اآبپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی", 0x600)}


@dataclass(frozen=True)
class Record:
    """One record: what is sent, and by what it is found: words, place, time."""

    content: Part
    words: tuple[str, ...]
    place: shapely.Geometry | None
    time: Ends | None


def value(record: Record, name: str) -> str:
    """What a record says of the property ``name``."""
    found = record.content[name] if name == "id" else record.content["properties"][name]
    return str(found)


def ordered(records: list[Record], given: dict[str, str]) -> list[Record]:
    """The records by what ``sortby`` says, or in the catalogue's own order."""
    asked = given["sortby"].split(",") if "sortby" in given else list(DEFAULT)
    names = [part.strip().lstrip("+-") for part in asked]
    for name in names:
        if name not in SORTABLES:
            raise bad(f"sortby: {name!r} is not one of {', '.join(SORTABLES)}")
    found = sorted(records, key=lambda one: value(one, "id"))
    for part, name in reversed(list(zip(asked, names, strict=True))):
        down = part.strip().startswith("-")
        found.sort(key=lambda one, name=name: _collated(value(one, name)), reverse=down)  # type: ignore[misc]
    return found


def _collated(text: str) -> list[int]:
    return [_ALPHABET.get(letter, ord(letter)) for letter in fold.one(text)]


def schema(address: str, title: str, *, place: bool) -> Part:
    """The properties that records are sorted by and asked for, as a JSON Schema; with their
    ``place``, which filters know too."""
    shape = {"geometry": {"$ref": "https://geojson.org/schema/Polygon.json"}} if place else {}
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": address,
        "type": "object",
        "title": title,
        "properties": {**{name: {"type": "string"} for name in SORTABLES}, **shape},
        "additionalProperties": False,
    }


def chosen(records: list[Record], given: dict[str, str]) -> list[Record]:
    """The records that meet every parameter. In ``q`` a comma means or; words with blanks between
    them stand in this order in one text, and each may be the beginning or end of a longer one."""
    if "q" in given:
        terms = [term for part in given["q"].split(",") if (term := fold.one(part))]
        records = [
            one for one in records if any(term in text for term in terms for text in one.words)
        ]
    for name in (name for name in PROPERTIES if name in given and name != "type"):
        records = [one for one in records if value(one, name) == given[name]]
    if "type" in given:
        kinds = given["type"].split(",")
        records = [one for one in records if one.content["properties"]["type"] in kinds]
    if "ids" in given:
        names = given["ids"].split(",")
        records = [one for one in records if one.content["id"] in names]
    if "externalIds" in given:  # ours are known by no other name
        records = []
    if "bbox" in given:
        plain = crs.Crs(crs.CRS84, 4326, flipped=False, metres_per_unit=1.0)
        boxes = [shapely.box(*box) for box in bbox.parse(given["bbox"], plain)]
        records = [
            one for one in records
            if one.place is not None and any(shapely.intersects(one.place, box) for box in boxes)
        ]  # fmt: skip
    if "datetime" in given:
        begin, end = period.interval(given["datetime"])
        records = [one for one in records if one.time is None or _meets(one.time, begin, end)]
    return records


def _meets(time: Ends, begin: datetime | None, end: datetime | None) -> bool:
    first, last = time
    after = end is not None and first is not None and first > end
    before = begin is not None and last is not None and last < begin
    return not (after or before)
