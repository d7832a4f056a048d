"""Open data and work without a network (domain 1.4 and 1.7): what is published, as files."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine
from rasterio.windows import from_bounds
from rio_cogeo.cogeo import cog_validate
from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.rasters.deliver import deliver
from pipeline.rasters.inspect import Declared, Job
from pipeline.serve import downloads, extracts, publish
from pipeline.serve.downloads import Download
from pipeline.serve.raster_source import Source
from pipeline.serve.tile_seed import Offline
from pipeline.serve.within import Area

Asked = Callable[..., Any]
ITEMS = "/collections/catalogue/items"
PYTHON = Path("/usr/bin/python3")
HOST = "http://makan.test"


def offline(client: TestClient) -> Offline:
    """The published service of ``client``, without its server."""
    site = client.app.state.site  # type: ignore[attr-defined]
    return Offline(site.settings, site.schemas)


@pytest.fixture(scope="module")
def made(public: TestClient) -> list[Download]:
    """The files that everybody is offered."""
    site = offline(public)
    return downloads.refresh(site.settings, site, lambda _: None)


@pytest.fixture(scope="module")
def ground(
    sampled: Database, schemas: Schemas, query: Asked, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[float, float]]:
    """An elevation model of 200 m by 200 m about the south-west corner of region 1."""
    ((west, south),) = query(
        "SELECT round(ST_XMin(geom)), round(ST_YMin(geom)) FROM data.region WHERE region_code = '1'"
    )
    path = tmp_path_factory.mktemp("ground") / "dem_corner.tif"
    heights = (900 + np.arange(100 * 100, dtype=np.float32) / 100).reshape(1, 100, 100)
    profile = {"driver": "GTiff", "count": 1, "height": 100, "width": 100, "dtype": "float32"}
    place = Affine(2, 0, west - 100, 0, -2, south + 100)
    with rasterio.open(path, "w", **profile, crs="EPSG:32639", transform=place) as written:
        written.write(heights)
    contract = next(one for one in schemas.rasters.values() if one.is_terrain)
    home = sampled.settings.home
    _, served = deliver(sampled, home, schemas, [Job(path, contract, schemas.city, Declared())])
    assert served is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        publish.publish(replace(sampled.settings, public_url=HOST), schemas, sampled)
    yield west, south
    shutil.rmtree(home / "rasters" / contract.id)


@pytest.fixture(scope="module")
def region(public: TestClient, ground: tuple[float, float]) -> list[Download]:
    """The extract of region 1."""
    site = offline(public)
    area = Area(site.served["regions"], "1")
    return extracts.extract(site, area, lambda _: None, last=15)


def datasets(client: TestClient, language: str = "en") -> list[Any]:
    """All records of datasets."""
    asked = {"limit": 1000, "type": "dataset", "lang": language}
    listed: list[Any] = client.get(ITEMS, params=asked).json()["features"]
    return listed


def links(record: Any, rel: str) -> list[Any]:
    return [link for link in record["links"] if link["rel"] == rel]


def test_each_dataset_has_licence_date_crs_checksum_and_quality(
    made: list[Download], public: TestClient, query: Asked
) -> None:
    """POR-6: and the bytes are those of the checksum."""
    records = datasets(public)
    assert {one["id"] for one in records} >= {"parcels", "streets", "plan-zones", "poi"}
    dates = dict(
        query(
            "SELECT layer, to_char(max(finished) AT TIME ZONE 'UTC', "
            "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM ops.run WHERE status = 'done' "
            "AND kind IN ('load', 'derive', 'edit') GROUP BY 1"
        )
    )
    served = public.app.state.site.served  # type: ignore[attr-defined]
    for record in records:
        name, told = record["id"], record["properties"]
        (licence,) = links(record, "license")
        assert licence["href"] == told["license"] == f"{HOST}/licence"
        layer = served[name].layer
        if layer.source in ("feed", "process"):
            assert told.get("updated") == dates.get(layer.id), name
        assert told["crs"][0] == "http://www.opengis.net/def/crs/EPSG/0/32639"
        quality = [
            link["href"] for link in links(record, "describedby") if "/quality" in link["href"]
        ]
        assert len(quality) == 2
        if layer.source == "log":
            continue
        # Extracts of a region are offered with it, where there are any.
        (file,) = [x for x in links(record, "enclosure") if x["href"].endswith(f"/{name}.gpkg")]
        body = public.get(file["href"].removeprefix(HOST)).content
        assert len(body) == file["length"]
        assert hashlib.sha256(body).hexdigest() == file["checksum"]["value"]
    page = public.get("/licence?f=html&lang=fa")
    assert page.status_code == 200
    assert "استفاده داخلی شهرداری" in page.text


def test_a_file_is_the_collection(made: list[Download], public: TestClient, tmp_path: Path) -> None:
    """POR-6: the same features by the same ids, in the city's CRS, with QGIS' style."""
    answer = public.get("/files/parcels.gpkg")
    assert answer.headers["content-type"] == "application/geopackage+sqlite3"
    path = tmp_path / "parcels.gpkg"
    path.write_bytes(answer.content)
    told = pyogrio.read_info(path, layer="parcels")
    asked = {"nosazi": "1-12-45-7-0-0-0"}
    (one,) = public.get("/collections/parcels/items", params=asked).json()["features"]
    matched = public.get("/collections/parcels/items?limit=1").json()["numberMatched"]
    assert (told["crs"], told["features"]) == ("EPSG:32639", matched)
    assert set(told["fields"]) == set(one["properties"])
    found = pyogrio.read_dataframe(
        path, layer="parcels", where="nosazi = '1-12-45-7-0-0-0'", fid_as_index=True
    )
    assert found.index.tolist() == [one["id"]]
    assert found.geometry.iloc[0].area == pytest.approx(200.0, abs=1e-6)
    with sqlite3.connect(path) as connection:
        styles = connection.execute(
            "SELECT f_table_name, useAsDefault FROM layer_styles"
        ).fetchall()
    assert styles == [("parcels", 1)]
    tag = {"If-None-Match": answer.headers["etag"]}
    assert public.get("/files/parcels.gpkg", headers=tag).status_code == 304
    assert public.get("/files/nothing.gpkg").status_code == 404
    assert public.get("/files/postcodes.gpkg").status_code == 404


def test_what_has_not_changed_is_not_made_again(made: list[Download], public: TestClient) -> None:
    site = offline(public)
    assert {one.name for one in made} >= {"parcels.gpkg", "zone-rules.gpkg"}
    assert downloads.refresh(site.settings, site, lambda _: None) == []


def test_portals_harvest_dcat(made: list[Download], public: TestClient) -> None:
    """POR-6: DCAT in JSON-LD, every term by a context that is in the document."""
    answer = public.get(ITEMS, params={"f": "jsonld", "limit": 1000, "lang": "fa"})
    assert answer.headers["content-type"] == "application/ld+json"
    found = answer.json()
    (parcels,) = [one for one in found["dcat:dataset"] if one["dct:identifier"] == "parcels"]
    assert parcels["dct:license"]["@id"] == f"{HOST}/licence"
    assert parcels["dct:title"]["@language"] == "fa"
    assert parcels["dct:modified"]["@value"]
    file = next(one for one in parcels["dcat:distribution"] if "spdx:checksum" in one)
    body = public.get(file["dcat:downloadURL"]["@id"].removeprefix(HOST)).content
    assert file["spdx:checksum"]["spdx:checksumValue"]["@value"] == hashlib.sha256(body).hexdigest()
    known = set(found["@context"])

    def terms(part: Any) -> set[str]:
        if isinstance(part, list):
            return {term for one in part for term in terms(one)}
        if not isinstance(part, dict):
            return set()
        return set(part) | {term for one in part.values() for term in terms(one)}

    used = {
        term
        for term in terms({k: v for k, v in found.items() if k != "@context"})
        if term[0] != "@"
    }
    assert {term.split(":")[0] for term in used} <= known


@pytest.mark.parametrize(
    ("language", "said"), [("fa", "کامل بودن: کمبود"), ("en", "Completeness: omission")]
)
def test_the_quality_of_a_dataset_is_a_page(
    public: TestClient, staff: TestClient, query: Asked, language: str, said: str
) -> None:
    """POR-6: what was measured of the load in force; of fields that are not shown nothing."""
    page = public.get(f"/collections/parcels/quality?f=html&lang={language}")
    assert page.status_code == 200
    assert said in page.text
    told = public.get("/collections/parcels/quality?f=json").json()
    ((rows,),) = query("SELECT count(*) FROM data.parcel")
    assert {one["checked"] for one in told["results"] if one["field"] is None} == {rows}
    seen = {
        one["field"] for one in staff.get("/collections/parcels/quality?f=json").json()["results"]
    }
    hidden = {field for field in seen if field and "plate" in field}
    assert not hidden & {one["field"] for one in told["results"]}
    assert public.get("/collections/postcodes/quality").status_code == 404


def test_a_repeated_tile_is_304_and_answers_come_compressed(public: TestClient) -> None:
    """NET-1: tags, gzip and brotli, pages and boxes."""
    tile = "/collections/parcels/tiles/WebMercatorQuad/16/26038/42029?f=mvt"
    first = public.get(tile, headers={"Accept-Encoding": "identity"})
    assert first.status_code == 200
    again = public.get(
        tile, headers={"If-None-Match": first.headers["etag"], "Accept-Encoding": "identity"}
    )
    assert (again.status_code, again.content) == (304, b"")
    page = "/collections/parcels/items?limit=100&bbox=50.87,34.63,50.89,34.65"
    plain = public.get(page, headers={"Accept-Encoding": "identity"})
    assert plain.json()["numberReturned"] == 100
    for coding in ("gzip", "br"):
        small = public.get(page, headers={"Accept-Encoding": coding})
        assert small.headers["content-encoding"] == coding
        assert int(small.headers["content-length"]) < len(plain.content) / 4
    tag = {"If-None-Match": plain.headers["etag"], "Accept-Encoding": "identity"}
    assert public.get(page, headers=tag).status_code == 304


def test_an_extract_holds_what_belongs_to_its_region(
    region: list[Download], public: TestClient, query: Asked, tmp_path: Path
) -> None:
    """NET-3: parcels of region 1 and no other, tables by the parcels that they name."""
    path = tmp_path / "region.gpkg"
    path.write_bytes(public.get("/files/regions-1.gpkg").content)
    counted = {
        name: pyogrio.read_info(path, layer=name)["features"]
        for name, _ in pyogrio.list_layers(path)
        if name != "layer_styles"
    }
    ((parcels,),) = query(
        "SELECT count(*) FROM data.parcel p JOIN data.region r ON r.region_code = '1' "
        "AND ST_Relate(p.geom, r.geom, 'T********')"
    )
    ((every,),) = query("SELECT count(*) FROM data.parcel")
    assert counted["parcels"] == parcels < every
    assert counted["parcel-terrain"] <= parcels
    assert counted["zone-rules"] == query("SELECT count(*) FROM data.zone_rule")[0][0]
    assert counted["regions"] == 1
    assert counted == region[0].rows
    assert "changes" not in counted
    tiles = tmp_path / "region.mbtiles"
    tiles.write_bytes(public.get("/files/regions-1.mbtiles").content)
    with sqlite3.connect(tiles) as connection:
        ((body,),) = connection.execute(
            "SELECT tile_data FROM tiles WHERE zoom_level = 15 AND tile_column = 21014 "
            "AND tile_row = (1 << 15) - 1 - 13019"
        ).fetchall()
    online = public.get("/tiles/WebMercatorQuad/15/13019/21014?f=mvt&collections=" + ",".join(
        ("neighbourhoods", "parcels", "buildings", "streets", "regions", "poi")
    ), headers={"Accept-Encoding": "identity"})  # fmt: skip
    assert gzip.decompress(body) == online.content
    (record,) = [one for one in datasets(public) if one["id"] == "regions"]
    offered = {link["href"].rsplit("/", 1)[1] for link in links(record, "enclosure")}
    assert offered >= {"regions-1.gpkg", "regions-1.mbtiles"}


def test_an_extract_has_the_window_of_each_raster(
    region: list[Download],
    ground: tuple[float, float],
    public: TestClient,
    sampled: Database,
    tmp_path: Path,
) -> None:
    """NET-3: on the pixels that are served, and nothing beyond the area's box."""
    path = tmp_path / "window.tif"
    answer = public.get("/files/regions-1-dem.tif")
    assert answer.headers["content-type"].startswith("image/tiff")
    path.write_bytes(answer.content)
    west, south = ground
    served = Source(sampled.settings.home, "dem")
    with rasterio.open(path) as window, served.opened() as whole:
        left, bottom, right, top = window.bounds
        assert (right, top) == (whole.bounds.right, whole.bounds.top)
        assert left == pytest.approx(west, abs=2.0)
        assert bottom == pytest.approx(south, abs=2.0)
        assert 2400 < window.width * window.height < 2700
        expected = whole.read(1, window=from_bounds(*window.bounds, whole.transform))
        assert (window.read(1) == expected).all()
    assert cog_validate(str(path), strict=True, quiet=True)[0]


