"""Answers as pages tell them: members by their names, codes in words, one language."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.serve import told
from pipeline.serve.told import Telling


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return registry.load("qom")


def plain(node: dict[str, Any]) -> Any:
    """What a reader sees of a node."""
    match node["kind"]:
        case "pairs":
            return {title: plain(inner) for title, inner in node["rows"]}
        case "table":
            return [node["heads"], *([plain(one) for one in row] for row in node["rows"])]
        case "list":
            return [plain(one) for one in node["items"]]
    return node.get("value")


ANSWER = {
    "total_m2": 20.5,
    "project": {"run": 22, "title_fa": "تعریض", "title_en": "Widening", "notice_date": None},
    "parcels": [
        {"run": 29, "extent": "partial", "land_use": "residential", "area_m2": 20.5},
        {"run": 29, "extent": "full", "land_use": "no such code", "area_m2": 0},
    ],
    "slivers": [],
    "sources": {"29": {"layer": "parcel", "file": "a.gpkg", "loaded": "2026-11-27T00:27:57Z"}},
}


def test_members_and_codes_are_told_in_the_readers_words(schemas: Schemas) -> None:
    telling = Telling(told.words(schemas, "fa"))
    first, project, parcels = telling.sections(ANSWER)
    assert plain(first["node"]) == {"جمع (m²)": 20.5, "باریکه‌ها": None}
    assert project["title"] == "طرح اجرایی"
    assert plain(project["node"])["عنوان"] == "تعریض"
    assert "Widening" not in str(plain(project["node"]))
    assert plain(parcels["node"])[0][-1] == "بارگذاری"
    assert plain(parcels["node"])[1][:2] == ["بخشی", "مسکونی"]
    assert plain(parcels["node"])[2][:2] == ["کامل", "no such code"]
    assert plain(telling.sources(ANSWER) or {})[1][1:3] == ["قطعات ملکی", "a.gpkg"]


def test_what_the_reader_does_not_have_is_told_in_the_language_there_is(schemas: Schemas) -> None:
    telling = Telling(told.words(schemas, "en"))
    (section,) = telling.sections({"within": {"name_fa": "صفاشهر", "name_en": None}})
    assert plain(section["node"]) == {"Name": "صفاشهر"}


def test_places_go_to_the_map(schemas: Schemas) -> None:
    place = {"type": "Point", "coordinates": [50.875249, 34.640262]}
    area = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    telling = Telling(told.words(schemas, "en"))
    found = {"offices": [{"phone": "025", "point": place, "name_en": "Fire", "name_fa": "آتش"}]}
    (section,) = telling.sections({**found, "polygon": area})[1:]
    assert "50.875249, 34.640262" in plain(section["node"])[1]
    assert [one["geometry"] for one in telling.shapes] == [place, area]
    assert telling.shapes[0]["properties"] == {"label": "Fire"}


def members(schema: Any) -> set[str]:
    """The names of all members of a JSON Schema's objects."""
    if isinstance(schema, list):
        return set().union(*map(members, schema))
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties")
    found = set(own) if isinstance(own, dict) else set()
    return found.union(*map(members, schema.values()))


def test_every_member_of_an_answer_page_has_its_name(schemas: Schemas) -> None:
    """Documents have templates of their own; an echo's members are its caller's."""
    names = told.words(schemas, "fa").names
    ends = {name.removesuffix("_fa") for name in names if name.endswith("_fa")}
    for process in schemas.processes.values():
        if process.document or process.verifies or process.id == "echo":
            continue
        answer = json.loads(schemas.process_file(process, "schema.json").read_text("utf-8"))
        # Codes of zones and terms of formulas are names themselves.
        named = {one for one in members(answer) if one.islower() and "[" not in one}
        assert named - set(names) - ends - {"en", "fa"} == set(), process.id
