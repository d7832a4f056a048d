"""OGC API - Processes, Coverages, EDR: abstract tests (OGC 18-062r2, draft 19-087, 19-086r5)."""

from __future__ import annotations

import io
import time
from typing import Any
from urllib.parse import urlencode

import pytest
import rasterio

from .conftest import ASKED, REL, Api, check_links, links

PROCESSES = "ogcapi-processes-1/1.0/conf"
COVERAGES = "ogcapi-coverages-1/1.0/conf"
EXCEPTION = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
EDR = "ogcapi-edr-1/1.0/conf/core"
STATES = {"accepted", "running", "successful", "failed", "dismissed"}


@pytest.mark.proves(f"{PROCESSES}/core", f"{PROCESSES}/json")
def test_process_list(api: Api) -> None:
    """process-list, process-list-success, pl-limit-definition, pl-limit-response, pl-links."""
    (link,) = links(api.json("/"), f"{REL}/processes")
    found = api.json(link["href"])
    check_links(found)
    assert len(found["processes"]) > 1
    told = api.parameters("/processes")["limit"]["schema"]
    assert told["type"] == "integer"
    assert told["minimum"] == 1
    page, seen = api.json("/processes", limit=1), []
    while True:
        assert len(page["processes"]) == 1
        seen += page["processes"]
        following = links(page, "next")
        if not following:
            break
        page = api.json(following[0]["href"])
    assert [one["id"] for one in seen] == [one["id"] for one in found["processes"]]
    for one in found["processes"]:
        assert {"id", "version", "jobControlOptions", "outputTransmission"} <= one.keys()
    assert api.get("/processes", limit="0").status_code == 400


