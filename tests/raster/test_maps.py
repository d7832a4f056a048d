"""Maps of rasters over HTTP: where they are is told as in all other answers, and is true."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer

from tests.raster.conftest import Imagery

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
UTM, WGS84, MERCATOR = (f"{EPSG}{code}" for code in (32639, 4326, 3857))
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
BOX = (488_600.0, 3_832_800.0, 488_900.0, 3_833_000.0)
HERE = {"bbox": ",".join(map(str, BOX)), "bbox-crs": UTM}


def _size(answer: Any) -> tuple[int, int]:
    assert answer.status_code == 200, answer.text
    width, height = Image.open(io.BytesIO(answer.content)).size
    return width, height


@pytest.mark.parametrize("layer", ["orthophoto", "dem"])
@pytest.mark.parametrize("crs", [UTM, WGS84, CRS84, MERCATOR])
def test_a_map_says_where_it_is(imagery: Imagery, layer: str, crs: str) -> None:
    """pygeoapi's gave an outage for CRS84, wrote the others in small letters, and told the world in
    UTM where no box was asked for."""
    asked = f"/collections/{layer}/map"
    for query in ({}, HERE):
        answer = imagery.get(asked, crs=crs, width="90", **query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-crs"] == f"<{crs}>"
        corners = [float(one) for one in answer.headers["content-bbox"].split(",")]
        box = [corners[place] for place in (1, 0, 3, 2)] if crs == WGS84 else corners
        # The same box, asked for by what was told, is the same picture.
        told = ",".join(map(str, corners))
        again = imagery.get(asked, **{"crs": crs, "bbox-crs": crs, "bbox": told, "width": "90"})
        one, other = (np.asarray(Image.open(io.BytesIO(a.content))) for a in (answer, again))
        assert one.shape == other.shape
        assert (one == other).mean() > 0.99
        if query:
            code = 4326 if crs == CRS84 else int(crs.rsplit("/", 1)[1])
            there = Transformer.from_crs(code, 32639, always_xy=True).transform_bounds(*box)
            assert there == pytest.approx(BOX, abs=3)


def test_a_map_is_not_stretched_where_a_side_is_not_given(imagery: Imagery) -> None:
    for given, size in (
        ({}, (800, 533)), ({"width": "300"}, (300, 200)), ({"height": "100"}, (150, 100)),
        ({"width": "64", "height": "64"}, (64, 64)),
    ):  # fmt: skip
        assert _size(imagery.get("/collections/dem/map", crs=UTM, **HERE, **given)) == size


@pytest.mark.parametrize(
    ("query", "status", "media_type"),
    [
        ({}, 200, "image/png"),
        ({"f": "png", "width": "64", "height": "48"}, 200, "image/png"),
        ({"f": "jpeg", "width": "64", "height": "48"}, 200, "image/jpeg"),
        ({"f": "gif"}, 400, None),
        ({"width": "x"}, 400, None),
        ({"width": "0"}, 400, None),
        ({"width": "99999", "height": "99999"}, 413, None),
        ({"bbox": "1,2,3"}, 400, None),
        ({"bbox": "3,2,1,1"}, 400, None),
        ({"crs": "nonsense"}, 400, None),
        ({"transparent": "perhaps"}, 400, None),
        ({"datetime": "yesterday"}, 400, None),
        ({"datetime": "1990-01-01"}, 404, None),
        ({"depth": "1"}, 400, None),
    ],
)
def test_what_is_asked_of_a_map(
    imagery: Imagery, query: dict[str, str], status: int, media_type: str | None
) -> None:
    answer = imagery.get("/collections/orthophoto/map", **query)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == (media_type or "application/problem+json")


def test_if_match_of_a_file(imagery: Imagery) -> None:
    """Who reads on says what it has begun with; it was not heard."""
    path = "/files/orthophoto.tif"
    tag = imagery.get(path).headers["etag"]
    for said, status in (
        (tag, 206), ("*", 206), (f'"x", {tag}', 206), ('"x"', 412), (f"W/{tag}", 412),
    ):  # fmt: skip
        asked = {"Range": "bytes=0-9", "If-Match": said}
        answer = imagery.get(path, headers=asked)
        assert answer.status_code == status, said
        if status == 412:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == 412
            # A page of another host must be able to read why.
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cache-control"] == "no-store"
    both = {"If-Match": '"x"', "If-None-Match": tag}
    assert imagery.get(path, headers=both).status_code == 412
    assert imagery.get("/collections/orthophoto", headers={"If-Match": '"x"'}).status_code == 200
