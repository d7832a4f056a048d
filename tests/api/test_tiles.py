"""Vector tiles against the features themselves; tile sets, TileJSON, tiles that are not there."""

from __future__ import annotations

import math
from typing import Any

import mapbox_vector_tile
import pytest
from pyproj import Transformer
from starlette.testclient import TestClient

from pipeline.serve.query import Statement

BASE = "/collections/parcels/tiles/WebMercatorQuad"
HALF = 20_037_508.342789244
CENTRE = (490_110.0, 3_830_007.0)
COLLAPSING = 14


def _tile(zoom: int) -> tuple[int, int]:
    """Row and column of the tile that holds the middle of the parcels."""
    x, y = Transformer.from_crs(32639, 3857, always_xy=True).transform(*CENTRE)
    size = 2 * HALF / 2**zoom
    return math.floor((HALF - y) / size), math.floor((x + HALF) / size)


def _decode(content: bytes, name: str = "parcels") -> dict[int, dict[str, Any]]:
    decoded = mapbox_vector_tile.decode(content, default_options={"y_coord_down": True})
    assert list(decoded) == [name]
    assert decoded[name]["extent"] == 4096
    return {feature["id"]: feature for feature in decoded[name]["features"]}


def _get(client: TestClient, zoom: int, query: str = "") -> dict[int, dict[str, Any]]:
    row, column = _tile(zoom)
    answer = client.get(f"{BASE}/{zoom}/{row}/{column}{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    return _decode(answer.content)


def test_a_tile_holds_the_features_that_the_items_hold(client: TestClient) -> None:
    items = {f["id"]: f for f in client.get("/collections/parcels/items").json()["features"]}
    found = _get(client, 16)
    assert found.keys() == items.keys()
    for number, feature in found.items():
        properties = items[number]["properties"]
        # A tile has no nulls: what is not known is left out.
        expected = {
            name: properties[name]
            for name in ("nosazi", "land_use", "plot_kind")
            if properties[name] is not None
        }
        assert feature["properties"] == expected


@pytest.mark.parametrize("zoom", [16, 18, 20])
def test_coordinates_are_those_of_the_features(client: TestClient, zoom: int) -> None:
    row, column = _tile(zoom)
    size = 2 * HALF / 2**zoom
    left, top = column * size - HALF, HALF - row * size
    across = Transformer.from_crs(32639, 3857, always_xy=True)
    whole = 0
    for number, feature in _get(client, zoom, "?f=mvt").items():
        x, y = 490_000 + 20 * number, 3_830_000
        corners = [(x, y), (x + 15, y), (x + 15, y + 15), (x, y + 15)]
        pixels = [
            ((mx - left) / size * 4096, (top - my) / size * 4096)
            for mx, my in (across.transform(*corner) for corner in corners)
        ]
        xs, ys = [p[0] for p in pixels], [p[1] for p in pixels]
        if min(xs + ys) < 0 or max(xs + ys) > 4096:
            continue  # cut at the tile's edge
        whole += 1
        polygon = feature["geometry"]["coordinates"]
        ring = polygon[0] if feature["geometry"]["type"] == "Polygon" else polygon[0][0]
        assert min(p[0] for p in ring) == pytest.approx(min(xs), abs=1.01)
        assert max(p[0] for p in ring) == pytest.approx(max(xs), abs=1.01)
        assert min(p[1] for p in ring) == pytest.approx(min(ys), abs=1.01)
        assert max(p[1] for p in ring) == pytest.approx(max(ys), abs=1.01)
    assert whole


def test_points_and_lines_have_tiles(client: TestClient) -> None:
    row, column = _tile(16)
    for name, expected in (("poi", 5), ("plan-road-lines", 3)):
        answer = client.get(f"/collections/{name}/tiles/WebMercatorQuad/16/{row}/{column}")
        assert answer.status_code == 200
        assert len(_decode(answer.content, name)) == expected


@pytest.mark.defect("T2")
def test_an_empty_tile_is_no_content(client: TestClient) -> None:
    row, column = _tile(12)
    assert client.get(f"{BASE}/12/{row}/{column}").status_code == 204


def test_tiles_beyond_the_limits_are_not_there(client: TestClient) -> None:
    """Requirement 6 of Tiles (tc-error): 404 beyond the rows and columns that are told."""
    for path in ("/collections/parcels/tiles", "/tiles"):
        for grid in ("WebMercatorQuad", "UTM39WGS84Quad"):
            told = client.get(f"{path}/{grid}?f=json").json()["tileMatrixSetLimits"]
            for one in told:
                here = f"{path}/{grid}/{one['tileMatrix']}"
                top, bottom = one["minTileRow"], one["maxTileRow"]
                left, right = one["minTileCol"], one["maxTileCol"]
                assert client.get(f"{here}/{top}/{left}").status_code in (200, 204)
                for place in (
                    (top - 1, left),
                    (bottom + 1, left),
                    (top, left - 1),
                    (top, right + 1),
                ):
                    answer = client.get(f"{here}/{place[0]}/{place[1]}")
                    assert answer.status_code == 404, (here, place)
                    assert "limits" in answer.json()["detail"]


@pytest.mark.parametrize(
    "place",
    [
        "7/1/1", "21/1/1", "99/0/0", "-1/0/0", "16/-1/0", "16/65536/0", "16/0/65536", "a/b/c",
        "16/1.5/1", "16/1/1e3", "016/1/1", "16/%201/1", "16/１/1", "9999999999/1/1",
        "16/1", "16/1/1/1",
    ],
)  # fmt: skip
@pytest.mark.defect("T3")
def test_tiles_that_are_not_there(client: TestClient, place: str) -> None:
    assert client.get(f"{BASE}/{place}").status_code == 404


@pytest.mark.defect("T3")
def test_other_grids_formats_and_collections(client: TestClient) -> None:
    row, column = _tile(16)
    tile = f"16/{row}/{column}"
    here = "/collections/parcels/tiles"
    assert client.get(f"{here}/WorldCRS84Quad/{tile}").status_code == 404
    assert client.get(f"{here}/Nope/{tile}").status_code == 404
    assert client.get(f"{here}/Nope").status_code == 404
    assert client.get(f"{BASE}/{tile}?f=png").status_code == 400
    assert client.get(f"{BASE}/{tile}?foo=1").status_code == 400
    assert client.get(f"/collections/nope/tiles/WebMercatorQuad/{tile}").status_code == 404
    assert client.get(f"/collections/zone-rules/tiles/WebMercatorQuad/{tile}").status_code == 404
    assert client.get("/collections/zone-rules/tiles").status_code == 404


@pytest.mark.defect("T4")
def test_tilejson(client: TestClient) -> None:
    document = client.get(f"{BASE}?f=tilejson").json()
    assert document["tilejson"] == "3.0.0"
    assert (document["minzoom"], document["maxzoom"]) == (8, 20)
    (layer,) = document["vector_layers"]
    assert layer["id"] == "parcels"
    assert list(layer["fields"]) == ["nosazi", "land_use", "plot_kind"]
    west, south, east, north = document["bounds"]
    assert west < document["center"][0] < east
    assert south < document["center"][1] < north
    row, column = _tile(16)
    address = document["tiles"][0].format(z=16, y=row, x=column)
    assert address.startswith("http://makan.test/")
    assert len(_decode(client.get(address).content)) == 10


@pytest.mark.defect("T5")
def test_tile_set_and_its_list(client: TestClient) -> None:
    listed = client.get("/collections/parcels/tiles?f=json").json()
    tileset, local = listed["tilesets"]
    assert tileset["dataType"] == local["dataType"] == "vector"
    for link in (*tileset["links"], *local["links"]):
        assert client.get(link["href"]).status_code == 200, link["href"]
    described = client.get(f"{BASE}?f=json").json()
    assert described["layers"][0]["id"] == "parcels"
    assert described["crs"].endswith("3857")
    grids = client.get("/TileMatrixSets?f=json").json()["tileMatrixSets"]
    assert [grid["id"] for grid in grids] == ["WebMercatorQuad", "UTM39WGS84Quad"]
    assert client.get("/tileMatrixSets/WebMercatorQuad").json()["id"] == "WebMercatorQuad"


def test_pages_of_tiles(client: TestClient) -> None:
    for address in (
        "/collections/parcels/tiles?f=html",
        f"{BASE}?f=html",
        "/TileMatrixSets?f=html",
    ):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "<html" in answer.text


def test_what_cannot_be_seen_is_left_out(client: TestClient) -> None:
    """At zoom 13 a pixel is 19 m of web mercator: parcels of 15 m are not drawn one by one."""
    row, column = _tile(13)
    assert client.get(f"{BASE}/13/{row}/{column}").status_code == 204
    assert len(_get(client, COLLAPSING)) == 10


def test_tiles_are_asked_for_without_helping_processes(client: TestClient) -> None:
    """They hand over rows as they happen to be ready, so a tile made twice had other bytes."""
    asked = (
        b"SELECT current_setting('max_parallel_workers_per_gather') || "
        b"current_setting('synchronize_seqscans')"
    )
    assert client.portal
    found = [
        client.portal.call(reader.row, Statement(asked, {}))
        for reader in (client.app.state.site.tiles, client.app.state.site.features)  # type: ignore[attr-defined]
    ]
    assert bytes(found[0][0]) == b"0off"
    assert bytes(found[1][0]) != b"0off"