@pytest.mark.proves(f"{PROCESSES}/ogc-process-description", f"{PROCESSES}/html")
def test_descriptions(api: Api) -> None:
    """process-description, process-exception-no-such-process, inputs-def, outputs-def."""
    for one in api.json("/processes")["processes"]:
        path = f"/processes/{one['id']}"
        told = api.json(path)
        check_links(told)
        assert links(told, f"{REL}/execute")
        for parts in (told["inputs"], told["outputs"]):
            assert parts
            assert all("schema" in part and part["title"] for part in parts.values())
            for part in parts.values():
                _check_schema(part["schema"], path)
        page = api.client.get(path, headers={"accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html")
    answer = api.get("/processes/nothing-of-this-name", f="json")
    assert answer.status_code == 404
    assert answer.json()["type"] == f"{EXCEPTION}/no-such-process"


def _check_schema(schema: Any, where: str) -> None:
    """input-def, output-def: a Schema Object of OpenAPI 3.0, not any JSON Schema."""
    assert isinstance(schema.get("type", "string"), str), f"{where}: several types"
    unknown = schema.keys() & {"$schema", "const", "examples", "prefixItems", "$defs", "if"}
    assert not unknown, f"{where}: {unknown}"
    inner = [schema[name] for name in ("items", "not", "additionalProperties") if name in schema]
    inner += [one for name in ("allOf", "anyOf", "oneOf") for one in schema.get(name, [])]
    for part in [*inner, *schema.get("properties", {}).values()]:
        if not isinstance(part, bool):
            _check_schema(part, where)


def _example(api: Api) -> tuple[str, dict[str, Any]]:
    """A process that needs nothing but numbers and words, and an execute request for it."""
    for path, operations in api.openapi["paths"].items():
        if path.endswith("/execution") and "post" in operations:
            content = operations["post"]["requestBody"]["content"]["application/json"]
            examples = content.get("examples") or {"one": {"value": content.get("example")}}
            for found in examples.values():
                if found.get("value"):
                    asked = {"inputs": found["value"]["inputs"]}
                    if api.client.post(path, json=asked).status_code == 200:
                        return path, asked
    raise AssertionError("no process answers its own example")


@pytest.mark.proves(f"{PROCESSES}/core", f"{PROCESSES}/oas30")
def test_execution_at_once(api: Api) -> None:
    """job-creation-op, -request, -inputs, -success-sync, inputs that are wrong, process unknown."""
    path, asked = _example(api)
    answer = api.client.post(path, json=asked)
    assert answer.status_code == 200
    document = api.client.post(path, json={**asked, "response": "document"}).json()
    (output,) = api.json(path.removesuffix("/execution"))["outputs"]
    assert document.keys() == {output}
    assert api.client.post(path, json={"inputs": {"no_such_input": 1}}).status_code == 400
    assert api.client.post(path, content=b"{").status_code in (400, 415)
    unknown = api.client.post("/processes/nothing-of-this-name/execution", json=asked)
    assert unknown.status_code == 404
    assert unknown.json()["type"] == f"{EXCEPTION}/no-such-process"


@pytest.mark.proves(f"{PROCESSES}/core", f"{PROCESSES}/dismiss")
def test_execution_in_the_background(api: Api) -> None:
    """job-creation-success-async, job-op, job-success, job-results, job-exception-no-such-job,
    job-results-exception-results-not-ready, job-dismiss-op, job-dismiss-success."""
    path, asked = _example(api)
    begun = api.client.post(path, json=asked, headers={"prefer": "respond-async"})
    assert begun.status_code == 201
    place = begun.headers["location"]
    status = api.json(place)
    assert status["status"] in STATES
    assert status["type"] == "process"
    assert {"jobID", "processID"} <= status.keys()
    if status["status"] in ("accepted", "running"):
        assert links(status, "monitor")
    end = time.monotonic() + (60 if ASKED else 1)
    while status["status"] in ("accepted", "running") and time.monotonic() < end:
        early = api.get(f"{place}/results")
        if early.status_code == 404:
            assert early.json()["type"] == f"{EXCEPTION}/result-not-ready"
        time.sleep(0.2)
        status = api.json(place)
    assert status["status"] in ("successful", "accepted"), status
    if status["status"] == "successful":  # where no worker runs, jobs wait
        assert links(status, f"{REL}/results")
        assert api.get(f"{place}/results").status_code == 200
    dismissed = api.client.delete(place)
    assert dismissed.status_code == 200
    assert dismissed.json()["status"] == "dismissed"
    for address in ("/jobs/nothing", "/jobs/nothing/results"):
        answer = api.get(address)
        assert answer.status_code == 404
        assert answer.json()["type"] == f"{EXCEPTION}/no-such-job"


def _linked(api: Api, rel: str) -> list[dict[str, Any]]:
    return [one for one in api.collections.values() if links(one, f"{REL}/{rel}")]


@pytest.mark.proves(
    f"{COVERAGES}/core", f"{COVERAGES}/geodata-coverage", f"{COVERAGES}/coverage-bbox",
    f"{COVERAGES}/coverage-subset", f"{COVERAGES}/oas30",
)  # fmt: skip
def test_coverages(api: Api) -> None:
    """The whole, a box and a subset of axes, as GeoTIFF and CoverageJSON; no content outside."""
    found = _linked(api, "coverage")
    assert found
    for one in found:
        path = f"/collections/{one['id']}/coverage"
        assert path in api.openapi["paths"]
        whole = _tiff(api.get(path, f="GTiff"))
        east, north = whole["bounds"][0], whole["bounds"][1]
        part = api.get(path, f="GTiff", subset=f"E({east}:{east + 50}),N({north}:{north + 50})")
        pixel = (whole["bounds"][2] - east) / whole["size"][0]
        assert _tiff(part)["size"] == pytest.approx((50 / pixel, 50 / pixel), abs=1)
        west, south, *_ = one["extent"]["spatial"]["bbox"][0]
        box = f"{west},{south},{west + 0.001},{south + 0.001}"
        assert 0 < _tiff(api.get(path, f="GTiff", bbox=box))["size"][0] < whole["size"][0]
        grid = api.json(path, bbox=box)
        assert grid["type"] == "Coverage"
        assert grid["domain"]["domainType"] == "Grid"
        assert grid["ranges"].keys() == grid["parameters"].keys()
        assert api.get(path, f="GTiff", bbox="1,1,1.1,1.1").status_code == 204
        for wrong in ({"bbox": "1,2"}, {"subset": "Q(1:2)"}, {"subset": "E(2:1)"}):
            assert api.get(path, f="GTiff", **wrong).status_code == 400, wrong


def _tiff(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("image/tiff")
    with rasterio.open(io.BytesIO(answer.content)) as dataset:
        return {"size": (dataset.width, dataset.height), "bounds": dataset.bounds}


@pytest.mark.proves(EDR)
def test_edr_collections(api: Api) -> None:
    """rc-collection-info, rc-data_queries, rc-md-query-links, parameters, output formats, CRSs."""
    found = [one for one in api.collections.values() if "data_queries" in one]
    assert found
    for one in found:
        assert {"id", "links", "extent", "crs", "output_formats", "parameter_names"} <= one.keys()
        link = one["data_queries"]["position"]["link"]
        assert link["variables"]["query_type"] == "position"
        assert set(link["variables"]["output_formats"]) == set(one["output_formats"])
        for name, told in one["parameter_names"].items():
            assert told["type"] == "Parameter"
            assert told["id"] == name
            assert isinstance(told["observedProperty"]["label"], str)
            assert isinstance(told["description"], str)


@pytest.mark.proves(EDR)
def test_edr_positions(api: Api) -> None:
    """position: coords-definition, coords-response, crs; what is wrong is 400, outside 204."""
    one = next(found for found in api.collections.values() if "data_queries" in found)
    path = f"/collections/{one['id']}/position"
    assert api.parameters(path)["coords"]["required"]
    west, south, east, north = one["extent"]["spatial"]["bbox"][0]
    point = f"POINT({(west + east) / 2} {(south + north) / 2})"
    for given in ({}, {"parameter_name": next(iter(one["parameter_names"]))}):
        found = api.json(path, coords=point, **given)
        assert found["type"] == "Coverage"
        assert found["domain"]["domainType"] == "Point"
        assert found["ranges"].keys() == one["parameter_names"].keys()
    assert api.get(path, coords="POINT(1 1)").status_code == 204
    names = api.parameters(path)["parameter-name"]["schema"]["items"]["enum"]
    assert names == list(one["parameter_names"])
    for wrong in ({}, {"coords": "POINT(1"}, {"coords": point, "crs": "EPSG:0"}):
        assert api.get(path, **wrong).status_code == 400, wrong


@pytest.mark.proves(EDR)
def test_edr_formats(api: Api) -> None:
    """rc-f-definition, rc-f-response: the names that a query's link gives of its formats are what
    ``f`` takes."""
    for one in (found for found in api.collections.values() if "data_queries" in found):
        west, south, east, north = one["extent"]["spatial"]["bbox"][0]
        at = {"position": f"POINT({(west + east) / 2} {(south + north) / 2})",
              "trajectory": f"LINESTRING({west} {south},{east} {north})"}  # fmt: skip
        for query, told in one["data_queries"].items():
            path = f"/collections/{one['id']}/{query}"
            said = told["link"]["variables"]
            assert said["default_output_format"] in said["output_formats"]
            assert set(said["output_formats"]) <= set(api.parameters(path)["f"]["schema"]["enum"])
            for form in said["output_formats"]:
                answer = api.get(path, coords=at[query], f=form)
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-type"] == told["link"]["type"]
                assert answer.json() == api.json(path, coords=at[query])
            assert api.get(path, coords=at[query], f="NetCDF").status_code == 400


@pytest.mark.proves(EDR)
def test_edr_trajectories(api: Api) -> None:
    """trajectory: coords-definition, coords-response; what is no line is 400, outside 204."""
    one = next(found for found in api.collections.values() if "data_queries" in found)
    path = f"/collections/{one['id']}/trajectory"
    assert one["data_queries"]["trajectory"]["link"]["variables"]["query_type"] == "trajectory"
    assert api.parameters(path)["coords"]["required"]
    west, south, east, north = one["extent"]["spatial"]["bbox"][0]
    middle = (south + north) / 2
    line = f"LINESTRING({(3 * west + east) / 4} {middle},{(west + 3 * east) / 4} {middle})"
    found = api.json(path, coords=line)
    places = found["domain"]["axes"]["composite"]["values"]
    assert len(places) > 10
    assert [place[0] for place in places] == sorted(place[0] for place in places)
    (values,) = (one["values"] for one in found["ranges"].values())
    assert len(values) == len(places)
    assert api.get(path, coords="LINESTRING(1 1,2 2)").status_code == 204
    for wrong in ({}, {"coords": "POINT(1 1)"}, {"coords": "LINESTRING(1 1"}):
        assert api.get(path, **wrong).status_code == 400, wrong


def test_what_is_made_of_pixels_is_told_by_304_while_they_stay(api: Api) -> None:
    """Coverages, heights and pictures of rasters have the tags that all other answers have."""
    one = next(found for found in api.collections.values() if "data_queries" in found)
    west, south, east, north = one["extent"]["spatial"]["bbox"][0]
    x, y = (west + east) / 2, (south + north) / 2
    here = f"/collections/{one['id']}"
    line = urlencode({"coords": f"LINESTRING({x} {y},{x + 1e-3} {y})"})
    wms = (
        "SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&CRS=EPSG:4326&STYLES=&WIDTH=50&HEIGHT=50"
        f"&FORMAT=image/png&LAYERS={one['id']}"
        f"&BBOX={y - 1e-3},{x - 1e-3},{y + 1e-3},{x + 1e-3}"
    )
    asked = [
        f"{here}/coverage?f=GTiff&scale-factor=20", f"{here}/coverage?f=json&scale-factor=20",
        f"{here}/position?{urlencode({'coords': f'POINT({x} {y})'})}", f"{here}/trajectory?{line}",
        f"{here}/map?width=50", f"/wms?{wms}",
    ]  # fmt: skip
    tags = set()
    for address in asked:
        first = api.client.get(address)
        assert first.status_code == 200, first.text
        assert first.headers["cache-control"] == "no-cache"
        tags.add(first.headers["etag"])
        again = api.client.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304, address
        assert not again.content
        other = api.client.get(address, headers={"If-None-Match": '"another"'})
        assert other.content == first.content
    assert len(tags) == len(asked)
    wrong = api.client.get(f"{here}/coverage?f=tif")
    assert wrong.status_code == 400
    assert "GTiff" in wrong.json()["detail"]
