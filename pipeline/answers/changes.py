"""What has changed between two answers to the same question, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: Members that say where a fact is from, not what it is.
PROVENANCE = ("run", "sources", "stale", "receipt")
#: How the name of a member ends by which an item of a list is known again.
_KEYS = ("_code", "_no", "_id", "code", "letter", "area", "layer", "sheet")
_Change = dict[str, Any]


def between(before: Any, after: Any) -> list[_Change]:
    """Every field whose value differs: ``field``, ``before`` and ``after``, None for nothing."""
    return list(_differences("", facts(before), facts(after)))


def facts(value: Any) -> Any:
    """``value`` without what says where it is from, and without members that say nothing."""
    if isinstance(value, dict):
        return {
            name: facts(inner)
            for name, inner in value.items()
            if name not in PROVENANCE and inner is not None
        }
    if isinstance(value, list):
        return [facts(inner) for inner in value]
    return value


def _differences(field: str, before: Any, after: Any) -> Iterator[_Change]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            inner = f"{field}.{name}" if field else name
            yield from _differences(inner, before.get(name), after.get(name))
    elif _of_objects(before) and _of_objects(after):
        then, now = _named(before), _named(after)
        for name in dict.fromkeys((*then, *now)):
            yield from _differences(f"{field}[{name}]", then.get(name), now.get(name))
    else:
        yield {"field": field, "before": before, "after": after}


def _of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _named(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Items by what they are known by; by their number where that is nothing."""
    found: dict[str, dict[str, Any]] = {}
    for place, item in enumerate(items, 1):
        parts = [
            str(value)
            for name, value in sorted(item.items())
            if name.endswith(_KEYS) and isinstance(value, str | int)
        ]
        name = " ".join(parts) or str(place)
        found[name if name not in found else f"{name} {place}"] = item
    return found
