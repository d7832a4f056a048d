"""The body of a request: a GeoJSON feature, read strictly, as values by the contract's fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.contracts.field import Field, FieldType
from pipeline.contracts.layer import LayerContract
from pipeline.edits.refusals import Malformed
from pipeline.findings import Finding

_JSON_TYPES: dict[FieldType, tuple[type, ...]] = {
    "text": (str,),
    "parcel_code": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "date": (str,),
    "datetime": (str,),
}
_WHOLE = 2**63


@dataclass
class Draft:
    """A row as a client wants it. ``values`` are JSON values by field, of those that were given;
    ``personal`` go a way of their own. ``shape`` has x before y, whatever its CRS says."""

    id: int | str | None
    values: dict[str, Any]
    personal: dict[str, str | None]
    shape: BaseGeometry | None
    findings: list[Finding] = field(default_factory=list)


def parsed(content: bytes) -> dict[str, Any]:
    """The object that the body holds; Malformed where it is none."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Malformed("the body is not a JSON object")
    return found


def merged(target: Any, patch: Any) -> Any:
    """``target`` with ``patch`` applied (RFC 7396: null takes a member away)."""
    if not isinstance(patch, Mapping):
        return patch
    made = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merged(made.get(name), value)
    return made


def draft(
    found: Mapping[str, Any], layer: LayerContract, names: Mapping[str, Field], *, flipped: bool
) -> Draft:
    """The row that the feature ``found`` describes. ``names`` are the fields that the client knows
    by what it calls them; ``flipped``: coordinates have the north first."""
    if found.get("type") != "Feature":
        raise Malformed('the body is no GeoJSON feature: its "type" must be "Feature"')
    properties = found.get("properties")
    if properties is not None and not isinstance(properties, Mapping):
        raise Malformed('"properties" must be an object')
    made = Draft(_identity(found), {}, {}, None)
    personal = {one.name for one in layer.personal}
    for name, value in (properties or {}).items():
        if name in personal:
            _personal(made, layer, name, value)
        elif name in names:
            _value(made, layer, names[name], value)
        else:
            made.findings.append(Finding("edit.unknown_property", layer.id, field=name))
    _shape(made, layer, found.get("geometry"), flipped=flipped)
    return made


def _identity(found: Mapping[str, Any]) -> int | str | None:
    number = found.get("id")
    if number is not None and not isinstance(number, int | str):
        raise Malformed('"id" must be a number or a text')
    return number


def _personal(made: Draft, layer: LayerContract, name: str, value: Any) -> None:
    """What is personal is in no finding: only that it is no text."""
    if value is None or isinstance(value, str):
        made.personal[name] = value
    else:
        made.findings.append(Finding("value.type", layer.id, field=name, detail="text"))


def _value(made: Draft, layer: LayerContract, known: Field, value: Any) -> None:
    if known.several and isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value) or None
    wanted = _JSON_TYPES[known.type]
    fits = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
    if isinstance(value, int) and not isinstance(value, bool):
        fits = fits and -_WHOLE <= value < _WHOLE
    if value is None or fits:
        made.values[known.name] = value
        return
    said = orjson.dumps(value).decode()[:200]
    made.findings.append(
        Finding("value.type", layer.id, field=known.name, value=said, detail=known.type)
    )


def _shape(made: Draft, layer: LayerContract, found: Any, *, flipped: bool) -> None:
    if found is None:
        return
    if layer.geometry is None:
        said = "the layer has no geometry"
        made.findings.append(Finding("geometry.unreadable", layer.id, detail=said))
        return
    if not isinstance(found, Mapping):
        raise Malformed('"geometry" must be a GeoJSON geometry or null')
    try:
        shape = shapely.from_geojson(orjson.dumps(found))
    except (shapely.errors.GEOSException, orjson.JSONEncodeError) as error:
        said = str(error).partition("\n")[0]
        made.findings.append(Finding("geometry.unreadable", layer.id, detail=said))
        return
    made.shape = turned(shape) if flipped else shape


def turned(shape: BaseGeometry) -> BaseGeometry:
    """``shape`` with x and y exchanged."""
    swapped: BaseGeometry = shapely.transform(
        shape, lambda points: np.column_stack([points[:, 1], points[:, 0]])
    )
    return swapped
