"""Answers of processes as people read them: members by what they are called, codes in words.

An answer's members are named by the titles of the layers' fields and by the code list
``answer_member``; so a page needs to know no process. The page (templates/processes/_told.html)
gets a tree of nodes: a text, pairs, a table, or a list of nodes; and what lies on the ground apart,
for its map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.contracts.base import Text
from pipeline.contracts.codelist import Codelist
from pipeline.contracts.registry import LAYERS, Schemas
from pipeline.serve.site import Site

Node = dict[str, Any]
_SHAPES = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"}
_UNITS = {
    "_m2": "m²", "_m": "m", "_pct": "%", "_deg": "°", "_ghz": "GHz",
    "_irr": {"en": "rials", "fa": "ریال"},
}  # fmt: skip
_MEMBERS, _WORDS = "answer_member", "answer_word"
#: Where a fact is from: the load, which its row of the sources tells more of.
_RUN, _LAYER, _SOURCES, _STALE = "run", "layer", "sources", "stale"
#: Members that name what has a shape.
_NAMES = ("name", "title", "label")
_SOURCE = (_LAYER, "file", "loaded")


@dataclass
class Words:
    """What members and their values are called in one language; ``labels``: values of a process's
    own inputs."""

    language: str
    names: dict[str, str]
    codes: dict[str, Codelist]
    words: Codelist
    labels: Mapping[str, Mapping[str, Text]] = field(default_factory=dict)

    def name(self, member: str) -> str:
        """The title of ``member`` with its unit, or as it is."""
        said = self.names.get(member)
        if said is None:
            return member
        unit = next((_UNITS[end] for end in _UNITS if member.endswith(end)), None)
        unit = unit[self.language] if isinstance(unit, Mapping) else unit
        return f"{said} ({unit})" if unit else said

    def value(self, member: str, value: str) -> str | None:
        """The word for a code, None for what is no code."""
        listed = self.labels.get(member) or self.codes.get(member, self.words).entries
        return listed[value].of(self.language) if value in listed else None


def words(schemas: Schemas, language: str) -> Words:
    """What the contracts and the two code lists call things."""
    names: dict[str, str] = {}
    codes: dict[str, Codelist] = {_LAYER: schemas.codelists[LAYERS]}
    for layer in schemas.layers.values():
        for one in layer.fields:
            name = schemas.city.published(one.name)
            names.setdefault(name, one.title.of(language))
            listed = schemas.codes(one)
            if listed:
                codes.setdefault(name, listed)
    for code, title in schemas.codelists[_MEMBERS].entries.items():
        names[code] = title.of(language)
    return Words(language, names, codes, schemas.codelists[_WORDS])


@dataclass
class Telling:
    """One answer being told; ``shapes`` is what of it lies on the ground, as GeoJSON features."""

    words: Words
    shapes: list[dict[str, Any]] = field(default_factory=list)

    def sections(self, answer: Mapping[str, Any]) -> list[Node]:
        """The members of an answer: plain ones together, then each that holds others by itself."""
        told = [
            (self.words.name(name), self._node(name, value, answer))
            for name, value in self._members(answer)
            if name not in (_SOURCES, _STALE)
        ]
        plain = [pair for pair in told if pair[1]["kind"] in ("text", "shape", "none")]
        rest = [
            {"title": title, "node": node} for title, node in told if (title, node) not in plain
        ]
        return [{"title": None, "node": _pairs(plain)}, *rest] if plain else rest

    def asked(self, inputs: Mapping[str, Any], titles: Mapping[str, str]) -> Node:
        """What was asked, without the inputs that were left empty."""
        given = {name: value for name, value in inputs.items() if value not in (None, "")}
        rows = [(titles.get(name, name), self._node(name, given[name], given)) for name in given]
        return _pairs(rows)

    def sources(self, answer: Mapping[str, Any]) -> Node | None:
        """The deliveries that the facts are from."""
        found = answer.get(_SOURCES) or {}
        if not found:
            return None
        heads = [self.words.name(name) for name in (_RUN, *_SOURCE)]
        rows = [
            [_text(run), *(self._node(name, one.get(name), one) for name in _SOURCE)]
            for run, one in found.items()
        ]
        return {"kind": "table", "heads": heads, "rows": rows}

    def _members(self, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Members in their order, the load last; of a name in both languages the reader's, or the
        one there is."""
        mine, other = (f"_{one}" for one in sorted(("en", "fa"), key=self.words.language.__ne__))
        for name, inner in sorted(value.items(), key=lambda pair: pair[0] == _RUN):
            base = name[: -len(mine)]
            if name.endswith(other) and base + mine in value:
                continue
            if name.endswith(mine) and base + other in value:
                yield base, inner or value[base + other]
            else:
                yield name, inner

    def _node(self, name: str, value: Any, around: Mapping[str, Any]) -> Node:
        if value is None or value in ("", [], {}):
            return {"kind": "none"}
        if isinstance(value, Mapping):
            return self._mapping(value, around)
        if isinstance(value, list | tuple):
            return self._list(name, value, around)
        word = self.words.value(name, value) if isinstance(value, str) else None
        return _text(value) if word is None else {"kind": "text", "value": word, "code": value}

    def _mapping(self, value: Mapping[str, Any], around: Mapping[str, Any]) -> Node:
        if value.keys() == {"en", "fa"}:
            return _text(value[self.words.language])
        if value.get("type") in _SHAPES and "coordinates" in value:
            return self._shape(value, around)
        told = [(self.words.name(n), self._node(n, v, value)) for n, v in self._members(value)]
        return _pairs(told)

    def _shape(self, value: Mapping[str, Any], around: Mapping[str, Any]) -> Node:
        texts = {name: one for name, one in self._members(around) if isinstance(one, str)}
        named = [texts[name] for name in _NAMES if name in texts]
        properties = {"label": next(iter(named), "")}
        number = len(self.shapes)
        feature = {"type": "Feature", "id": number, "geometry": value, "properties": properties}
        self.shapes.append(feature)
        if value["type"] != "Point":
            return {"kind": "shape"}
        return _text(", ".join(f"{part:.6f}" for part in value["coordinates"][:2]))

    def _list(self, name: str, values: list[Any] | tuple[Any, ...], around: Any) -> Node:
        if not all(isinstance(one, Mapping) and one.get("type") not in _SHAPES for one in values):
            return {"kind": "list", "plain": True,
                    "items": [self._node(name, one, around) for one in values]}  # fmt: skip
        nodes = [dict(self._told(one)) for one in values]
        heads = list(dict.fromkeys(title for one in nodes for title in one))
        if any(node["kind"] in ("pairs", "table") for one in nodes for node in one.values()):
            return {"kind": "list", "items": [_pairs(list(one.items())) for one in nodes]}
        rows = [[one.get(title, {"kind": "none"}) for title in heads] for one in nodes]
        return {"kind": "table", "heads": heads, "rows": rows}

    def _told(self, value: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
        for name, inner in self._members(value):
            yield self.words.name(name), self._node(name, inner, value)


def _text(value: Any) -> Node:
    return {"kind": "text", "value": value}


def _pairs(rows: list[tuple[str, Node]]) -> Node:
    return {"kind": "pairs", "rows": rows}


def page(
    site: Site, process: str, language: str, answer: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """What the page of an answer of ``process`` tells: ``asked``, ``sections``, ``sources`` and
    ``shapes``."""
    key = ("told", language)
    if key not in site.static:
        site.static[key] = words(site.schemas, language)
    offered = site.answerer.offered[process]
    titles = {name: one.title.of(language) for name, one in offered.items()}
    labels = {name: one.labels for name, one in offered.items() if one.labels}
    telling = Telling(replace(site.static[key], labels=labels))
    return {
        "asked": Telling(telling.words).asked(asked, titles),
        "sections": telling.sections(answer),
        "sources": telling.sources(answer),
        "shapes": telling.shapes,
    }
