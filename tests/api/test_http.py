"""HTTP over all resources: HEAD, tags, caches, compression, CORS, problem details, ranges."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from pipeline import paths
from pipeline.serve import encodings

TILE = "WebMercatorQuad/16/26044/42032"
ITEM = "/collections/parcels/items/{number}"
RESOURCES = [
    "/", "/?f=html", "/conformance", "/openapi", "/openapi?f=html", "/collections",
    "/collections?f=html", "/collections/parcels", "/collections/parcels?f=html",
    "/collections/parcels/items", "/collections/parcels/items?f=html",
    "/collections/parcels/items?f=csv", "/collections/parcels/items?limit=1&sortby=-nosazi", ITEM,
    f"{ITEM}?f=html", "/collections/parcels/schema", "/collections/parcels/queryables",
    "/collections/parcels/tiles", "/collections/parcels/tiles?f=html",
    "/collections/parcels/tiles/WebMercatorQuad", "/collections/parcels/tiles/UTM39WGS84Quad",
    "/collections/parcels/tiles/WebMercatorQuad?f=tilejson",
    f"/collections/parcels/tiles/{TILE}", "/tiles", "/tiles?f=html",
    "/tiles/WebMercatorQuad?f=tilejson", f"/tiles/{TILE}", "/tileMatrixSets",
    "/tileMatrixSets/UTM39WGS84Quad", "/TileMatrixSets?f=html", "/styles", "/styles?f=html",
    "/styles/parcels", "/styles/parcels?f=sld10", "/styles/parcels?f=qml",
    "/styles/parcels/metadata", "/styles/parcels/legend", "/collections/parcels/styles",
    "/collections/parcels/map?width=200", "/map?width=200", "/processes",
    "/wmts/parcels/default/WebMercatorQuad/16/26044/42032.png",
]  # fmt: skip
#: Made for each request: nothing is known that would tell whether they are as they were.
UNTAGGED = [
    "/health/live", "/health/ready", "/wms?SERVICE=WMS&REQUEST=GetCapabilities",
    "/wmts?SERVICE=WMTS&REQUEST=GetCapabilities", "/wmts/1.0.0/WMTSCapabilities.xml",
]  # fmt: skip
ERRORS = {
    "/collections/nope": 404, "/collections/nope/items": 404, "/nope": 404, "/styles/nope": 404,
    "/collections/parcels/items?foo=1": 400, "/collections/parcels/items/999999": 404,
    "/collections/parcels/tiles/Nope": 404,
    "/collections/parcels/tiles/WebMercatorQuad/99/0/0": 404,
    "/map?width=0": 400, "/tiles/WebMercatorQuad/3/9/9": 404, "/tileMatrixSets/Nope": 404,
    "/tiles?collections=nope": 400, "/fonts/Nope/0-255.pbf": 404, "/files/parcels.pmtiles": 404,
}  # fmt: skip


@pytest.fixture(scope="module")
def number(client: TestClient) -> str:
    """The id of a parcel."""
    features = client.get("/collections/parcels/items?limit=1").json()["features"]
    return str(features[0]["id"])


def _get(client: TestClient, path: str, number: str, **headers: str) -> Any:
    plain = {"Accept-Encoding": "identity", **headers}
    return client.get(path.format(number=number), headers=plain)


@pytest.mark.parametrize("path", [*RESOURCES, *UNTAGGED])
def test_head_is_get_without_its_body(client: TestClient, path: str, number: str) -> None:
    got = _get(client, path, number)
    assert got.status_code == 200, got.text
    asked = path.format(number=number)
    head = client.head(asked, headers={"Accept-Encoding": "identity"})
    assert head.status_code == 200
    assert not head.content
    for name in ("content-type", "etag", "cache-control", "content-language", "content-length"):
        assert head.headers.get(name) == got.headers.get(name), name


@pytest.mark.parametrize("path", [*RESOURCES, *UNTAGGED])
def test_pages_of_elsewhere_may_read_it(client: TestClient, path: str, number: str) -> None:
    got = _get(client, path, number, Origin="http://other.test")
    assert got.headers["access-control-allow-origin"] == "*"
    exposed = got.headers["access-control-expose-headers"]
    assert {"ETag", "Link", "OGC-NumberMatched"} <= {one.strip() for one in exposed.split(",")}
    preflight = client.options(
        path.format(number=number),
        headers={"Origin": "http://other.test", "Access-Control-Request-Method": "GET"},
    )
    assert preflight.status_code == 204
    assert "GET" in preflight.headers["access-control-allow-methods"]
    assert got.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", RESOURCES)
def test_what_a_client_has_is_not_sent_again(client: TestClient, path: str, number: str) -> None:
    got = _get(client, path, number)
    assert got.headers["cache-control"] in ("no-cache", "public, max-age=60")
    tag = got.headers["etag"]
    assert tag.startswith('"')
    for asked in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = _get(client, path, number, **{"If-None-Match": asked})
        assert again.status_code == 304, asked
        assert not again.content
        assert again.headers["etag"] == tag
    assert _get(client, path, number, **{"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("encoding", encodings.OFFERED)
@pytest.mark.parametrize("path", RESOURCES)
def test_it_comes_compressed(client: TestClient, path: str, encoding: str, number: str) -> None:
    plain = _get(client, path, number)
    got = _get(client, path, number, **{"Accept-Encoding": encoding})
    assert "accept-encoding" in got.headers["vary"].lower()
    if "content-encoding" not in got.headers:
        # Small, or pictures, which are compressed already.
        small = len(plain.content) < 1_000 or plain.headers["content-type"].startswith("image/")
        assert small
        return
    assert got.headers["content-encoding"] == encoding
    assert _unpacked(got, encoding, len(plain.content)) == plain.content
    assert got.headers["etag"] == f'{plain.headers["etag"][:-1]}-{encoding}"'
    known = {"Accept-Encoding": encoding, "If-None-Match": got.headers["etag"]}
    again = _get(client, path, number, **known)
    assert (again.status_code, again.headers["etag"]) == (304, got.headers["etag"])


def _unpacked(got: Any, encoding: str, size: int) -> bytes:
    """What the client did not unpack itself."""
    if encoding == "zstd" and got.content[:4] == b"\x28\xb5\x2f\xfd":
        return pa.Codec("zstd").decompress(got.content, size, asbytes=True)
    return gzip.decompress(got.content) if got.content[:2] == b"\x1f\x8b" else got.content


@pytest.mark.parametrize(("path", "status"), ERRORS.items())
def test_errors_are_problem_details(client: TestClient, path: str, status: int) -> None:
    got = client.get(path)
    assert got.status_code == status
    assert got.headers["content-type"] == "application/problem+json"
    assert got.headers["cache-control"] == "no-store"
    assert got.headers["access-control-allow-origin"] == "*"
    told = got.json()
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    page = client.get(path, headers={"Accept": "text/html"})
    assert page.status_code == status
    assert page.headers["content-type"].startswith(("text/html", "application/problem+json"))


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", None), ("identity", None), ("gzip", "gzip"), ("gzip, br", "br"),
        ("gzip, deflate, br, zstd", "zstd"), ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("*", "zstd"), ("zstd;q=0, *;q=0.5", "br"), ("br;q=x", None), ("GZIP", "gzip"),
        ("gzip;q=0.5, identity", None), ("deflate", None), ("gzip;q=0", None),
    ],
)  # fmt: skip
def test_the_encoding_is_the_one_the_client_likes_best(header: str, chosen: str | None) -> None:
    assert encodings.chosen(header) == chosen


def test_links_of_a_long_filter_leave_room_for_other_headers(client: TestClient) -> None:
    """A proxy of defaults takes 4 or 8 kB of headers, and answers 502 to more."""
    asked = {"f": "json", "limit": "1", "filter": "id > " + "0" * 2900}
    answer = client.get("/collections/parcels/items", params=asked)
    assert answer.status_code == 200
    assert re.findall('rel="([a-z]+)"', answer.headers["link"]) == ["next"]
    told = {link["rel"]: link["href"] for link in answer.json()["links"]}
    assert f"<{told['next']}>" in answer.headers["link"]
    assert "self" in told
    short = client.get("/collections/parcels/items?f=json&limit=1")
    assert re.findall('rel="([a-z]+)"', short.headers["link"]) == ["next", "self"]


def test_the_proxy_takes_headers_as_long_as_the_addresses_it_lets_through() -> None:
    conf = (paths.server_files() / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    (address,) = re.findall(r"large_client_header_buffers \d+ (\d+)k;", conf)
    (headers,) = re.findall(r"proxy_buffer_size (\d+)k;", conf)
    assert int(headers) >= int(address) + 8


def test_lines_of_one_condition_are_one(client: TestClient) -> None:
    path = "/collections/parcels/items/1"
    tag = client.get(path).headers["etag"]
    for name, status in (("If-None-Match", 304), ("If-Match", 200)):
        assert client.get(path, headers=[(name, '"x"'), (name, tag)]).status_code == status


def test_a_tag_stands_for_bytes_that_the_client_takes(client: TestClient) -> None:
    """A cache asks with the tags of all that it has; 304 says which of these it may give."""
    path = "/collections/parcels/items"
    tags = {
        name: client.get(path, headers={"Accept-Encoding": name}).headers["etag"]
        for name in ("identity", "gzip", "br")
    }
    assert len(set(tags.values())) == 3
    for known, takes, status, told in (
        ([tags["gzip"]], "gzip", 304, tags["gzip"]),
        ([tags["gzip"]], "identity", 200, tags["identity"]),
        ([tags["gzip"]], "br, gzip;q=0", 200, tags["br"]),
        (['"x-br"', tags["gzip"]], "gzip, br", 304, tags["gzip"]),
        (['"x-gzip"', tags["identity"]], "gzip", 304, tags["identity"]),
        ([f"W/{tags['br']}"], "*", 304, tags["br"]),
    ):
        asked = [*(("If-None-Match", one) for one in known), ("Accept-Encoding", takes)]
        answer = client.get(path, headers=asked)
        assert (answer.status_code, answer.headers["etag"]) == (status, told), asked
