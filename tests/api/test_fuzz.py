"""Whatever is asked, the server never fails: no answer above 499 but an outage's."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient, httpx

from pipeline.serve import cql, params
from pipeline.serve.errors import Problem

ODD = st.sampled_from(
    ["", "NaN", "-1", "1e400", "9223372036854775808", "'", '"', "--", "%", "\\", "{", "[", "..",
     "1,2,3,4", "a,b", "2020-13-40", "0001-01-01", "9999-12-31T23:59:60Z", "true", "null", "+",
     "http://www.opengis.net/def/crs/EPSG/0/4326", "../../etc/passwd", "٣", "\u202e", "💥", "$1",
     "%(limit)s", "{view}", "land_use", "id", "geometry", "cql2-json", "html", "csv"]
)  # fmt: skip
VALUES = st.one_of(ODD, st.text(max_size=30), st.integers().map(str), st.floats().map(str))
NAMES = st.sampled_from([*params.ITEMS, "nosazi", "land_use", "area_grid_m2"])
PROPERTIES = st.sampled_from(
    ["poi_id", "name_fa", "name_en", "valid_from", "valid_to", "id", "geometry", "nope"]
)
LITERALS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=10),
    st.builds(lambda text: {"date": text}, st.sampled_from(["2020-01-01", "2020-02-30", "x"])),
    st.builds(lambda text: {"timestamp": text}, st.sampled_from(["2020-01-01T00:00:00Z", "9999"])),
    st.builds(lambda a, b: {"interval": [a, b]}, ODD, ODD),
    st.builds(
        lambda box: {"bbox": box},
        st.lists(st.floats(-1e300, 1e300), min_size=3, max_size=6),
    ),
    st.builds(
        lambda kind, points: {"type": kind, "coordinates": points},
        st.sampled_from(["Point", "LineString", "Polygon", "MultiPoint", "Nope"]),
        st.one_of(
            st.lists(st.floats(-200, 200), max_size=3),
            st.lists(st.lists(st.floats(-200, 200), min_size=2, max_size=2), max_size=5),
            st.lists(
                st.lists(st.lists(st.floats(-200, 200), min_size=2, max_size=2), max_size=6),
                max_size=2,
            ),
        ),
    ),
    st.builds(lambda name: {"property": name}, PROPERTIES),
)
OPERATORS = st.sampled_from(
    ["and", "or", "not", "=", "<>", "<", ">=", "like", "between", "in", "isNull", "casei",
     "accenti",
     "+", "-", "*", "/", "%", "div", "^", "s_intersects", "s_within", "s_crosses", "s_equals",
     "t_after", "t_during", "t_intersects", "a_contains", "pg_sleep"]
)  # fmt: skip
TREES = st.recursive(
    LITERALS,
    lambda inner: st.builds(
        lambda name, args: {"op": name, "args": args},
        OPERATORS,
        st.lists(st.one_of(inner, st.lists(inner, max_size=3)), max_size=3),
    ),
    max_leaves=8,
)
WORDS = st.lists(
    st.sampled_from(
        ["name_fa", "id", "geometry", "valid_from", "(", ")", ",", "AND", "OR", "NOT", "=", "<",
         "<>",
         "LIKE", "IN", "BETWEEN", "IS", "NULL", "'x'", "'", '"', "1", "-1.5e3", "CASEI", "ACCENTI",
         "S_INTERSECTS", "POINT", "BBOX", "T_AFTER", "DATE", "INTERVAL", "TRUE", "+", "*", "/", "%"]
    ),
    max_size=14,
).map(" ".join)  # fmt: skip
often = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def _fine(status: int) -> bool:
    return status in (200, 400, 404, 414)


@often
@given(query=st.dictionaries(NAMES, VALUES, max_size=4))
@pytest.mark.defect("clients-8")
def test_parameters(client: TestClient, query: dict[str, str]) -> None:
    try:
        answer = client.get("/collections/parcels/items", params=query)
    except UnicodeEncodeError:
        return  # a lone surrogate: no client can send it
    assert _fine(answer.status_code), (query, answer.text[:300])
    if answer.headers["content-type"] == "application/geo+json":
        json.loads(answer.content, parse_constant=pytest.fail)


@often
@given(tree=TREES)
def test_filters_as_json(client: TestClient, tree: Any) -> None:
    answer = client.post("/collections/poi/search", content=json.dumps(tree).encode(),
                         headers={"content-type": "application/json"})  # fmt: skip
    assert _fine(answer.status_code), (tree, answer.text[:300])


@often
@given(text=WORDS)
def test_filters_as_text(client: TestClient, text: str) -> None:
    answer = client.get("/collections/poi/items", params={"filter": text})
    assert _fine(answer.status_code), (text, answer.text[:300])


@often
@given(
    parts=st.lists(
        st.one_of(
            st.sampled_from(
                ["collections", "parcels", "items", "tiles", "WebMercatorQuad", "schema"]
            ),
            ODD,
            st.text(max_size=5),
            st.integers(-1, 70_000).map(str),
        ),
        max_size=7,
    )
)
@pytest.mark.defect("clients-8")
def test_addresses(client: TestClient, parts: list[str]) -> None:
    try:
        answer = client.get("/" + "/".join(parts))
    except (httpx.InvalidURL, UnicodeError):
        return  # the client itself refuses some addresses
    assert answer.status_code in (200, 204, 400, 404), (parts, answer.text[:300])


@pytest.mark.parametrize(
    "text",
    ["'" * 65_000, "'" + "\\'" * 32_000, "\\'" * 32_000, " " * 65_000, "," * 65_000, "- " * 32_000,
     '"' * 64_999, "1-" * 32_000, "a+" * 32_000, "NOT " * 16_000, "CASEI(" * 10_000, "a^" * 30_000],
)  # fmt: skip
def test_long_filters_are_judged_at_once(text: str) -> None:
    """Each took seconds, or the process, in some version of a regular expression or the parser."""
    started = time.monotonic()
    with contextlib.suppress(Problem):
        cql._tree(text, "cql2-text")
    assert time.monotonic() - started < 1
