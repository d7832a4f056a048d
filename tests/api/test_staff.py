"""The server of staff: closed without a key, the public one's equal with it, nothing leaks over."""

from __future__ import annotations

import base64
import json
import math
import re
import resource
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import geopandas
import mapbox_vector_tile
import psycopg
import pytest
import shapely
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from pipeline import testing
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db import access, quality
from pipeline.db.engine import Database
from pipeline.errors import GuardError, SettingsError
from pipeline.serve import publish
from pipeline.serve.door import access_log
from pipeline.serve.reader import Reader
from pipeline.settings import Settings
from pipeline.stages import load as loading
from tests.serving import Application

from .conftest import fill

PATHS = [
    "/", "/?f=html", "/openapi", "/conformance", "/collections", "/collections/parcels",
    "/collections/parcels/items", "/collections/parcels/items/1", "/collections/parcels/schema",
    "/collections/parcels/queryables", "/collections/quality-findings/items?f=html",
    "/collections/parcels/tiles/WebMercatorQuad/16/26034/42027", "/nothing", "/static",
    "/Health/live", "/health/live/x", "//collections", "/collections/",
]  # fmt: skip
SECRET = "secret-"


@pytest.fixture(scope="module")
def filled(qom_template: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The small city, and a delivery of regions with faults."""
    folder = tmp_path_factory.mktemp("staff")
    schemas = registry.load("qom")
    feed = schemas.feed("regions")
    columns = [column.sources[0] for column in feed.columns if column.sources]
    boxes = [
        shapely.box(490_000 + n * 200, 3_830_000, 490_100 + n * 200, 3_830_100) for n in range(4)
    ]
    rows = {columns[0]: ["1", "2", "2", None], columns[1]: ["یک", "دو", "<b>دو</b>", "سه"]}
    frame = geopandas.GeoDataFrame(
        {**dict.fromkeys(columns), **rows}, geometry=boxes, crs="EPSG:32639"
    )
    frame.to_file(folder / "manategh.gpkg", driver="GPKG", layer=feed.source.sheet)
    with testing.clone(qom_template) as cloned:
        cloned.settings = replace(cloned.settings, home=folder / "home")
        (folder / "home").mkdir()
        (folder / "home" / "db").symlink_to(qom_template.home / "db")
        fill(cloned)
        with cloned.connect("loader") as connection:
            connection.execute(
                "INSERT INTO data.postcode (postcode, address_text, geom, run_id, source_line) "
                "VALUES ('3715613947', 'قم، کوچه یاس', "
                "ST_SetSRID(ST_MakePoint(490030, 3830007), 32639), 1, 1)"
            )
        context = loading.context_for(schemas, "regions")
        loading.load(
            cloned, folder / "manategh.gpkg", context, batch_rows=10, progress=lambda *_: None
        )
        yield cloned


@pytest.fixture(scope="module")
def key(filled: Database) -> str:
    """The key of the planner Ali."""
    with filled.connect("loader") as connection:
        return access.add(connection, "علی", registry.load("qom").audience("staff"), days=None)


@pytest.fixture(scope="module")
def door(filled: Database, key: str) -> Iterator[TestClient]:
    """The staff's application, running; the client has no key yet."""
    settings = replace(filled.settings, audience="staff", public_url="http://staff.test")
    schemas = registry.load("qom")
    application = Application(settings, schemas, filled)
    with TestClient(application, base_url="http://staff.test") as running:
        yield running


def basic(name: str, key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{key}".encode()).decode()}


@pytest.fixture
def staff(door: TestClient, key: str) -> Iterator[TestClient]:
    """The application with a key in its header."""
    door.headers["x-api-key"] = key
    yield door
    del door.headers["x-api-key"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_told_without_a_key(door: TestClient, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
        answer = door.request(method, path)
        assert answer.status_code == 401, method
        assert answer.headers["www-authenticate"].startswith('Basic realm="Makan staff"')
        assert answer.headers["cache-control"] == "private, no-store"
        assert "access-control-allow-origin" not in answer.headers
        for word in ("parcel", SECRET, "postcode", "quality"):
            assert word not in answer.text.replace(path, "")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": ""},
        {"x-api-key": "makan_" + "A" * 43},
        {"authorization": "Basic"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
        {"authorization": "Basic " + base64.b64encode(b"nocolon").decode()},
        {"authorization": "Bearer {key}"},
        {"authorization": "{key}"},
        {"cookie": "key={key}"},
        basic("علی", ""),
        basic("علی", "wrong"),
        basic("", "wrong"),
    ],
)
def test_what_is_no_key_opens_nothing(door: TestClient, key: str, headers: dict[str, str]) -> None:
    sent = {name: value.replace("{key}", key) for name, value in headers.items()}
    assert door.get("/collections", headers=sent).status_code == 401


def test_a_key_opens_by_its_own_name_alone_and_never_in_the_address(
    door: TestClient, key: str
) -> None:
    assert door.get("/collections", headers=basic("علی", key)).status_code == 200
    assert door.get("/collections", headers={"X-API-Key": key}).status_code == 200
    assert door.get("/collections", headers=basic("reza", key)).status_code == 401
    assert door.get("/collections", params={"key": key}).status_code == 401
    assert door.get("/collections", params={"x-api-key": key}).status_code == 401


def test_health_and_drawing_are_free(door: TestClient) -> None:
    for path in ("/health/live", "/health/ready", "/static/css/makan.css"):
        assert door.get(path).status_code == 200
    assert door.get("/static/../collections").status_code in (401, 404)
    assert door.get("/static/%2e%2e/collections").status_code in (401, 404)


def test_a_key_ends(door: TestClient, filled: Database, schemas: Schemas) -> None:
    staff = schemas.audience("staff")
    with filled.connect("loader") as connection:
        first = access.add(connection, "sara", staff, days=None)
        second = access.add(connection, "late", staff, days=1)
    time.sleep(1.1)
    for one in (first, second):
        assert door.get("/", headers={"x-api-key": one}).status_code == 200
    with filled.connect("loader") as connection:
        access.revoke(connection, "sara", staff)
        connection.execute("UPDATE ops.access_key SET expires = now() WHERE name = 'late'")
    time.sleep(1.1)
    for one in (first, second):
        assert door.get("/", headers={"x-api-key": one}).status_code == 401
    with filled.connect("loader") as connection:
        again = access.add(connection, "sara", staff, days=None)
        assert again != first
        kept = {key.name: key.in_force for key in access.keys(connection)}
    assert kept["late"] is False


def test_the_key_of_another_audience_opens_nothing(door: TestClient, filled: Database) -> None:
    with filled.connect("loader") as connection:
        connection.execute(
            "INSERT INTO ops.access_key (name, audience, key_sha256, created_by) "
            "VALUES ('spy', 'registrar', %s, 'test')",
            [access.digest("makan_other")],
        )
    time.sleep(1.1)
    assert door.get("/", headers={"x-api-key": "makan_other"}).status_code == 401


def test_a_key_is_kept_nowhere(filled: Database, key: str, door: TestClient) -> None:
    door.get("/collections", headers={"x-api-key": key})
    with filled.connect("owner") as connection:
        rows = connection.execute("SELECT k::text FROM ops.access_key k").fetchall()
    assert rows
    assert not [row for row in rows if key in str(row[0])]
    for path in filled.settings.home.rglob("*"):
        if path.is_file() and "db" not in path.parts[len(filled.settings.home.parts) :][:1]:
            assert key.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x" * 61, "a\n"])
def test_names_that_no_client_can_send(filled: Database, schemas: Schemas, name: str) -> None:
    with pytest.raises(SettingsError), filled.connect("loader") as connection:
        access.add(connection, name, schemas.audience("staff"), days=None)


def test_one_key_a_name(filled: Database, schemas: Schemas, key: str) -> None:
    with pytest.raises(GuardError, match="has a key"), filled.connect("loader") as connection:
        access.add(connection, "علی", schemas.audience("staff"), days=None)
    with pytest.raises(SettingsError), filled.connect("loader") as connection:
        access.add(connection, "x", schemas.audience("public"), days=None)
    with pytest.raises(SettingsError), filled.connect("loader") as connection:
        access.revoke(connection, "nobody", schemas.audience("staff"))


def test_who_asked_is_written_down_without_values(
    staff: TestClient, filled: Database, key: str
) -> None:
    staff.get("/collections/postcodes/items?postcode=3715613947&limit=1")
    staff.get("/collections/postcodes/items?nonsense=3715613947")
    del staff.headers["x-api-key"]
    staff.get("/collections", headers=basic("علی", "wrong"))
    staff.get("/health/live")
    staff.headers["x-api-key"] = key
    log = filled.settings.home / "log" / "access-staff.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text(encoding="utf-8")
    assert "3715613947" not in text
    found, bad, wrong = [json.loads(line) for line in text.splitlines()[-3:]]
    assert found["name"] == "علی"
    assert (found["method"], found["path"]) == ("GET", "/collections/postcodes/items")
    assert found["parameters"] == ["limit", "postcode"]
    assert (found["status"], bad["status"], wrong["status"]) == (200, 400, 401)
    assert wrong["name"] is None
    assert found.keys() == {
        "time",
        "name",
        "client",
        "method",
        "path",
        "parameters",
        "status",
        "ms",
    }


def test_what_cannot_be_written_down_is_not_answered(
    staff: TestClient, filled: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    """A full disk: whoever asked was answered all the same, and the log never told."""
    log = filled.settings.home / "log" / "access-staff.log"
    asked = "/collections/postcodes/items?postcode=3715613947"
    assert "3715613947" in staff.get(asked).text
    lines = log.read_text(encoding="utf-8").splitlines()
    log.rename(log.with_suffix(".moved"))
    log.symlink_to("/dev/full")
    try:
        for path in (asked, f"{asked}&f=csv", "/collections/postcodes/tiles/WebMercatorQuad/0/0/0"):
            answer = staff.get(path)
            assert answer.status_code == 503, path
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["cache-control"] == "private, no-store"
            assert answer.json()["detail"].endswith("nothing was done")
            assert "\n" not in answer.json()["detail"]
            assert "کوچه" not in answer.text
        head = staff.head(asked)
        assert (head.status_code, "ognumbermatched" in head.headers) == (503, False)
        # What would change something does not even begin.
        answer = staff.post("/collections/postcodes/search", json={})
        assert (answer.status_code, answer.json()["detail"][-16:]) == (503, "nothing was done")
        page = staff.get("/collections", headers={"accept": "text/html"})
        assert (page.status_code, page.headers["content-type"][:9]) == (503, "text/html")
        assert staff.get("/collections", headers={"x-api-key": "wrong"}).status_code == 503
        assert staff.get("/health/live").status_code == 200
    finally:
        log.unlink()
    assert "Traceback" not in capfd.readouterr().err
    assert staff.get(asked).status_code == 200
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    [line] = log.read_text(encoding="utf-8").splitlines()
    assert (json.loads(line)["status"], json.loads(line)["name"]) == (200, "علی")
    moved = log.with_suffix(".moved").read_text(encoding="utf-8").splitlines()
    assert moved == lines


def test_a_line_that_was_torn_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = access_log(tmp_path / "access.log")
    log.info('{"a":1}')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            log.info('{"b":2}')
        with pytest.raises(OSError, match="File too large"):
            log.info('{"c":3}')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    log.info('{"d":4}')
    text = (tmp_path / "access.log").read_text(encoding="utf-8")
    assert text == '{"a":1}\n{"b"\n{"d":4}\n'
    for handler in log.handlers:
        handler.close()


def test_staff_sees_what_its_contracts_say(staff: TestClient, schemas: Schemas) -> None:
    audience = schemas.audience("staff")
    found = staff.get("/collections?f=json").json()["collections"]
    listed = {one["id"] for one in found if one["itemType"] == "feature"}
    seen = {layer.publish.collection for layer in schemas.layers.values() if audience.sees(layer)}
    assert listed == seen
    assert {"postcodes", "quality-findings", "quality-quarantine", "quality-results"} <= listed
    parcel = staff.get("/collections/parcels/items/1").json()["properties"]
    assert parcel["registration_plate"] == "secret-1"
    assert list(parcel) == [
        schemas.city.published(field.name) for field in audience.fields(schemas.layer("parcel"))
    ]
    found = staff.get("/collections/parcels/items?registration_plate=secret-3").json()
    assert [feature["id"] for feature in found["features"]] == [3]
    assert "run_id" not in staff.get("/collections/parcels/queryables").text


def test_answers_are_for_one_reader_alone(staff: TestClient) -> None:
    for path in ("/", "/collections/parcels/items", "/collections/parcels/items/1",
                 "/collections/parcels/tiles/WebMercatorQuad/16/26034/42027"):  # fmt: skip
        answer = staff.get(path)
        assert answer.headers["cache-control"].startswith("private"), path
        assert "public" not in answer.headers["cache-control"]
        assert "access-control-allow-origin" not in answer.headers


def test_findings_are_features_like_all_others(staff: TestClient) -> None:
    items = "/collections/quality-findings/items"
    every = staff.get(items).json()
    assert every["numberMatched"] == len(every["features"]) >= 3
    codes = [feature["properties"]["finding_code"] for feature in every["features"]]
    assert codes.count("key.duplicate") == 2
    for feature in every["features"]:
        if feature["geometry"]:
            lon, lat = feature["geometry"]["coordinates"]
            assert (50.8 < lon < 51, 34.5 < lat < 34.8) == (True, True)
    doubled = staff.get(items, params={"filter": "finding_code = 'key.duplicate'"}).json()
    assert doubled["numberMatched"] == 2
    place = doubled["features"][0]["geometry"]["coordinates"]
    box = ",".join(
        str(n) for n in (place[0] - 1e-4, place[1] - 1e-4, place[0] + 1e-4, place[1] + 1e-4)
    )
    near = staff.get(items, params={"bbox": box}).json()
    assert [f["id"] for f in near["features"]] == [doubled["features"][0]["id"]]
    today = doubled["features"][0]["properties"]["delivered_on"]
    assert staff.get(items, params={"datetime": today}).json()["numberMatched"] == len(codes)
    assert staff.get(items, params={"datetime": "1999-01-01"}).json()["numberMatched"] == 0
    schema = staff.get("/collections/quality-findings/schema?lang=fa").json()
    assert schema["properties"]["finding_severity"]["title"] == "شدت"
    assert schema["properties"]["geometry"]["format"] == "geometry-point"
    assert staff.get("/collections/quality-results/items").json()["numberMatched"] > 10
    rows = staff.get("/collections/quality-quarantine/items").json()
    assert {f["properties"]["row_line"] for f in rows["features"]} == {2, 3, 4}


def test_findings_are_tiles(staff: TestClient) -> None:
    lon, lat = next(
        f["geometry"]["coordinates"]
        for f in staff.get("/collections/quality-findings/items").json()["features"]
        if f["geometry"]
    )
    zoom, side = 15, 2**15
    column = int((lon + 180) / 360 * side)
    row = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * side)
    answer = staff.get(f"/collections/quality-findings/tiles/WebMercatorQuad/{zoom}/{row}/{column}")
    assert answer.status_code == 200
    features = mapbox_vector_tile.decode(answer.content)["quality-findings"]["features"]
    assert {f["properties"]["finding_severity"] for f in features} <= {"error", "warning", "info"}
    assert features


@pytest.mark.parametrize("language", ["fa", "en"])
def test_pages_say_in_words_what_codes_mean(staff: TestClient, language: str) -> None:
    page = staff.get(f"/collections/quality-findings/items?f=html&lang={language}").text
    wanted = {
        "fa": ("شدت", "خطا", "کامل بودن: زیادی", "یافته‌های کیفیت", "(کارکنان)"),
        "en": ("Severity", "Error", "Completeness: commission", "Findings of quality", "(Staff)"),
    }
    for word in wanted[language]:
        assert word in page, word
    assert "<b>دو</b>" not in page


@pytest.mark.parametrize("language", ["fa", "en"])
def test_records_are_named_by_what_their_codes_mean(staff: TestClient, language: str) -> None:
    address = "/collections/quality-results/items"
    first = staff.get(f"{address}?limit=1").json()["features"][0]
    codes = registry.load("qom").codelists["quality_measure"].entries
    said = codes[first["properties"]["quality_measure"]].of(language)
    for path in (address, f"{address}/{first['id']}"):
        answer = staff.get(f"{path}?f=html&lang={language}")
        assert answer.status_code == 200
        assert said in answer.text


def test_quality_changes_with_every_run_and_acceptance(staff: TestClient, filled: Database) -> None:
    address = "/collections/quality-findings/items?limit=1000"
    first = staff.get(address)
    again = staff.get(address, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    run = first.json()["features"][0]["properties"]["run_number"]
    with filled.connect("loader") as connection:
        quality.accept(connection, run, "key.duplicate", "known")
    time.sleep(1.1)
    later = staff.get(address, headers={"if-none-match": first.headers["etag"]})
    assert later.status_code == 200
    states = [f["properties"]["finding_state"] for f in later.json()["features"]]
    assert states.count("accepted") == 2
    with filled.connect("loader") as connection:
        quality.withdraw(connection, run, "key.duplicate")


def test_openapi_says_how_to_come_in(staff: TestClient) -> None:
    document = staff.get("/openapi?f=json").json()
    validate(document)
    assert document["security"] == [{"basic": []}, {"key": []}]
    schemes = document["components"]["securitySchemes"]
    assert schemes["key"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}


def test_an_outage_is_no_refusal(
    door: TestClient, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot be asked for keys must not be told that theirs is wrong."""

    async def gone(*_: object) -> None:
        raise psycopg.OperationalError("gone")

    time.sleep(1.1)
    monkeypatch.setattr(Reader, "row", gone)
    answer = door.get("/collections", headers={"x-api-key": key})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_no_password_or_hash_is_published(filled: Database, door: TestClient) -> None:
    folder = filled.settings.home / "published" / "staff"
    passwords = filled.cluster.passwords().values()
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not [word for word in passwords if word in text]
    assert not re.search(r"makan_[A-Za-z0-9_-]{40}", text)


def test_files_of_audiences_are_apart(tmp_path: Path) -> None:
    public, staff = Settings(home=tmp_path), Settings(home=tmp_path, audience="staff")
    assert publish.files(public).config != publish.files(staff).config
