"""Accuracy told beside the raster: written by the command, linked, served, gone with its file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pypdfium2
import pytest
import rasterio
from click.testing import CliRunner
from pystac.validation import validate_dict

from pipeline.cli.accuracy import accuracy
from pipeline.contracts.raster import ENDINGS, ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.rasters.shelf import Shelf
from pipeline.serve import publish as publishing
from tests.raster.conftest import EAST, NORTH, Imagery


@pytest.fixture(scope="module")
def told(imagery: Imagery, schemas: Schemas, tmp_path_factory: Any) -> dict[str, Any]:
    """40 points 5 cm above the model, told beside it."""
    rng = np.random.default_rng(3)
    at = np.array([EAST, NORTH]) + rng.uniform(20, 500, (40, 2)) * (1, -1)
    with rasterio.open(imagery.file("dem")) as model:
        # At the centres of cells, where no interpolation has a say.
        rows, columns = rasterio.transform.rowcol(model.transform, *at.T)
        x, y = rasterio.transform.xy(model.transform, rows, columns)
        z = model.read(1)[rows, columns]
    table = tmp_path_factory.mktemp("points") / "points.csv"
    lines = [f"q{n},{a:.3f},{b:.3f},{c + 0.05:.4f}" for n, (a, b, c) in
             enumerate(zip(x, y, z, strict=True))]  # fmt: skip
    table.write_text("name,x,y,z\n" + "\n".join(lines), encoding="utf-8")
    words = ["DEM 1403", "--points", str(table), "--publish", "dem", "--limit", "0.1", "--json"]
    result = CliRunner(env={"MAKAN_CITY": "qom"}).invoke(
        accuracy, words, obj=imagery.settings, catch_exceptions=False
    )
    publishing.publish(imagery.settings, schemas, Database(imagery.settings))
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_what_was_found(told: dict[str, Any]) -> None:
    assert told["count"] == 40
    assert told["rmse"] == pytest.approx(0.05, abs=1e-4)
    assert told["verdict"] == "pass"
    (sheet,) = told["sheets"]
    assert sheet["pixel_m"] == 5.0
    assert sheet["dark_share"] is None  # heights have no tones


def test_the_item_has_it_as_metadata_and_each_form_is_served(
    imagery: Imagery, told: dict[str, Any]
) -> None:
    (item,) = imagery.get("/stac/collections/dem/items").json()["features"]
    validate_dict({**item, "stac_extensions": []})
    links = {link["type"]: link["href"] for link in item["links"] if link["rel"] == "describedby"}
    assets = {a["type"]: a["href"] for a in item["assets"].values() if a["roles"] == ["metadata"]}
    assert links == assets
    assert len(links) == 3
    assert httpx2.get(links["application/json"]).json() == told
    page = httpx2.get(links["text/html"], params={"lang": "fa"})
    assert page.headers["content-type"].startswith("text/html")
    assert 'dir="rtl"' in page.text
    assert "http" not in page.text.replace("http://www.w3.org", "")  # nothing is fetched
    printed = httpx2.get(links["application/pdf"], params={"lang": "en"})
    assert printed.headers["content-type"] == "application/pdf"
    text = pypdfium2.PdfDocument(io.BytesIO(printed.content))[0].get_textpage().get_text_range()
    assert "DEM 1403" in text
    assert "0.050" in text
    again = httpx2.get(links["application/pdf"], headers={"If-None-Match": printed.headers["etag"]})
    assert again.status_code in (200, 304)


def test_the_collection_links_to_it(imagery: Imagery, told: dict[str, Any]) -> None:
    place = publishing.files(imagery.settings).config
    text = place.read_text(encoding="utf-8")
    name = imagery.file("dem").stem
    assert f"/files/dem/{name}/accuracy.pdf" in text
    assert "describedby" in text


def test_what_is_not_there_is_not_found(imagery: Imagery, told: dict[str, Any]) -> None:
    name = imagery.file("dem").stem
    assert imagery.get(f"/files/dem/{name}/accuracy.doc").status_code == 404
    assert imagery.get("/files/dem/other/accuracy.pdf").status_code == 404
    assert imagery.get("/files/orthophoto/..%2f..%2fx/accuracy.pdf").status_code == 404
    part = Shelf(imagery.settings.home, "orthophoto").served()
    assert part is not None
    items = imagery.get("/stac/collections/orthophoto/items").json()["features"]
    assert all(set(item["assets"]) == {"data"} for item in items)


def test_it_goes_with_its_file(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "dem")
    for name in ("a-1", "b-2"):
        for ending in ENDINGS:
            path = ServedRaster.report(tmp_path, "dem", name, ending)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    shelf.sweep(["rasters/dem/b-2.tif"])
    assert list(ServedRaster.reports(tmp_path, "dem")) == ["b-2"]
    assert len(list((shelf.folder / "accuracy").iterdir())) == len(ENDINGS)


def test_a_sheet_that_is_not_in_force_is_refused(imagery: Imagery, tmp_path: Path) -> None:
    table = tmp_path / "p.csv"
    table.write_text("x,y,x_measured,y_measured\n0,0,1,1\n", encoding="utf-8")
    words = ["x", "--points", str(table), "--publish", "orthophoto", "--sheet", "nothing"]
    with pytest.raises(SettingsError, match="no sheet nothing"):
        CliRunner(env={"MAKAN_CITY": "qom"}).invoke(
            accuracy, words, obj=imagery.settings, catch_exceptions=False
        )
