"""Features 3 and 5, CQL2: abstract tests for any data (OGC 19-079r2, 23-058r1, 21-065r2).

CQL2's own examples with known results are in tests/api/test_cql2_standard.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import shapely
from jsonschema import Draft201909Validator

from .conftest import REL, Api, links

FILTER = "ogcapi-features-3/1.0/conf"
SCHEMAS = "ogcapi-features-5/1.0/conf"
CQL2 = "cql2/1.0/conf"
SLIM = {"skipGeometry": "true", "properties": ""}
#: What abstract test /conf/basic-cql2/comparison compares queryables with, by their type.
VALUES = {
    ("string", None): "'foo'",
    ("boolean", None): "true",
    ("number", None): "3.14",
    ("integer", None): "1",
    ("string", "date-time"): "TIMESTAMP('2022-04-14T14:48:46Z')",
    ("string", "date"): "DATE('2022-04-14')",
}
WORLD = "POLYGON((-180 -90,180 -90,180 90,-180 90,-180 -90))"
SHAPES = {
    "point": ["POINT(7.02 49.92)", "POINT(90 80)"],
    "box": ["BBOX(-180,-90,180,90)"],
    "more": [
        *(WORLD, "LINESTRING(7 50, 10 51)", "MULTIPOINT((7 50),(10 51))"),
        "MULTILINESTRING((-180 -45, 0 -45),(0 45, 180 45))",
        "MULTIPOLYGON(((-180 -90,-90 -90,-90 90,-180 90,-180 -90)),((0 0,10 0,10 10,0 10,0 0)))",
        "GEOMETRYCOLLECTION(POINT(7.02 49.92),POLYGON((0 0,10 0,10 10,0 10,0 0)))",
    ],
}


def _ids(api: Api, name: str, text: str, **more: Any) -> set[int]:
    """Features that a filter finds; the page is long enough for all that is compared."""
    page = api.json(f"/collections/{name}/items", filter=text, limit=10_000, **SLIM, **more)
    return {feature["id"] for feature in page["features"]}


def _schema(api: Api, name: str, part: str) -> dict[str, Any]:
    answer = api.get(f"/collections/{name}/{part}", f="json")
    assert answer.headers["content-type"] == "application/schema+json"
    found: dict[str, Any] = answer.json()
    return found


def _queryables(
    api: Api, among: list[dict[str, Any]] | None = None
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for one in among or api.features:
        for name, told in _schema(api, one["id"], "queryables")["properties"].items():
            yield one["id"], name, told


@pytest.mark.proves(f"{FILTER}/queryables", f"{SCHEMAS}/queryables")
def test_queryables(api: Api) -> None:
    """get-conformance, queryables-link, queryables-op, queryables-response, queryable-names."""
    for one in api.features:
        found = {link["type"]: link["href"] for link in links(one, f"{REL}/queryables")}
        schema = _schema(api, one["id"], "queryables")
        assert api.json(found["application/schema+json"]) == schema
        Draft201909Validator.check_schema(schema)
        assert schema["$id"].endswith(f"/collections/{one['id']}/queryables")
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert schema["properties"]
        for name, told in schema["properties"].items():
            assert "type" in told or told["format"].startswith("geometry-"), name
            assert told["title"]


@pytest.mark.proves(f"{FILTER}/queryables-query-parameters")
def test_queryables_are_parameters(api: Api) -> None:
    """query-param, parameters: equality with a value that a feature has."""
    for one in api.features:
        path = f"/collections/{one['id']}/items"
        known = api.parameters(path)
        feature = api.json(path, limit=1)["features"][0]
        for name, value in feature["properties"].items():
            if name not in known or value is None:
                continue
            assert known[name]["style"] == "form"
            assert known[name]["explode"] is False
            text = json.dumps(value) if not isinstance(value, str) else value
            found = api.client.get(
                path, params={name: text, "limit": "10000", "skipGeometry": "true"}
            ).json()
            assert feature["id"] in [other["id"] for other in found["features"]], name
            assert all(f["properties"][name] == value for f in found["features"]), name


@pytest.mark.proves(f"{FILTER}/filter", f"{FILTER}/features-filter")
def test_filter_parameters(api: Api) -> None:
    """filter-param, filter-lang-param, filter-crs-param, -wgs84, -param, expression-construction,
    mixing-expressions, response, not-null."""
    for one in api.features:
        path = f"/collections/{one['id']}/items"
        known = api.parameters(path)
        assert known["filter"]["schema"]["type"] == "string"
        assert known["filter-lang"]["schema"]["enum"] == ["cql2-text", "cql2-json"]
        first = min(_ids(api, one["id"], "true"))
        assert _ids(api, one["id"], f"id = {first}") == {first}
        # With other parameters a feature must meet all of them.
        if one in api.shaped:
            assert _ids(api, one["id"], f"id = {first}", bbox="1,1,2,2") == set()
        tree = json.dumps({"op": "=", "args": [{"property": "id"}, first]})
        assert _ids(api, one["id"], tree, filter_lang="cql2-json") == {first}
        for wrong in ("id =", "nothing_of_this_name = 1", "id = 'x'", "unknown(id)"):
            assert api.get(path, filter=wrong).status_code == 400, wrong
        assert api.get(path, filter="true", filter_lang="sql").status_code == 400
        assert api.get(path, filter="true", filter_crs="EPSG:1").status_code == 400


@pytest.mark.proves(f"{FILTER}/features-filter", f"{CQL2}/basic-spatial-functions")
def test_filters_in_each_crs(api: Api) -> None:
    """filter-crs-param: a geometry literal is in that CRS, in its axis order."""
    for one in api.shaped:
        for uri in one["crs"]:
            feature = api.json(f"/collections/{one['id']}/items", limit=1, crs=uri)["features"][0]
            box = shapely.geometry.shape(feature["geometry"]).bounds
            # Points are served rounded: a box round the served one holds the stored one.
            edge = 0.01 if abs(box[0]) > 180 else 1e-7
            box = (box[0] - edge, box[1] - edge, box[2] + edge, box[3] + edge)
            text = f"S_INTERSECTS(geometry,BBOX({','.join(map(repr, box))}))"
            assert feature["id"] in _ids(api, one["id"], text, filter_crs=uri), uri


@pytest.mark.proves(f"{CQL2}/basic-cql2", f"{CQL2}/cql2-text", f"{CQL2}/cql2-json")
def test_comparisons(api: Api) -> None:
    """/conf/basic-cql2: basic-test, comparison, is-null, boolean, logical."""
    for one in api.features:
        assert _ids(api, one["id"], "false") == set()
    for collection, name, told in _queryables(api):
        value = VALUES.get((str(told.get("type")), told.get("format")))
        found = {op: set[int]() for op in ("=", "<>", "<", ">=", ">", "<=")}
        for op in found if value else ():
            found[op] = _ids(api, collection, f'"{name}" {op} {value}')
            if op in ("=", ">"):
                tree = json.dumps({"op": op, "args": [{"property": name}, _json(str(value))]})
                assert _ids(api, collection, tree, filter_lang="cql2-json") == found[op]
        for one, other in (("=", "<>"), (">", "<="), ("<", ">=")):
            assert not found[one] & found[other], (collection, name)
        empty = _ids(api, collection, f'"{name}" IS NULL')
        there = _ids(api, collection, f'"{name}" is not null')
        assert not empty & there
        if value:
            every = there | empty
            assert found["="] | found["<>"] == there
            assert _ids(api, collection, f'NOT ("{name}" IS NULL) OR "{name}" IS NULL') == every
            assert _ids(api, collection, f'("{name}" = {value} AND "{name}" <> {value})') == set()


def _json(value: str) -> Any:
    """A value of CQL2 text as CQL2 JSON has it."""
    if "(" not in value:
        return json.loads(value.replace("'", '"'))
    kind, text = value.rstrip(")").split("(")
    return {kind.lower(): text.strip("'")}


@pytest.mark.proves(f"{CQL2}/advanced-comparison-operators")
def test_like_between_in(api: Api) -> None:
    """like-test, between-test, in-test."""
    for collection, name, told in _queryables(api):
        kind = told.get("type")
        if kind == "string" and "format" not in told:
            there = _ids(api, collection, f'"{name}" IS NOT NULL')
            assert _ids(api, collection, f"\"{name}\" LIKE '%'") == there
            assert _ids(api, collection, f"\"{name}\" like '_%'") <= there
            assert _ids(api, collection, f"\"{name}\" like '\\%\\_'") <= there
            for pattern in ("", "%%"):
                assert _ids(api, collection, f"\"{name}\" NOT LIKE '{pattern}'") <= there
        if kind in ("integer", "number"):
            there = _ids(api, collection, f'"{name}" >= 0 AND "{name}" <= 100')
            assert _ids(api, collection, f'"{name}" BETWEEN 0 AND 100') == there
            assert _ids(api, collection, f'"{name}" NOT BETWEEN 100.0 and 1.0') >= there
            assert _ids(api, collection, f'"{name}" in (1, 2)') <= there
            assert not there & _ids(api, collection, f'NOT ("{name}" BETWEEN 0 AND 100)')


@pytest.mark.proves(f"{CQL2}/case-insensitive-comparison", f"{CQL2}/accent-insensitive-comparison")
def test_case_and_accents(api: Api) -> None:
    """casei-test, accenti-test: folded on both sides, the spelling of the value is the same."""
    for collection, name, told in _queryables(api):
        if told.get("type") != "string" or "format" in told:
            continue
        for way, one, other in (
            ("CASEI", "'foo'", "'FOO'"),
            ("ACCENTI", "'äöüéáí'", "'aoueai'"),
            ("CASEI", "'ΟΔΟΣ'", "'οδος'"),
        ):
            for op in ("=", "<>"):
                found = [
                    _ids(api, collection, f'{way}("{name}") {op} {way.lower()}({value})')
                    for value in (one, other)
                ]
                assert found[0] == found[1]
            upper = _ids(api, collection, f"{way}(\"{name}\") LIKE {way.lower()}('%a%')")
            assert upper <= _ids(api, collection, f'"{name}" IS NOT NULL')


def _spatial(
    api: Api, op: str, shapes: list[str], geometries: list[dict[str, Any]] | None = None
) -> None:
    for one in geometries or api.shaped:
        for shape in shapes:
            assert isinstance(_ids(api, one["id"], f"{op}(geometry,{shape})"), set)


@pytest.mark.proves(f"{CQL2}/basic-spatial-functions", f"{CQL2}/basic-spatial-operators")
def test_intersects_points_and_boxes(api: Api) -> None:
    for one in api.shaped:
        there = _ids(api, one["id"], "geometry IS NOT NULL")
        assert _ids(api, one["id"], "S_INTERSECTS(geometry,BBOX(-180,-90,180,90))") == there
        west = "S_INTERSECTS(geometry,BBOX(-180,-90,-90,90))"
        east = "S_INTERSECTS(geometry,BBOX(90,-90,180,90))"
        assert _ids(api, one["id"], f"{west} AND {east}") == set()
        assert _ids(api, one["id"], f"S_INTERSECTS(geometry,{SHAPES['point'][0]})") == set()


@pytest.mark.proves(f"{CQL2}/basic-spatial-functions-plus")
def test_intersects_any_geometry(api: Api) -> None:
    _spatial(api, "S_INTERSECTS", [*SHAPES["point"], *SHAPES["box"], *SHAPES["more"]])


@pytest.mark.proves(f"{CQL2}/spatial-functions")
@pytest.mark.parametrize(
    "name", ["DISJOINT", "EQUALS", "TOUCHES", "CROSSES", "WITHIN", "CONTAINS", "OVERLAPS"]
)
def test_spatial_functions(api: Api, name: str) -> None:
    _spatial(api, f"S_{name}", [*SHAPES["box"], *SHAPES["more"]], api.shaped[:2])
    for one in api.shaped[:2]:
        there = _ids(api, one["id"], "geometry IS NOT NULL")
        found = _ids(api, one["id"], f"S_{name}(geometry,{WORLD})")
        assert found == (there if name == "WITHIN" else set())
        if name == "DISJOINT":
            touched = _ids(api, one["id"], f"S_INTERSECTS(geometry,{SHAPES['more'][1]})")
            apart = _ids(api, one["id"], f"S_DISJOINT(geometry,{SHAPES['more'][1]})")
            assert touched | apart == there
            assert not touched & apart


@pytest.mark.proves(f"{CQL2}/temporal-functions")
def test_temporal_functions(api: Api) -> None:
    """Every function with an instant and an interval; before, after and meeting part all."""
    asked = 0
    features = [one for one in api.collections.values() if links(one, f"{REL}/queryables")]
    features = [one for one in features if one.get("itemType") == "feature"]
    for collection, name, told in _queryables(api, features):
        if told.get("format") not in ("date", "date-time") or asked == 3:
            continue
        asked += 1
        there = _ids(api, collection, f'"{name}" IS NOT NULL')
        for when in ("DATE('2015-04-24')", "TIMESTAMP('2015-04-24T07:59:57Z')"):
            parts = [
                _ids(api, collection, f'T_{way}("{name}",{when})')
                for way in ("BEFORE", "AFTER", "INTERSECTS")
            ]
            assert set.union(*parts) == there
            assert sum(map(len, parts)) == len(there)
            assert _ids(api, collection, f'T_DISJOINT("{name}",{when})') == parts[0] | parts[1]
        during = "INTERVAL('2010-01-01','2020-12-31')"
        for way in ("CONTAINS", "DURING", "FINISHEDBY", "FINISHES", "MEETS", "METBY"):
            assert _ids(api, collection, f"T_{way}(INTERVAL(\"{name}\",'..'),{during})") <= there
        for way in ("OVERLAPPEDBY", "OVERLAPS", "STARTEDBY", "STARTS", "EQUALS"):
            assert _ids(api, collection, f"T_{way}(INTERVAL(\"{name}\",'..'),{during})") <= there
    assert asked


@pytest.mark.proves(f"{CQL2}/property-property", f"{CQL2}/arithmetic")
def test_properties_with_each_other_and_sums(api: Api) -> None:
    """A property with itself, numbers with each other, values with each other, + - * / ^ div %."""
    numbers: dict[str, list[str]] = {}
    for collection, name, told in _queryables(api):
        if told.get("type") in ("integer", "number"):
            numbers.setdefault(collection, []).append(f'"{name}"')
    for collection, names in numbers.items():
        one, other = names[0], names[-1]
        there = _ids(api, collection, f"{one} IS NOT NULL")
        assert _ids(api, collection, f"{one} = {one}") == there
        assert _ids(api, collection, f"{one} <> {one}") == set()
        both = there & _ids(api, collection, f"{other} IS NOT NULL")
        less = _ids(api, collection, f"{one} < {other}")
        assert less | _ids(api, collection, f"{one} >= {other}") == both
        assert _ids(api, collection, "1 = 1")
        assert _ids(api, collection, "3 > 5") == set()
        for sum_ in (f"{one} + 2 - 2", f"{one} * 4 / 4", f"({one} - 1) + 1"):
            assert _ids(api, collection, f"{sum_} = {one}") == there, sum_
        assert _ids(api, collection, "id div 2 * 2 + id % 2 = id") == _ids(api, collection, "true")
        assert _ids(api, collection, "id ^ 2 = id * id") == _ids(api, collection, "true")


@pytest.mark.proves(
    f"{SCHEMAS}/schemas", f"{SCHEMAS}/core-roles-features", "ogcapi-common-3/1.0/conf/schemas"
)
def test_schemas(api: Api) -> None:
    """schemas: link, op, response, properties; core roles of id, geometry and time."""
    for one in api.features:
        found = {link["type"]: link["href"] for link in links(one, f"{REL}/schema")}
        schema = _schema(api, one["id"], "schema")
        assert api.json(found["application/schema+json"]) == schema
        Draft201909Validator.check_schema(schema)
        assert schema["$id"].endswith(f"/collections/{one['id']}/schema")
        roles = [told.get("x-ogc-role") for told in schema["properties"].values()]
        assert roles.count("id") == 1
        assert roles.count("primary-geometry") <= 1
        assert roles.count("primary-instant") + roles.count("primary-interval-start") <= 1
        page = api.json(f"/collections/{one['id']}/items", limit=20)["features"]
        for feature in page:
            assert feature["properties"].keys() <= schema["properties"].keys()
            assert (feature["geometry"] is not None) <= ("primary-geometry" in roles)
