"""What stock pygeoapi does wrong must not come back: docs/stock-defects.md against the tests.

Each defect has a number (``W1``, ``Q3``, ``clients-4`` …), and each test that keeps one away is
marked with it: ``@pytest.mark.defect("W1")``. Those that no other test asks about are asked here.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

from .conftest import Api

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| ([A-Za-z0-9.-]+) \| (.+) \| (.+) \|$", re.MULTILINE)
NUMBERED = (
    *(f"W{n}" for n in range(1, 10)),
    *(f"Q{n}" for n in range(1, 11)),
    *(f"T{n}" for n in range(1, 7)),
    *(f"C{n}" for n in range(1, 6)),
    *(f"clients-{n}" for n in range(1, 16)),
)


@cache
def _listed() -> dict[str, set[str]]:
    """The tests of each defect, as the document names them."""
    text = (ROOT / "docs" / "stock-defects.md").read_text("utf-8")
    return {
        number: set(re.findall(r"`([^`]+::[^`]+)`", told))
        for number, _, told in ROW.findall(text)
        if number != "number"
    }


@cache
def _marked() -> dict[str, set[str]]:
    """The tests that are marked with each defect."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text("utf-8")
        if "mark.defect(" not in text:
            continue
        for node in ast.parse(text).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for one in node.decorator_list:
                if isinstance(one, ast.Call) and ast.unparse(one.func) == "pytest.mark.defect":
                    for number in one.args:
                        name = f"{path.relative_to(ROOT)}::{node.name}"
                        found.setdefault(ast.literal_eval(number), set()).add(name)
    return found


def test_every_defect_has_its_test() -> None:
    assert set(NUMBERED) <= _listed().keys()
    assert _listed() == _marked()


@pytest.mark.defect("Q6")
def test_coordinates_have_as_many_decimals_as_they_deserve(api: Api) -> None:
    text = api.get("/collections/parcels/items", limit=50, f="json").text
    numbers = re.findall(r"\d+\.(\d+)", text[: text.index('"properties"')])
    assert numbers
    assert max(map(len, numbers)) <= 8


@pytest.mark.defect("Q8", "clients-7", "clients-8")
def test_a_time_without_features_is_an_empty_page(api: Api) -> None:
    address = "/collections/plan-documents/items"
    for asked in ("1900-01-01/1901-01-01", "3000-01-01/..", "3000-01-01/", "../1900-01-01"):
        assert api.json(address, datetime=asked)["numberMatched"] == 0, asked
    year_0 = "0000-01-01T00:00:00Z/9999-12-31T00:00:00Z"
    assert api.json(address, datetime=year_0)["numberMatched"] > 0
    assert api.get(address, datetime="yesterday").status_code == 400


@pytest.mark.defect("Q9", "Q2")
def test_what_is_not_understood_is_not_ignored(api: Api) -> None:
    for name in ("q", "nothing", "floors"):
        assert api.get("/collections/parcels/items", **{name: "x"}).status_code == 400, name


@pytest.mark.defect("T1", "clients-1")
def test_no_transformation_is_named_by_text() -> None:
    """PostGIS keeps no plan of those: a tile took seconds."""
    by_text = re.compile(r"ST_Transform\s*\([^()]*(?:\([^()]*\)[^()]*)*,\s*'", re.IGNORECASE)
    assert by_text.search("ST_Transform(v.geom, 'EPSG:3857')")
    for path in (ROOT / "schemas" / "sql").glob("*.sql"):
        assert not by_text.search(path.read_text("utf-8")), path
    for path in (ROOT / "pipeline").rglob("*.py"):
        assert not by_text.search(path.read_text("utf-8")), path


@pytest.mark.defect("C3", "clients-9")
def test_pictures_are_no_coverages(api: Api) -> None:
    """Bands of an orthophoto as CoverageJSON help nobody: there are tiles, maps, the file."""
    collections = api.json("/collections")["collections"]
    for one in collections:
        about = api.json(f"/collections/{one['id']}")
        links = [link["rel"] for link in about["links"]]
        answer = api.get(f"/collections/{one['id']}/coverage?bbox=50.87,34.63,50.88,34.64")
        assert (answer.status_code in (200, 204)) == any("coverage" in rel for rel in links)
        if answer.status_code == 200:
            assert None not in answer.json()["parameters"].values()
            assert "null" not in answer.json()["parameters"]


@pytest.mark.defect("1.3-admin")
def test_nothing_is_administered_over_http(api: Api) -> None:
    for path in ("/admin", "/admin/config", "/admin/config/resources"):
        for method in ("GET", "PUT", "PATCH", "POST", "DELETE"):
            answer = api.client.request(method, path, content=json.dumps({"server": {}}))
            assert answer.status_code in (404, 405), (method, path)


@pytest.mark.defect("clients-15", "T6")
def test_older_clients_find_wms_and_wmts(api: Api) -> None:
    for service, path in (("WMS", "/wms"), ("WMTS", "/wmts")):
        answer = api.get(path, SERVICE=service, REQUEST="GetCapabilities")
        assert answer.status_code == 200
        assert b"parcels" in answer.content