def test_a_file_that_is_older_than_its_data_is_not_called_current(
    made: list[Download], region: list[Download], public: TestClient, sampled: Database
) -> None:
    """Until the next publication; in the record, in DCAT and for extracts."""

    def told() -> dict[str, bool]:
        records = datasets(public)
        files = [link for record in records for link in links(record, "enclosure")]
        return {link["href"].rsplit("/", 1)[1]: link["current"] for link in files}

    before = told()
    named = ("streets.gpkg", "poi.gpkg", "regions-1.gpkg", "regions-1-dem.tif")
    assert [before[name] for name in named] == [True] * len(named)
    loaded = (
        "INSERT INTO ops.run OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(r, "
        "jsonb_build_object('id', (SELECT max(id) + 1000 FROM ops.run)))).* "
        "FROM ops.run r WHERE layer = 'poi' AND status = 'done' LIMIT 1 RETURNING id"
    )
    with sampled.connect("owner") as connection:
        ((run,),) = connection.execute(loaded).fetchall()
    public.app.state.site.state.forget()  # type: ignore[attr-defined]
    time.sleep(1.0)
    after = told()
    assert (after["poi.gpkg"], after["regions-1.gpkg"]) == (False, False)
    assert (after["streets.gpkg"], after["regions-1-dem.tif"]) == (True, True)
    site = offline(public)
    again = downloads.refresh(site.settings, site, lambda _: None)
    assert "poi.gpkg" in {one.name for one in again}
    assert told()["poi.gpkg"] is True
    with sampled.connect("owner") as connection:
        connection.execute("DELETE FROM ops.run WHERE id = %s", [run])


