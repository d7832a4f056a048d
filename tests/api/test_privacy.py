"""What is not public cannot be had in any way, nor its existence be felt."""

from __future__ import annotations

from pathlib import Path

import mapbox_vector_tile
import psycopg
import pytest
from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.derive.columns import home

HIDDEN = ("registration_plate", "area_deed_m2", "source_updated_on", "run_id", "source_line")
SECRET = "secret-"
CHANNELS = [
    "/?f=html",
    "/collections?f=json",
    "/collections?f=html",
    "/collections?f=jsonld",
    "/collections/parcels?f=json",
    "/collections/parcels?f=html",
    "/collections/parcels/schema?f=json",
    "/collections/parcels/schema?f=html",
    "/collections/parcels/queryables?f=json",
    "/collections/parcels/queryables?f=html",
    "/collections/parcels/items?f=json",
    "/collections/parcels/items?f=html",
    "/collections/parcels/items?f=csv",
    "/collections/parcels/items/1?f=json",
    "/collections/parcels/items/1?f=html",
    "/collections/parcels/tiles?f=html",
    "/collections/parcels/tiles/WebMercatorQuad?f=json",
    "/collections/parcels/tiles/WebMercatorQuad?f=tilejson",
    "/openapi?f=json",
    "/openapi?f=html",
]


@pytest.mark.parametrize("address", CHANNELS)
def test_no_answer_holds_a_hidden_name_or_value(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    text = answer.text
    assert SECRET not in text
    if address.startswith(("/openapi", "/collections?")):
        # Other layers do publish a column of some of these names.
        return
    for name in HIDDEN:
        assert name not in text, name


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize(
    "query",
    [
        "{}=1",
        "properties={}",
        "sortby={}",
        "sortby=-{}",
        "filter={} IS NULL",
        "filter={} LIKE 's%'",
        "filter=CASEI({}) LIKE 's%'",
        'filter="{}" > 0',
        "filter=id = 1 OR {} = 1",
    ],
)
@pytest.mark.defect("hidden")
def test_it_cannot_be_asked_for(client: TestClient, name: str, query: str) -> None:
    answer = client.get(f"/collections/parcels/items?{query.format(name)}")
    assert answer.status_code == 400
    problem = answer.json()["detail"]
    listed = problem.split("known are", 1)[-1]
    assert name not in listed


def test_an_answer_does_not_depend_on_a_guess(client: TestClient) -> None:
    asked = "/collections/parcels/items?filter=registration_plate = '{}'"
    right, wrong = (client.get(asked.format(v)).text for v in ("secret-1", "nonsense"))
    assert right == wrong


def test_tiles_carry_what_the_contract_says(client: TestClient, schemas: Schemas) -> None:
    layer = schemas.layer("parcel")
    allowed = {schemas.city.published(name) for name in layer.publish.tile_fields}
    here = "/collections/parcels/tiles/WebMercatorQuad"
    told = client.get(f"{here}?f=json").json()["tileMatrixSetLimits"]
    limits = next(one for one in told if one["tileMatrix"] == "16")
    seen = set()
    for row in range(limits["minTileRow"], limits["maxTileRow"] + 1):
        for column in range(limits["minTileCol"], limits["maxTileCol"] + 1):
            content = client.get(f"{here}/16/{row}/{column}").content
            if content:
                features = mapbox_vector_tile.decode(content)["parcels"]["features"]
                seen |= {name for feature in features for name in feature["properties"]}
    assert seen
    assert seen <= allowed


def test_a_layer_that_is_not_public_is_unknown(client: TestClient, schemas: Schemas) -> None:
    hidden = [
        layer for layer in schemas.layers.values() if not schemas.audience("public").sees(layer)
    ]
    assert hidden
    listed = {c["id"] for c in client.get("/collections?f=json").json()["collections"]}
    openapi = client.get("/openapi?f=json").text
    for layer in hidden:
        assert layer.publish.collection not in listed
        assert f"/collections/{layer.publish.collection}/" not in openapi
        assert client.get(f"/collections/{layer.publish.collection}/items").status_code == 404


def test_the_login_of_the_server_sees_the_api_schema_alone(
    city: Database, schemas: Schemas
) -> None:
    with city.connect("reader") as connection:
        for layer in schemas.layers.values():
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT 1 FROM {home(layer)}.{layer.id}")
            connection.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT 1 FROM ops.run")
        connection.rollback()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE api.x (y int)")


@pytest.mark.defect("1.3-admin")
def test_no_password_is_written_down(published: Path, city: Database) -> None:
    password = city.cluster.state()["password_makan_reader"]
    for path in published.iterdir():
        assert password not in path.read_text(encoding="utf-8")


@pytest.mark.defect("hidden")
def test_no_hidden_column_of_any_layer_can_be_felt(client: TestClient, schemas: Schemas) -> None:
    """Every column that only others see, through every way in: 400, and never named."""
    public = schemas.audience("public")
    tried = 0
    for layer in schemas.layers.values():
        shown = public.fields(layer)
        names = {schemas.city.published(field.name) for field in shown}
        here = f"/collections/{layer.publish.collection}"
        hidden = [schemas.city.published(f.name) for f in layer.fields if f not in shown]
        for name in hidden if shown else ():
            assert name not in names
            for query in ("{}=1", "properties={}", "sortby=-{}", "filter={} IS NULL",
                          "filter=id=1 OR {}=1", "f=fgb&properties={}"):  # fmt: skip
                answer = client.get(f"{here}/items?{query.format(name)}")
                assert answer.status_code == 400, (name, query)
                assert name not in answer.json()["detail"].split("known are", 1)[-1].split(", ")
            for path in ("schema", "queryables"):
                assert name not in client.get(f"{here}/{path}?f=json").json()["properties"]
            tried += 1
    assert tried > 20
