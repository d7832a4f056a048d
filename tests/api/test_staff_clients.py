"""The staff's server as a process beside the public one, read by real clients with a key."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pyogrio
import pytest
from owslib.ogcapi.features import Features
from owslib.util import Authentication

from pipeline.contracts import registry
from pipeline.db import access
from pipeline.db.engine import Database

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _serve(database: Database, *words: str, **more: str) -> subprocess.Popen[str]:
    settings = database.settings
    environment = {name: v for name, v in os.environ.items() if not name.startswith("MAKAN_")}
    environment |= {"MAKAN_HOME": str(settings.home), "MAKAN_DATABASE": settings.database}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "serve", *words],
        cwd=ROOT, env={**environment, "MAKAN_WORKERS": "1", **more},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def _ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found, _, _ = select.select([process.stdout], [], [], 90)
    line = process.stdout.readline() if found else ""
    assert line.startswith("ready "), process.stderr and process.stderr.read()
    return line.split()[1].rstrip("/")


@pytest.fixture(scope="module")
def key(city: Database) -> str:
    with city.connect("loader") as connection:
        return access.add(connection, "planner", registry.load("qom").audience("staff"), days=1)


@pytest.fixture(scope="module")
def served(city: Database) -> Iterator[tuple[str, str]]:
    """Addresses of the public server and, one port further, of the staff's."""
    with city.connect("loader") as connection:
        connection.execute(
            "INSERT INTO ops.run (kind, feed, layer, status, file, file_sha256, file_bytes, "
            "contract_sha256, code_version, who, arrived, quarantined) "
            "VALUES ('load', 'parcels', 'parcel', 'done', '/in/p.gpkg', '', 1, '', '', '', 40, 40)"
        )
        connection.execute(
            "INSERT INTO ops.finding (run_id, code, severity, layer, key, line, field, value, "
            "place) SELECT (SELECT max(id) FROM ops.run), 'value.code_unknown', 'error', 'parcel', "
            "n::text, n, 'land_use', 'کاربری ' || n, "
            "ST_SetSRID(ST_MakePoint(490000 + n * 10, 3830000 + n), 32639) "
            "FROM generate_series(1, 40) n"
        )
    port = _free_port()
    both = [_serve(city, "--audience", name, MAKAN_PORT=str(port)) for name in ("public", "staff")]
    try:
        addresses = [_ready(process) for process in both]
        assert addresses == [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"]
        yield addresses[0], addresses[1]
    finally:
        for process in both:
            process.send_signal(signal.SIGTERM)
        for process in both:
            process.communicate(timeout=30)


def test_each_server_has_its_own_collections(served: tuple[str, str], key: str) -> None:
    public, staff = served
    open_to_all = {c["id"] for c in httpx.get(f"{public}/collections?f=json").json()["collections"]}
    assert "quality-findings" not in open_to_all
    assert "postcodes" not in open_to_all
    assert httpx.get(f"{public}/collections/quality-findings/items").status_code == 404
    assert httpx.get(f"{staff}/collections").status_code == 401
    of_staff = httpx.get(f"{staff}/collections?f=json", auth=("planner", key)).json()["collections"]
    assert open_to_all < {c["id"] for c in of_staff}
    # The key of staff is nothing to the public server, which asks for none.
    assert httpx.get(f"{public}/collections", auth=("planner", key)).status_code == 200


def test_owslib_reads_findings_with_basic(served: tuple[str, str], key: str) -> None:
    with_key = Authentication(username="planner", password=key)
    service = Features(served[1], auth=with_key)
    assert "quality-findings" in service.feature_collections()
    page = service.collection_items("quality-findings", limit=15)
    assert (page["numberMatched"], len(page["features"])) == (40, 15)
    some = service.collection_items("quality-findings", filter="row_line > 30")
    assert some["numberMatched"] == 10
    names = service.collection_queryables("quality-findings")["properties"]
    assert "finding_state" in names


def test_owslib_reads_findings_by_header(served: tuple[str, str], key: str) -> None:
    service = Features(served[1], headers={"X-API-Key": key})
    assert service.collection_items("quality-findings", limit=1)["numberMatched"] == 40


@pytest.fixture
def gdal(request: pytest.FixtureRequest, key: str, tmp_path: Path) -> Iterator[None]:
    """GDAL with the key, in one of its two ways. Its driver has headers of its own, which replace
    those of GDAL_HTTP_HEADERS; a file of headers is sent beside them."""
    (tmp_path / "headers").write_text(f"X-API-Key: {key}\n")
    options = {
        "basic": {"GDAL_HTTP_USERPWD": f"planner:{key}", "GDAL_HTTP_AUTH": "BASIC"},
        "header": {"GDAL_HTTP_HEADER_FILE": str(tmp_path / "headers")},
        "nothing": {},
    }[request.param]
    pyogrio.set_gdal_config_options(options)
    yield
    pyogrio.set_gdal_config_options(dict.fromkeys(options))


@pytest.mark.parametrize("gdal", ["basic", "header"], indirect=True)
def test_gdal_reads_every_finding_in_the_citys_crs(gdal: None, served: tuple[str, str]) -> None:
    frame = pyogrio.read_dataframe(f"OAPIF:{served[1]}", layer="quality-findings")
    assert len(frame) == 40
    assert frame.crs.to_epsg() == 32639
    assert set(frame.geom_type) == {"Point"}
    first = frame.sort_values("row_line").iloc[0]
    assert (first.geometry.x, first.geometry.y) == pytest.approx((490010, 3830001), abs=0.01)
    assert first["found_value"] == "کاربری 1"
    assert first["finding_severity"] == "error"
    near = pyogrio.read_dataframe(
        f"OAPIF:{served[1]}", layer="quality-findings", bbox=(490005, 3830000, 490055, 3830010)
    )
    assert sorted(near["row_line"]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("gdal", ["nothing"], indirect=True)
def test_gdal_without_a_key_reads_nothing(gdal: None, served: tuple[str, str]) -> None:
    with pytest.raises(pyogrio.errors.DataSourceError):
        pyogrio.read_info(f"OAPIF:{served[1]}", layer="quality-findings")


def test_keys_do_not_cross_a_network_in_clear_text(city: Database) -> None:
    process = _serve(city, "--audience", "staff", "--host", "0.0.0.0", "--port", str(_free_port()))
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "clear text" in said
    assert len(said.strip().splitlines()) == 1


def test_an_unknown_audience_is_named(city: Database) -> None:
    process = _serve(city, "--audience", "everyone")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Known are: public, staff." in said
