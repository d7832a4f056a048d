"""OGC API - Tiles, Maps and Styles: their abstract tests (OGC 20-057, 20-058, draft 20-009)."""

from __future__ import annotations

import io
import math
from typing import Any

import mapbox_vector_tile
import pytest
from PIL import Image
from pyproj import Transformer

from .conftest import REL, Api, check_links, links

TILES, MAPS = "ogcapi-tiles-1/1.0/conf", "ogcapi-maps-1/1.0/conf"
STYLES = "ogcapi-styles-1/1.0/conf"
MVT = "application/vnd.mapbox-vector-tile"
WEB = "WebMercatorQuad"


def _drawn(api: Api, rel: str) -> list[dict[str, Any]]:
    """Collections that link to tile sets or maps of this kind."""
    return [one for one in api.collections.values() if links(one, f"{REL}/{rel}")]


def _tile(zoom: int, extent: list[float]) -> dict[str, int]:
    """The tile of web mercator in the middle of an extent."""
    west, south, east, north = extent
    tiles = 1 << zoom
    y = math.log(math.tan(math.pi / 4 + math.radians(south + north) / 4))
    column = int((west + east + 360) / 720 * tiles)
    return {"tileMatrix": zoom, "tileRow": int((1 - y / math.pi) / 2 * tiles), "tileCol": column}


def _at(template: str, place: dict[str, Any]) -> str:
    for name, value in place.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template


def _templates(api: Api, tilesets: str) -> dict[str, str]:
    """The template of tiles of each tile set of a list, by its grid."""
    found = {}
    for listed in api.json(tilesets)["tilesets"]:
        (own,) = [link for link in links(listed, "self") if link["type"] == "application/json"]
        told = api.json(own["href"])
        template = next(link["href"] for link in links(told, "item") if link.get("templated"))
        assert all(f"{{{part}}}" in template for part in ("tileMatrix", "tileRow", "tileCol"))
        found[told["tileMatrixSetURI"].rsplit("/", 1)[1]] = template
    return found


@pytest.mark.proves(f"{TILES}/tilesets-list", f"{TILES}/tileset", f"{TILES}/dataset-tilesets")
@pytest.mark.defect("T6")
def test_tile_sets_of_the_dataset(api: Api) -> None:
    """tilesets-list: tileset-links; tileset: success; dataset-tilesets: landing page."""
    (link,) = links(api.json("/"), f"{REL}/tilesets-vector")
    assert "/tiles" in link["href"]
    found = api.json(link["href"])
    check_links(found)
    for listed in found["tilesets"]:
        assert {"title", "dataType", "crs", "tileMatrixSetURI", "links"} <= listed.keys()
        assert listed["dataType"] == "vector"
        for told in listed["links"]:  # a program that walks the list may ask each as it is
            assert api.get(told["href"]).status_code == 200, told
        (grid,) = links(listed, f"{REL}/tiling-scheme")
        told = api.json(grid["href"])
        assert told["tileMatrices"]
        assert told["crs"] == listed["crs"]
    assert set(_templates(api, link["href"])) == {
        one["id"] for one in api.json("/tileMatrixSets")["tileMatrixSets"]
    }


@pytest.mark.proves(f"{TILES}/geodata-tilesets", f"{TILES}/core", f"{TILES}/mvt")
def test_vector_tiles_of_collections(api: Api) -> None:
    """geodata-tilesets: link; core: tc-op, tc-success, tc-error; mvt: content."""
    drawn = [one for one in api.shaped if links(one, f"{REL}/tilesets-vector")]
    held = 0
    for one in drawn:
        href = links(one, f"{REL}/tilesets-vector")[0]["href"]
        template = _templates(api, href)[WEB]
        for zoom in (13, 15, 16):
            answer = api.get(_at(template, _tile(zoom, one["extent"]["spatial"]["bbox"][0])))
            assert answer.status_code in (200, 204, 404)
            if answer.status_code == 200:
                assert answer.headers["content-type"] == MVT
                layers = mapbox_vector_tile.decode(answer.content)
                held += any(layer["features"] for layer in layers.values())
        for place in (
            {"tileMatrix": 99, "tileRow": 0, "tileCol": 0},
            {"tileMatrix": 16, "tileRow": 1 << 17, "tileCol": 0},
            {"tileMatrix": "x", "tileRow": 0, "tileCol": 0},
        ):
            assert api.get(_at(template, place)).status_code in (400, 404), place
    assert held


@pytest.mark.proves(f"{TILES}/collections-selection")
def test_tiles_of_chosen_collections(api: Api) -> None:
    one, other = [found["id"] for found in _drawn(api, "tilesets-vector")][:2]
    for chosen in ([one], [one, other]):
        told = api.json(f"/tiles/{WEB}", collections=",".join(chosen))
        assert [layer["id"] for layer in told["layers"]] == chosen
    assert api.get(f"/tiles/{WEB}", collections="nothing-of-this-name").status_code in (400, 404)