def test_qgis_opens_an_extract_without_a_network(
    region: list[Download], public: TestClient, tmp_path: Path
) -> None:
    """NET-3: every layer, drawn by its style, in a process that no network reaches."""
    asked = [str(PYTHON), "-c", "import qgis.core"]
    if not PYTHON.exists() or subprocess.run(asked, capture_output=True, check=False).returncode:
        pytest.skip("PyQGIS (Debian: python3-qgis) is not installed for the system's Python")
    folder = downloads.folder(offline(public).settings)
    files = [shutil.copy(folder / one.name, tmp_path / one.name) for one in region]
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        env.pop(name, None)
    words = [
        "unshare",
        "-rn",
        str(PYTHON),
        str(Path(__file__).with_name("offline_qgis.py")),
        *files,
    ]
    ended = subprocess.run(words, capture_output=True, text=True, env=env, timeout=180, check=False)
    if "unshare" in ended.stderr and not ended.stdout:
        pytest.skip("no network namespace can be made here")
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["network"] is False
    assert told["tiles"] == [True, 15]
    assert told["rasters"] == {"regions-1-dem.tif": [True, "EPSG:32639", 1]}
    layers = told["layers"]
    assert {name: layer[1] for name, layer in layers.items() if name != "layer_styles"} == region[
        0
    ].rows
    assert all(layer[0] for layer in layers.values())
    assert layers["parcels"][2:] == ["EPSG:32639", "categorizedSymbol"]
    assert layers["zone-rules"][3] is None


def test_an_area_that_is_not_there_names_those_that_are(public: TestClient) -> None:
    site = offline(public)
    with pytest.raises(SettingsError, match="regions has no 99") as told:
        extracts.extract(site, Area(site.served["regions"], "99"), lambda _: None)
    assert "1, 2" in str(told.value.todo)
