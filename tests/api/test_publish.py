"""What `makan publish` writes: for each city its own, checked, without secrets, as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import yaml
from openapi_spec_validator import validate
from pygeoapi.config import validate_config
from starlette.testclient import TestClient

from pipeline import paths
from pipeline.contracts import registry
from pipeline.contracts.raster import ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.derive.collections import Extent
from pipeline.errors import ContractError, ResourceError
from pipeline.serve import config, publish
from tests.serving import Application

SQUARE = (
    "SRID=2249;MULTIPOLYGON(((760000 2957000,760100 2957000,760100 2957100,760000 2957100,"
    "760000 2957000)))"
)


def test_both_files_are_valid(published: Path, schemas: Schemas) -> None:
    rendered = yaml.safe_load((published / "pygeoapi.yml").read_text(encoding="utf-8"))
    validate_config(rendered)
    everybody = schemas.audience("public")
    public = {one.publish.collection for one in schemas.layers.values() if everybody.sees(one)}
    # Rasters that other tests have loaded into the same home are published too.
    rasters = {one.collection for one in schemas.rasters.values()}
    assert rendered["resources"].keys() - rasters == public
    assert rendered["server"]["languages"] == ["fa", "en"]
    assert rendered["metadata"]["identification"]["title"]["en"] == "Spatial data of Qom"
    validate(orjson.loads((published / "openapi.json").read_bytes()))


def test_publishing_again_gives_the_same_bytes(city: Database, schemas: Schemas) -> None:
    settings = replace(city.settings, public_url="http://again.test")
    once = publish.publish(settings, schemas, city)
    before = [path.read_bytes() for path in (once.config, once.openapi)]
    again = publish.publish(settings, schemas, city)
    assert [path.read_bytes() for path in (again.config, again.openapi)] == before


def test_the_second_city_in_feet(cambridge: Database) -> None:
    schemas = registry.load("cambridge")
    settings = replace(cambridge.settings, public_url="http://cambridge.test")
    with cambridge.connect("loader") as connection:
        connection.execute(
            "INSERT INTO data.parcel (parcel_code, area_grid_m2, geom, run_id, source_line) "
            "VALUES ('1A-16', 929, %s, 1, 1)",
            [SQUARE],
        )
    application = Application(settings, schemas, cambridge)
    with TestClient(application, base_url=settings.public_url) as client:
        found = client.get("/collections/parcels?f=json").json()
        stored = "http://www.opengis.net/def/crs/EPSG/0/2249"
        assert found["storageCrs"] == stored
        feature = client.get("/collections/parcels/items/1").json()
        assert feature["properties"]["map_lot"] == "1A-16"
        lon, lat = feature["geometry"]["coordinates"][0][0][0]
        assert (round(lon, 1), round(lat, 1)) == (-71.1, 42.4)
        in_feet = client.get("/collections/parcels/items/1", params={"crs": stored}).json()
        assert in_feet["geometry"]["coordinates"][0][0][0] == [760_000, 2_957_000]
        box = f"{lon - 1e-4},{lat - 1e-4},{lon + 1e-4},{lat + 1e-4}"
        assert client.get(f"/collections/parcels/items?bbox={box}").json()["numberMatched"] == 1
        assert client.get("/collections/parcels/items?nosazi=1").status_code == 400
        page = client.get("/?f=html").text
        assert "Qom" not in page
        assert "قم" not in page


def test_a_raster_is_published_when_it_is_loaded(
    city: Database, schemas: Schemas, tmp_path: Path
) -> None:
    settings = replace(city.settings, home=tmp_path)
    assert config.loaded_rasters(tmp_path, schemas.rasters) == {}
    pointer = ServedRaster.pointer(tmp_path, "dem")
    pointer.parent.mkdir(parents=True)
    served = ServedRaster(
        layer="dem",
        path="rasters/dem/x.tif",
        version="0",
        made_of="0",
        run=1,
        sheets=1,
        srid=32639,
        width=10,
        height=10,
        bounds=(490_000, 3_830_000, 490_100, 3_830_100),
        lonlat=(50.89, 34.6, 50.9, 34.7),
        updated="2026-01-01T00:00:00Z",
    )
    pointer.write_text(served.model_dump_json())
    found = config.loaded_rasters(tmp_path, schemas.rasters)
    with city.connect("reader") as connection:
        assert connection
    rendered = config.render(
        settings,
        schemas,
        {name: Extent(served.lonlat) for name in schemas.layers},
        found,
    )
    dem = rendered["resources"]["dem"]
    assert dem["extents"]["spatial"]["bbox"] == list(served.lonlat)
    assert {provider["type"] for provider in dem["providers"]} >= {"coverage", "edr"}
    assert "orthophoto" not in rendered["resources"]


def test_server_yml_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "server.yml").write_text("server: [")
    with pytest.raises(ContractError, match=r"server\.yml"):
        config.hand_written(tmp_path)
    (tmp_path / "server.yml").write_text("server: {}\n")
    with pytest.raises(ContractError, match="exactly"):
        config.hand_written(tmp_path)
    assert config.hand_written(paths.server_files())["makan"]["tile_rows"] > 0


def test_a_place_that_cannot_be_written(
    city: Database, schemas: Schemas, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(
        publish, "files", lambda _: publish.Published(blocked / "a.yml", blocked / "b.json")
    )
    with pytest.raises(ResourceError, match="cannot be written"):
        publish.publish(city.settings, schemas, city)