@pytest.mark.proves(f"{TILES}/png")
@pytest.mark.defect("clients-15")
def test_picture_tiles(api: Api) -> None:
    for one in _drawn(api, "tilesets-map"):
        href = links(one, f"{REL}/tilesets-map")[0]["href"]
        template = _templates(api, href)[WEB]
        place = _tile(16, one["extent"]["spatial"]["bbox"][0])
        for form, kind in (("png", "image/png"), ("jpeg", "image/jpeg")):
            answer = api.client.get(_at(template, place).split("?")[0], params={"f": form})
            assert answer.headers["content-type"] == kind
            assert Image.open(io.BytesIO(answer.content)).size == (256, 256)


@pytest.mark.proves(f"{TILES}/oas30")
def test_tiles_are_in_the_api_definition(api: Api) -> None:
    """oas30: completeness, and the ends of the operations' ids (Table 11)."""
    where = [("/tiles", "dataset.vector")]
    for kind in ("vector", "map"):
        drawn = _drawn(api, f"tilesets-{kind}")
        where += [(f"/collections/{one['id']}/tiles", f"collection.{kind}") for one in drawn]
    for here, kind in where:
        tile = f"{here}/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"
        paths = {here: "getTileSetsList", f"{here}/{{tileMatrixSetId}}": "getTileSet"}
        for path, what in {**paths, tile: "getTile"}.items():
            assert api.openapi["paths"][path]["get"]["operationId"].endswith(f".{kind}.{what}")


def _picture(answer: Any, kind: str) -> Image.Image:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == kind
    return Image.open(io.BytesIO(answer.content))


@pytest.mark.proves(f"{MAPS}/core", f"{MAPS}/collection-map", f"{MAPS}/png", f"{MAPS}/scaling")
def test_maps_of_collections(api: Api) -> None:
    """core: map-operation, map-success; scaling: width and height; png: content."""
    drawn = _drawn(api, "map")
    assert drawn
    for one in drawn[:5]:
        path = f"/collections/{one['id']}/map"
        assert _picture(api.get(path, f="png"), "image/png").size
        picture = _picture(api.get(path, f="png", width=200, height=100), "image/png")
        assert picture.size == (200, 100)
        for wrong in ({"width": 0}, {"height": "x"}, {"width": 10**6}, {"bbox": "1,2"}):
            assert api.get(path, f="png", **wrong).status_code in (400, 413), wrong


@pytest.mark.proves(f"{MAPS}/spatial-subsetting", f"{MAPS}/crs")
def test_maps_of_a_box_in_each_crs(api: Api) -> None:
    """bbox, bbox-crs, crs: the answer says which box and CRS it shows."""
    one = next(found for found in _drawn(api, "map") if "storageCrs" in found)
    path = f"/collections/{one['id']}/map"
    west, south, east, north = one["extent"]["spatial"]["bbox"][0]
    pictures = []
    for uri in one["crs"][1:]:
        across = Transformer.from_crs("OGC:CRS84", f"EPSG:{uri.rsplit('/', 1)[1]}")
        box = across.transform_bounds(west, south, east, north)
        given = {"bbox": ",".join(map(repr, box)), "bbox_crs": uri, "crs": uri}
        pictures.append(_picture(api.get(path, f="png", width=64, **given), "image/png"))
    assert all(picture.width == 64 for picture in pictures)
    assert api.get(path, f="png", crs="http://www.opengis.net/def/crs/EPSG/0/0").status_code == 400


@pytest.mark.proves(f"{MAPS}/dataset-map", f"{MAPS}/collections-selection", f"{MAPS}/jpeg")
@pytest.mark.defect("T6")
def test_maps_of_the_dataset(api: Api) -> None:
    (link,) = links(api.json("/"), f"{REL}/map")
    assert _picture(api.get(link["href"]), "image/png").size
    one, other = [found["id"] for found in _drawn(api, "map") if "storageCrs" in found][:2]
    extent = api.collections[one]["extent"]["spatial"]["bbox"][0]
    given = {"width": 128, "height": 128, "bbox": ",".join(map(str, extent))}
    for chosen in (one, f"{one},{other}"):
        picture = _picture(api.get("/map", f="jpeg", collections=chosen, **given), "image/jpeg")
        assert picture.size == (128, 128)
    assert api.get("/map", f="png", collections="nothing-of-this-name").status_code in (400, 404)


@pytest.mark.proves(f"{STYLES}/core", f"{STYLES}/mapbox-styles", f"{STYLES}/sld-10")
@pytest.mark.defect("T6")
def test_styles(api: Api) -> None:
    """core: styles-success, style-op, style metadata; a style sheet in each form that is linked."""
    found = api.json("/styles")
    check_links(found)
    assert found["styles"]
    for style in found["styles"][:4]:
        sheets = {link["type"]: link["href"] for link in links(style, "stylesheet")}
        for kind in ("application/vnd.mapbox.style+json", "application/vnd.ogc.sld+xml"):
            (href,) = [one for name, one in sheets.items() if name.startswith(kind)]
            answer = api.get(href)
            assert answer.headers["content-type"].startswith(kind)
        mapbox = api.json(sheets["application/vnd.mapbox.style+json"])
        assert mapbox["version"] == 8
        assert mapbox["layers"]
        assert api.json(f"/styles/{style['id']}/metadata")["id"] == style["id"]
    assert api.get("/styles/nothing-of-this-name").status_code == 404
