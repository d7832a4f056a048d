"""What was given, checked against what is accepted, and as the queries get it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import orjson
import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline import fold
from pipeline.answers import receipts
from pipeline.answers.refusals import WrongInputError
from pipeline.contracts.city import City
from pipeline.contracts.fact import Form
from pipeline.contracts.process import Input, Process
from pipeline.derive import processes as derived
from pipeline.joins import forms

_WGS84 = 4326
#: The input that says in which CRS the shapes of a question are.
CRS = "crs"
_GEOMETRY = "geometry"
_TRUTH = {"true": True, "false": False}
_SHAPES = {
    "point": ("Point",), "line": ("LineString", "MultiLineString"),
    "area": ("Polygon", "MultiPolygon"),
}  # fmt: skip


def of_texts(offered: Mapping[str, Input], texts: Mapping[str, str]) -> dict[str, Any]:
    """Values that came as texts (in an address, from a form); an empty one was not given."""
    return {
        name: _of_text(offered[name], text) if name in offered else text
        for name, text in texts.items()
        if text != ""
    }


def _of_text(one: Input, text: str) -> Any:
    kinds = one.accepts.get("type", ["string", "object", "array"])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if text[:1] in ("{", "[") and ("object" in kinds or "array" in kinds):
        return _parsed(text)
    if "string" in kinds:
        return text
    if "boolean" in kinds:
        return _TRUTH.get(text, text)
    return _parsed(text) if "number" in kinds or "integer" in kinds else text


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def check(offered: Mapping[str, Input], process: Process, city: City, given: Any) -> None:
    """Raises WrongInputError for the first input that is not accepted."""
    for name in given:
        if name not in offered:
            known = ", ".join(offered)
            example = derived.example(city, process, offered)
            raise WrongInputError(name, "unknown", example, f"is no input; there are {known}")
    for name, one in offered.items():
        if one.required and name not in given:
            raise WrongInputError(name, "required", one.example, "must be given")
        if name in given:
            _check_one(name, one, given[name])
    for names in process.choices:
        _check_choice([city.published(name) for name in names], offered, given)


def _check_choice(names: list[str], offered: Mapping[str, Input], given: Any) -> None:
    choice = [name for name in names if name in offered]
    if choice and sum(name in given for name in choice) != 1:
        said = f"exactly one of {', '.join(choice)} must be given"
        raise WrongInputError(choice[0], "one of", offered[choice[0]].example, said)


def _check_one(name: str, one: Input, value: Any) -> None:
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(one.accepts).iter_errors(value)
    )
    if error is not None:
        rule = f"{error.validator} {orjson.dumps(error.validator_value).decode()}"
        raise WrongInputError(name, rule, one.example, _short(error.message))


def _short(message: str) -> str:
    return message if len(message) <= 200 else message[:199] + "…"


def bound(process: Process, city: City, offered: Mapping[str, Input], given: Any) -> dict[str, Any]:
    """A value for every input of the process by its own name: NULL for what was not given, else
    what the value means."""
    found: dict[str, Any] = {one.name: None for one in process.inputs}
    for name, value in given.items():
        found[offered[name].name] = _meant(name, offered[name], value, city, given.get(CRS))
    for one in offered.values():
        if found[one.name] is None and "default" in one.accepts:
            found[one.name] = one.accepts["default"]
    return found


def _meant(name: str, one: Input, value: Any, city: City, crs: str | None) -> Any:
    if one.meaning == "folded":
        return fold.one(value)
    if one.meaning == "receipt":
        return receipts.number_of(value)
    if one.meaning in ("code", "plate"):
        return keys(value, one.meaning, city)
    if one.meaning == "list":
        return orjson.dumps(value).decode()
    srid = city.srid if crs == city.crs_uri else _WGS84
    if one.meaning == "geometry":
        return _ewkb(name, one, value, srid)
    if one.meaning == "shapes":
        placed = [{**item, _GEOMETRY: _ewkb(name, one, item[_GEOMETRY], srid)} for item in value]
        return orjson.dumps(placed).decode()
    return value


def _ewkb(name: str, one: Input, value: Any, srid: int) -> str:
    """A shape as PostGIS reads it, its CRS within."""
    shape = shapely.set_srid(_shape(name, one, value), srid)
    west, south, east, north = shapely.bounds(shape)
    if srid == _WGS84 and not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        said = f"is not in degrees; say the CRS of the shape ({CRS})"
        raise WrongInputError(name, "longitude and latitude", one.example, said)
    return str(shapely.to_wkb(shape, hex=True, include_srid=True))


def keys(value: str, form: Form, city: City) -> list[str]:
    """The keys that ``value`` may mean, the surest first."""
    found = [keys[0].as_py() for keys in forms.keys(pa.array([value]), form, city)]
    return list(dict.fromkeys(key for key in found if key))


def _shape(name: str, one: Input, value: Any) -> BaseGeometry:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    try:
        read = shapely.from_wkt if isinstance(value, str) else shapely.from_geojson
        shape = read(text)
    except shapely.errors.GEOSException:
        raise WrongInputError(name, "geometry", one.example, "is neither GeoJSON nor WKT") from None
    if shapely.is_empty(shape) or not shapely.is_valid(shape):
        why = shapely.is_valid_reason(shape)
        raise WrongInputError(name, "valid geometry", one.example, f"cannot be used: {why}")
    wanted = _SHAPES[one.shape or "area"]
    if shape.geom_type not in wanted:
        said = f"is a {shape.geom_type}, not a {wanted[0]}"
        raise WrongInputError(name, one.shape or "area", one.example, said)
    return shape
