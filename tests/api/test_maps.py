"""Maps, WMS and WMTS: what is drawn where, in which colour, whatever the order of axes."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer
from starlette.testclient import TestClient

UTM = "http://www.opengis.net/def/crs/EPSG/0/32639"
EPSG4326 = "http://www.opengis.net/def/crs/EPSG/0/4326"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
# Parcels of 15 m stand every 20 m from x = 490,020; number 2 is commercial, number 5 a park.
RESIDENTIAL, COMMERCIAL, PARK = (255, 230, 128), (224, 102, 102), (106, 168, 79)
BOX = (490_010.0, 3_829_990.0, 490_130.0, 3_830_030.0)
MAP = f"/collections/parcels/map?bbox-crs={UTM}&crs={UTM}&width=1200&height=400"


def _image(answer: Any) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(BytesIO(answer.content)))


def _at(image: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    """The colour at a place of BOX; a metre is ten pixels."""
    column, row = (x - BOX[0]) * 10, (BOX[3] - y) * 10
    return tuple(int(value) for value in image[int(row), int(column)])


def test_parcels_are_drawn_where_they_are_in_their_colours(client: TestClient) -> None:
    box = ",".join(map(str, BOX))
    answer = client.get(f"{MAP}&bbox={box}&f=png")
    image = _image(answer)
    assert image.shape == (400, 1200, 4)
    for number, colour in ((1, RESIDENTIAL), (2, COMMERCIAL), (4, RESIDENTIAL), (5, PARK)):
        # Beside the middle, where the code is written.
        assert _at(image, 490_002 + 20 * number, 3_830_002) == (*colour, 255)
    # Between two parcels there is nothing.
    assert _at(image, 490_017.5 + 20, 3_830_007)[3] == 0
    # The western edge of parcel 1 is at 490,020, its outline a pixel or so wide.
    covered = np.flatnonzero(image[250, :, 3] > 128)
    assert covered[0] == pytest.approx((490_020 - BOX[0]) * 10, abs=1.5)
    assert answer.headers["content-crs"] == f"<{UTM}>"
    assert [float(one) for one in answer.headers["content-bbox"].split(",")] == list(BOX)


def test_boxes_and_axes(client: TestClient) -> None:
    """The same box said in CRS84 and in EPSG:4326 gives the same picture."""
    across = Transformer.from_crs(32639, 4326, always_xy=True)
    west, south = across.transform(BOX[0], BOX[1])
    east, north = across.transform(BOX[2], BOX[3])
    here = "/collections/parcels/map?width=600&crs="
    one = client.get(f"{here}{CRS84}&bbox={west},{south},{east},{north}")
    two = client.get(f"{here}{EPSG4326}&bbox-crs={EPSG4326}&bbox={south},{west},{north},{east}")
    assert (_image(one) == _image(two)).all()
    corners = [float(number) for number in two.headers["content-bbox"].split(",")]
    assert corners == pytest.approx([south, west, north, east], abs=1e-6)
    assert _image(one).shape[0] == round(600 * (north - south) / (east - west))


def test_what_cannot_be_drawn_is_said(client: TestClient) -> None:
    here = "/collections/parcels/map"
    for query, status in {
        "width=100000&height=100000": 413, "width=0": 400, "width=a": 400, "bbox=1,2": 400,
        "bbox=9,9,1,1": 400, "f=tiff": 400, "crs=EPSG:1": 400, "foo=1": 400,
        "transparent=perhaps": 400,
    }.items():  # fmt: skip
        answer = client.get(f"{here}?{query}")
        assert answer.status_code == status, query
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/collections/zone-rules/map").status_code == 404
    assert client.get("/map?collections=nope").status_code == 400
    # Far away there is nothing, and that is no error.
    empty = _image(client.get(f"{here}?bbox=10,10,10.1,10.1&width=50&height=50"))
    assert not empty[..., 3].any()


def test_maps_have_tags(client: TestClient) -> None:
    first = client.get("/map?width=300")
    again = client.get("/map?width=300", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    jpeg = client.get("/map?width=300&f=jpeg")
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert jpeg.headers["etag"] != first.headers["etag"]


def _wms(client: TestClient, version: str, name: str, box: tuple[float, ...], **more: str) -> Any:
    given = {
        "service": "WMS", "version": version, "request": "GetMap", "layers": "parcels",
        "styles": "", "crs" if version == "1.3.0" else "srs": name, "width": "1200",
        "height": "400", "format": "image/png", "transparent": "TRUE",
        "bbox": ",".join(map(str, box)), **more,
    }  # fmt: skip
    return client.get("/wms", params=given)


@pytest.mark.parametrize("version", ["1.1.1", "1.3.0"])
def test_wms_maps_are_those_of_maps(client: TestClient, version: str) -> None:
    expected = _image(client.get(f"{MAP}&bbox={','.join(map(str, BOX))}&f=png"))
    assert (_image(_wms(client, version, "EPSG:32639", BOX)) == expected).all()
    across = Transformer.from_crs(32639, 4326, always_xy=True)
    west, south = across.transform(BOX[0], BOX[1])
    east, north = across.transform(BOX[2], BOX[3])
    # Only 1.3.0 has the latitude first in EPSG:4326.
    flipped = version == "1.3.0"
    box = (south, west, north, east) if flipped else (west, south, east, north)
    image = _image(_wms(client, version, "EPSG:4326", box))
    same = (np.abs(image.astype(int) - expected) < 60).all(axis=2).mean()
    assert same > 0.97
    more = {"transparent": "FALSE", "bgcolor": "0x102030"}
    opaque = _image(_wms(client, version, "EPSG:32639", BOX, **more))
    assert opaque.shape[2] == 3
    assert tuple(opaque[5, 5]) == (16, 32, 48)


def test_wms_tells_what_is_at_a_pixel(client: TestClient) -> None:
    more = {"request": "GetFeatureInfo", "query_layers": "parcels", "i": "175", "j": "230"}
    answer = _wms(client, "1.3.0", "EPSG:32639", BOX, info_format="application/json", **more)
    (feature,) = answer.json()["features"]
    # Pixel 175, 230 is 17.5 m east of 490,010 and 23 m south of 3,830,030: parcel 1.
    assert feature["properties"]["nosazi"] == "1-12-45-1-0-0-0"
    text = _wms(client, "1.3.0", "EPSG:32639", BOX, info_format="text/plain", **more)
    assert "nosazi = 1-12-45-1-0-0-0" in text.text
    outside = _wms(client, "1.3.0", "EPSG:32639", BOX, **{**more, "i": "5000"})
    assert outside.status_code == 400
    assert "InvalidPoint" in outside.text


def test_wms_exceptions(client: TestClient) -> None:
    for more, code in (
        ({"layers": "nope"}, "LayerNotDefined"), ({"styles": "blue"}, "StyleNotDefined"),
        ({"format": "image/gif"}, "InvalidFormat"), ({"crs": "EPSG:1"}, "InvalidCRS"),
        ({"request": "Nope"}, "OperationNotSupported"),
        ({"bbox": "1,2,3"}, "InvalidParameterValue"), ({"width": ""}, "MissingParameterValue"),
    ):  # fmt: skip
        answer = _wms(client, "1.3.0", "EPSG:32639", BOX, **more)
        assert answer.status_code == 400
        (found,) = ET.fromstring(answer.content)
        assert found.get("code") == code


@pytest.mark.parametrize("version", ["1.1.1", "1.3.0"])
def test_owslib_reads_wms(client: TestClient, version: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from owslib.wms import WebMapService
    document = client.get(f"/wms?SERVICE=WMS&VERSION={version}&REQUEST=GetCapabilities")
    found = WebMapService("http://makan.test/wms", version=version, xml=document.content)
    layer = found["parcels"]
    assert layer.title == "قطعات ملکی"
    west, south, east, north = layer.boundingBoxWGS84
    assert 50.8 < west < east < 51
    assert 34.5 < south < north < 34.8
    assert layer.queryable
    assert "EPSG:32639" in layer.crsOptions
    legend = client.get(layer.styles["default"]["legend"].removeprefix("http://makan.test"))
    assert legend.headers["content-type"] == "image/png"
    assert {"city-map", "streets"} <= set(found.contents)
    assert "zone-rules" not in found.contents


def test_owslib_reads_wmts_and_its_tiles(client: TestClient) -> None:
    from owslib.wmts import WebMapTileService

    document = client.get("/wmts/1.0.0/WMTSCapabilities.xml")
    found = WebMapTileService("http://makan.test/wmts", xml=document.content)
    assert set(found.tilematrixsets) == {"WebMercatorQuad", "UTM39WGS84Quad"}
    layer = found.contents["parcels"]
    links = layer.tilematrixsetlinks["UTM39WGS84Quad"].tilematrixlimits["19"]
    matrix = found.tilematrixsets["UTM39WGS84Quad"].tilematrix["19"]
    size = matrix.scaledenominator * 0.00028 * matrix.tilewidth
    x, y = 490_100.0 + 2, 3_830_000.0 + 2  # in parcel 5, a park
    column = int((x - matrix.topleftcorner[0]) // size)
    row = int((matrix.topleftcorner[1] - y) // size)
    assert links.mintilerow <= row <= links.maxtilerow
    assert links.mintilecol <= column <= links.maxtilecol
    url = next(one["template"] for one in layer.resourceURLs if one["format"] == "image/png")
    named = {"Style": "default", "TileMatrixSet": "UTM39WGS84Quad", "TileMatrix": "19"}
    path = url.format(**named, TileRow=row, TileCol=column).removeprefix("http://makan.test")
    image = _image(client.get(path))
    left = matrix.topleftcorner[0] + column * size
    top = matrix.topleftcorner[1] - row * size
    pixel = image[int((top - y) / size * 256), int((x - left) / size * 256)]
    assert tuple(pixel) == (*PARK, 255)
    given = {
        "service": "WMTS", "request": "GetTile", "version": "1.0.0", "layer": "parcels",
        "style": "default", "format": "image/png", "tilematrixset": "UTM39WGS84Quad",
        "tilematrix": "19", "tilerow": str(row), "tilecol": str(column),
    }  # fmt: skip
    assert (_image(client.get("/wmts", params=given)) == image).all()
    wrong = client.get("/wmts", params={**given, "tilerow": "99999999"})
    assert wrong.status_code == 400
    assert "TileOutOfRange" in wrong.text
