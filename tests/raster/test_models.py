"""A raster that is made of layers says so where it is described, and when they have moved on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pipeline.contracts.registry import Schemas
from pipeline.db import sources
from pipeline.db.sources import MadeOf
from pipeline.rasters.shelf import Shelf
from tests.raster.conftest import Imagery

CHANGED = """
INSERT INTO ops.run (kind, layer, status, file, file_sha256, file_bytes, contract_sha256,
    code_version, who, finished, arrived, inserted)
VALUES ('load', %s, 'done', '', '', 0, '', '', '', '2026-05-04T10:00:00Z', 1, 1)
"""


@pytest.fixture(scope="module")
def made(imagery: Imagery, schemas: Schemas) -> Imagery:
    """The elevation model as one made of the layers of heights, of which none is loaded yet."""
    served = Shelf(imagery.settings.home, "dem").served()
    assert served is not None
    layers = [layer.id for layer in schemas.layers.values() if layer.relief]
    with imagery.database.connect("loader") as connection:
        known = sources.known(connection, layers)
        sources.enter(connection, served.run, MadeOf("recipe", known))
    return imagery


def _until(imagery: Imagery, path: str, good: Any) -> Any:
    """The document at ``path`` once it is ``good``; a load is seen after a second at most."""
    deadline = time.monotonic() + 10
    while not good(found := imagery.get(path).json()):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_the_collection_says_what_it_is_made_of_and_whether_it_is_up_to_date(
    made: Imagery,
) -> None:
    first = _until(made, "/collections/dem?f=json", lambda found: "madeOf" in found)
    assert first["madeOf"]["upToDate"] is True
    names = [one["collection"] for one in first["madeOf"]["sources"]]
    assert names == ["breaklines", "contours", "spot-heights"]
    via = [link["href"] for link in first["links"] if link["rel"] == "via"]
    assert [made.get(href.removeprefix(made.base)).status_code for href in via] == [200] * 3
    tag = made.get("/collections/dem?f=json").headers["etag"]
    item = made.get("/stac/collections/dem/items").json()["features"][0]
    assert len([link for link in item["links"] if link["rel"] == "derived_from"]) == 3
    assert "makan:older_than" not in item["properties"]
    assert "older than" not in made.get("/collections/dem?f=html").text
    with made.database.connect("loader") as connection:
        connection.execute(CHANGED, ["contour"])
    then = _until(made, "/collections/dem?f=json", lambda found: not found["madeOf"]["upToDate"])
    assert [one for one in then["madeOf"]["sources"] if not one["upToDate"]] == [
        {"collection": "contours", "changed": "2026-05-04T10:00:00Z", "upToDate": False}
    ]
    answer = made.get("/collections/dem?f=json", {"If-None-Match": tag})
    assert answer.status_code == 200
    listed = made.get("/collections?f=json").json()["collections"]
    assert [one["id"] for one in listed if "madeOf" in one] == ["dem"]
    pages = {lang: made.get(f"/collections/dem?f=html&lang={lang}").text for lang in ("en", "fa")}
    assert "This layer is older than what it is made of" in pages["en"]
    assert "کهنه‌تر است" in pages["fa"]
    item = made.get("/stac/collections/dem/items").json()["features"][0]
    assert item["properties"]["makan:older_than"] == ["contours"]
