"""The provider as pygeoapi's own code uses it: the same answers as the hot routes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pygeoapi.crs import CrsTransformSpec
from pygeoapi.plugin import load_plugin
from pygeoapi.provider.base import (
    BaseProvider,
    ProviderInvalidQueryError,
    ProviderItemNotFoundError,
)
from starlette.testclient import TestClient

from pipeline.serve import site
from pipeline.serve.provider import PostgisProvider, ProviderUnavailableError


@pytest.fixture
def provider(client: TestClient) -> BaseProvider:
    site.install(client.app.state.site)  # type: ignore[attr-defined]
    definition = site.current().config["resources"]["parcels"]["providers"][0]
    return load_plugin("provider", definition)


def _spec(uri: str) -> CrsTransformSpec:
    return CrsTransformSpec(
        source_crs_uri="", source_crs_wkt="", target_crs_uri=uri, target_crs_wkt="", always_xy=False
    )


CRS84 = _spec("http://www.opengis.net/def/crs/OGC/1.3/CRS84")


def test_fields(provider: BaseProvider) -> None:
    assert isinstance(provider, PostgisProvider)
    fields = provider.fields
    assert fields["area_grid_m2"]["type"] == "number"
    assert fields["land_use"]["title"] == "کاربری وضع موجود"
    assert "residential" in fields["land_use"]["enum"]
    assert "registration_plate" not in fields


def test_queries_answer_as_the_routes_do(provider: BaseProvider, client: TestClient) -> None:
    def same(query: str, **asked: Any) -> None:
        page = provider.query(crs_transform_spec=CRS84, **asked)
        answer = client.get(f"/collections/parcels/items?{query}").json()
        assert page["features"] == answer["features"]
        assert page["numberMatched"] == answer["numberMatched"]

    same("limit=3", limit=3)
    same("limit=3&offset=4", limit=3, offset=4)
    same("land_use=commercial", properties=[("land_use", "commercial")])
    same("sortby=-nosazi", sortby=[{"property": "nosazi", "order": "-"}])
    same("properties=nosazi&skipGeometry=true", select_properties=["nosazi"], skip_geometry=True)
    same("resulttype=hits", resulttype="hits")
    box = [490_039.0, 3_829_990.0, 490_076.0, 3_830_001.0]
    page = provider.query(bbox=box, crs_transform_spec=CRS84)
    assert [feature["id"] for feature in page["features"]] == [2, 3]


def test_without_a_specification_coordinates_are_as_stored(provider: BaseProvider) -> None:
    point = provider.get("1")["geometry"]["coordinates"][0][0][0]
    assert point == [490_020.0, 3_830_000.0]


def test_one_item(provider: BaseProvider, client: TestClient) -> None:
    feature = provider.get("7", crs_transform_spec=CRS84)
    answer = client.get("/collections/parcels/items/7").json()
    assert feature == {key: value for key, value in answer.items() if key != "links"}
    for name in ("99", "abc", "1 or 1=1"):
        with pytest.raises(ProviderItemNotFoundError):
            provider.get(name)


def test_what_is_wrong_is_said(provider: BaseProvider) -> None:
    with pytest.raises(ProviderInvalidQueryError) as raised:
        provider.query(sortby=[{"property": "registration_plate", "order": "+"}])
    assert "registration_plate" in raised.value.message
    with pytest.raises(ProviderInvalidQueryError):
        provider.query(properties=[("area_grid_m2", "abc")])
    with pytest.raises(ProviderInvalidQueryError):
        provider.query(filterq=object())


@pytest.mark.defect("outage")
def test_an_outage_is_never_not_found(
    provider: BaseProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = "postgresql://nobody@127.0.0.1:1/none"
    database = site.current().database
    monkeypatch.setattr(database, "settings", replace(database.settings, database_url=away))
    with pytest.raises(ProviderUnavailableError) as raised:
        provider.get("1")
    assert raised.value.http_status_code == 503
    with pytest.raises(ProviderUnavailableError):
        provider.query()
