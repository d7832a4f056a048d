"""What follows from an edit is worked out behind its answer, by a process that may die."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest
from starlette.testclient import TestClient

from pipeline.contracts import registry
from pipeline.db.engine import Database
from pipeline.joins import derive as joins
from pipeline.serve import refresh
from pipeline.serve.refresh import Refresher
from tests.writing.test_parcels import P7, PARCELS

ROOT = Path(__file__).resolve().parents[2]
PATCH = {"Content-Type": "application/merge-patch+json", "If-Match": "*"}
#: How long facts may be behind on a machine that does other things as well.
SOON_S = 20.0
PASSPORT = "/processes/parcel-passport/execution"
STATES = (
    "SELECT DISTINCT f.state FROM ops.fact_state f JOIN ops.fact_input i ON i.fact = f.id "
    "WHERE i.layer = 'parcel'"
)


@pytest.fixture(scope="module", autouse=True)
def _as_it_was(staff: TestClient) -> Iterator[None]:
    """The fixture's parcel is given back as it was found."""
    (feature,) = staff.get(PARCELS, params={"nosazi": P7}).json()["features"]
    yield
    edited(staff, feature["properties"]["area_measured_m2"])


@contextmanager
def serving(written: Database, audience: str) -> Iterator[subprocess.Popen[str]]:
    """A server as a process, with all that is beside it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: v for name, v in os.environ.items() if not name.startswith("MAKAN_")}
    environment |= {
        "MAKAN_HOME": str(written.settings.home), "MAKAN_DATABASE": written.settings.database,
        "MAKAN_WORKERS": "1", "MAKAN_JOB_WORKERS": "0",
    }  # fmt: skip
    command = [sys.executable, "-m", "pipeline", "serve", "--audience", audience]
    running = subprocess.Popen(
        [*command, "--port", str(port)], cwd=ROOT, env=environment, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        ready, _, _ = select.select([running.stdout], [], [], 60)
        assert ready, "the server did not start"
        assert running.stdout.readline() == f"ready http://127.0.0.1:{port}/\n"
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)


@pytest.fixture(scope="module")
def process(written: Database, keys: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The staff's server."""
    with serving(written, "staff") as running:
        yield running


@pytest.fixture(scope="module")
def client(process: subprocess.Popen[str], keys: dict[str, str]) -> Iterator[httpx.Client]:
    (port,) = {one.laddr.port for one in psutil.Process(process.pid).net_connections() if one.laddr}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": keys["editor"]}, timeout=30
    ) as made:
        yield made


def edited(client: httpx.Client | TestClient, area: float | None) -> None:
    """Another measured area of the fixture's parcel, which the answer shows at once."""
    number = client.get(PARCELS, params={"nosazi": P7}).json()["features"][0]["id"]
    body = json.dumps({"properties": {"area_measured_m2": area}})
    answer = client.patch(f"{PARCELS}/{number}", content=body, headers=PATCH)
    assert answer.status_code == 204, answer.text
    again = client.get(f"{PARCELS}/{number}")
    assert again.json()["properties"]["area_measured_m2"] == area
    assert again.headers["etag"].split("-")[0] == answer.headers["etag"].split("-")[0]


def until(asked: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON_S
    while not asked():
        assert time.monotonic() < end, "it did not follow"
        time.sleep(0.1)


def beside(process: subprocess.Popen[str]) -> psutil.Process:
    """The process that follows edits: the only child of what looks after it."""
    nested = [
        grown for child in psutil.Process(process.pid).children() for grown in child.children()
    ]
    (found,) = nested
    return found


def test_a_server_for_everybody_follows_where_none_of_staff_runs(
    written: Database, staff: TestClient, rows: Any
) -> None:
    edited(staff, 199.5)
    assert {state for (state,) in rows(STATES)} == {"stale"}
    with serving(written, "public"):
        until(lambda: {state for (state,) in rows(STATES)} == {"fresh"})
        # One follows, whoever else would.
        with written.connect("loader") as other:
            (held,) = other.execute(
                "SELECT pg_try_advisory_lock(hashtextextended('makan follow', 0))"
            ).fetchone() or (None,)
        assert held is False


def test_who_may_not_write_does_not_follow(written: Database) -> None:
    """A server with a login of its own that reads, and none that writes."""
    shared = replace(written.settings, database_url="postgresql://host/db", reader_url="")
    assert refresh.role(written.settings) == refresh.role(shared) == "editor"
    bound = replace(shared, reader_url="postgresql://reader@host/db")
    assert refresh.role(bound) is None
    assert refresh.role(replace(bound, writer_url="postgresql://editor@host/db")) == "editor"


def test_facts_follow_and_a_killed_follower_is_replaced(
    process: subprocess.Popen[str], client: httpx.Client, rows: Any
) -> None:
    def fresh() -> bool:
        return {state for (state,) in rows(STATES)} == {"fresh"}

    edited(client, 201.0)
    until(fresh)
    follower = beside(process)
    follower.suspend()
    edited(client, 202.0)
    assert not fresh()
    said = client.get("/health/ready").json()
    assert said["status"] == "ok"
    assert "parcel_block" in said["facts"]["stale"]
    # What it had not done yet the next one finds.
    follower.kill()
    until(fresh)
    assert beside(process).pid != follower.pid
    assert client.get("/health/ready").json() == {"status": "ok"}


def test_a_paper_waits_for_what_an_edit_has_touched(
    process: subprocess.Popen[str], client: httpx.Client
) -> None:
    edited(client, 203.0)
    answer = client.post(PASSPORT, json={"inputs": {"nosazi": P7}})
    assert answer.status_code == 200, answer.text
    assert "stale" not in answer.json()
    follower = beside(process)
    follower.suspend()
    try:
        edited(client, 204.0)
        answer = client.post(PASSPORT, json={"inputs": {"nosazi": P7}})
        # Nobody works: after a while it is told, with the facts that are behind.
        assert "parcel_edge" in answer.json()["stale"]
    finally:
        follower.resume()


def test_a_derivation_of_another_is_waited_for_and_not_disturbed(
    staff: TestClient, written: Database, rows: Any
) -> None:
    """Of two at once one used to fail: what the other wrote of its trouble was in its way."""
    schemas = registry.load("qom")
    edited(staff, 205.0)
    with written.connect("loader") as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('makan derive', 0))")
        with pytest.raises(Exception, match="derived by another command"):
            joins.derive(written, schemas, layers={"parcel"}, first=False, role="editor")
    assert rows("SELECT 1 FROM ops.fact WHERE trouble IS NOT NULL") == []
    with written.connect("editor", autocommit=True) as connection:
        Refresher(written, schemas, "editor").catch_up(connection)
    assert {state for (state,) in rows(STATES)} == {"fresh"}
