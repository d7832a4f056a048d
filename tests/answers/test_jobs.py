"""Questions in the background: kept in the database, worked at by one, called off, taken again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from pipeline.answers.jobs import MOST_WAITING
from pipeline.answers.worker import Worker
from pipeline.contracts.registry import Schemas
from pipeline.db import access
from pipeline.db.cluster import SUPERUSER
from pipeline.db.engine import Database

Asked = Callable[..., Any]
P7 = {"nosazi": "1-12-45-7"}
LATER = {"Prefer": "respond-async"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_jobs(sampled: Database) -> Iterator[None]:
    yield
    with sampled.connect("owner") as connection:
        connection.execute("DELETE FROM ops.job")


def begin(client: TestClient, process: str = "bar-o-kaf", **inputs: Any) -> str:
    """The path of a new job."""
    response = client.post(
        f"/processes/{process}/execution", json={"inputs": inputs or P7}, headers=LATER
    )
    assert response.status_code == 201, response.text
    assert response.headers["preference-applied"] == "respond-async"
    place = response.headers["location"].removeprefix("http://makan.test")
    assert response.json()["status"] == "accepted"
    assert place == f"/jobs/{response.json()['jobID']}"
    return place


def work(database: Database, schemas: Schemas, audience: str) -> int:
    """Does all that waits; how many."""
    worker = Worker(database, schemas, schemas.audience(audience))
    return asyncio.run(worker.run(asyncio.Event(), until_idle=True))


def test_a_job_gives_what_the_question_at_once_gives(
    staff: TestClient, ask: Asked, sampled: Database, schemas: Schemas
) -> None:
    place = begin(staff)
    early = staff.get(f"{place}/results")
    assert early.status_code == 404
    assert early.json()["type"].endswith("/result-not-ready")
    assert work(sampled, schemas, "staff") == 1
    told = staff.get(place).json()
    assert (told["status"], told["progress"], told["type"]) == ("successful", 100, "process")
    assert told["created"] <= told["started"] <= told["finished"] < told["expires"]
    at_once = ask(staff, "bar-o-kaf", **P7)
    rel = "http://www.opengis.net/def/rel/ogc/1.0/results"
    (results,) = [link["href"] for link in told["links"] if link["rel"] == rel]
    later = staff.get(results).json()
    # The receipt of the same facts, given at another moment.
    assert later["receipt"]["digest"] == at_once["receipt"]["digest"]
    assert later == {**at_once, "receipt": later["receipt"]}
    assert staff.get(results, headers={"Accept-Encoding": "identity"}).json() == later
    assert staff.get(f"{results}?response=document").json() == {"answer": later}


@pytest.mark.parametrize("language", ["fa", "en"])
def test_jobs_have_pages(
    staff: TestClient, sampled: Database, schemas: Schemas, language: str
) -> None:
    place = begin(staff)
    work(sampled, schemas, "staff")
    for path in ("/jobs", place, f"{place}/results"):
        page = staff.get(f"{path}?f=html&lang={language}")
        assert page.status_code == 200, page.text
        assert f'lang="{language}"' in page.text
        assert "bar-o-kaf" in page.text


def test_the_form_of_a_page_asks_in_the_background(
    staff: TestClient, sampled: Database, schemas: Schemas
) -> None:
    """Without a script: the form is sent, the page of the job looks again by itself."""
    path = "/processes/levy/execution"
    form = {"block_code": "1-12-45", "year": "1404", "nosazi": "", "f": "html", "lang": "fa"}
    sent = staff.post(path, data=form, follow_redirects=False)
    assert sent.status_code == 303, sent.text
    place = sent.headers["location"].removeprefix("http://makan.test")
    assert place.endswith("?f=html&lang=fa")
    waiting = staff.get(place).text
    assert 'http-equiv="refresh"' in waiting
    work(sampled, schemas, "staff")
    done = staff.get(place).text
    assert 'http-equiv="refresh"' not in done
    assert "/results?f=html" in done
    wrong = staff.post(path, data={**form, "year": "x"}, follow_redirects=False)
    assert wrong.status_code == 400
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert staff.post(path, data=form, headers=elsewhere).status_code == 403


def test_what_is_wrong_is_refused_at_once_and_what_is_not_there_fails(
    staff: TestClient, sampled: Database, schemas: Schemas
) -> None:
    wrong = staff.post(
        "/processes/bar-o-kaf/execution", json={"inputs": {"nosazi": 7}}, headers=LATER
    )
    assert (wrong.status_code, wrong.json()["field"]) == (400, "nosazi")
    place = begin(staff, nosazi="1-12-45-777")
    work(sampled, schemas, "staff")
    assert staff.get(place).json()["status"] == "failed"
    told = staff.get(f"{place}/results")
    assert told.status_code == 404
    assert told.json()["near"]


@pytest.mark.defect("1.3-jobs")
def test_an_audience_and_a_key_see_their_own_jobs_alone(
    public: TestClient, staff: TestClient, sampled: Database, schemas: Schemas
) -> None:
    mine, theirs = begin(staff), begin(public)
    with sampled.connect("owner") as connection:
        other = access.add(connection, "another", schemas.audience("staff"), days=1)
    by_other = {"X-API-Key": other}
    _wait(
        lambda: staff.get("/", headers=by_other).status_code == 200
    )  # keys are looked up each second
    assert staff.get(mine).status_code == public.get(theirs).status_code == 200
    assert public.get(mine).status_code == staff.get(theirs).status_code == 404
    assert staff.get(mine, headers=by_other).json()["type"].endswith("/no-such-job")
    assert staff.delete(mine, headers=by_other).status_code == 404
    assert len(staff.get("/jobs").json()["jobs"]) == 1
    assert staff.get("/jobs", headers=by_other).json()["jobs"] == []
    assert public.get("/jobs").status_code == 404
    listed = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/job-list"
    assert listed in staff.get("/conformance").json()["conformsTo"]
    assert listed not in public.get("/conformance").json()["conformsTo"]
    assert work(sampled, schemas, "public") == 1  # what is for staff is not its work


def test_the_list_is_narrowed_and_turned(
    staff: TestClient, sampled: Database, schemas: Schemas
) -> None:
    first = begin(staff)
    work(sampled, schemas, "staff")
    begin(staff, "find-property")
    one = staff.get("/jobs", params={"status": "successful"}).json()["jobs"]
    assert [job["jobID"] for job in one] == [first.rsplit("/", 1)[1]]
    two = staff.get("/jobs", params={"processID": "find-property"}).json()["jobs"]
    assert [job["status"] for job in two] == ["accepted"]
    page = staff.get("/jobs?limit=1").json()
    (following,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    assert [job["jobID"] for job in staff.get(following).json()["jobs"]] == [one[0]["jobID"]]
    assert staff.get("/jobs?datetime=2100-01-01/..").json()["jobs"] == []
    assert staff.get("/jobs?maxDuration=600&status=successful").json()["jobs"]
    assert staff.get("/jobs?minDuration=600").json()["jobs"] == []
    assert staff.get("/jobs?status=asleep").status_code == 400
    assert staff.get("/jobs?limit=0").status_code == 400


def test_a_waiting_job_is_dismissed_and_never_done(
    staff: TestClient, sampled: Database, schemas: Schemas
) -> None:
    place = begin(staff)
    assert staff.delete(place).json()["status"] == "dismissed"
    assert work(sampled, schemas, "staff") == 0
    assert staff.get(f"{place}/results").status_code == 404
    done = begin(staff)
    work(sampled, schemas, "staff")
    assert staff.delete(done).json()["status"] == "dismissed"
    assert staff.get(f"{done}/results").status_code == 404
    assert staff.delete("/jobs/nothing").json()["code"] == "NoSuchJob"


def test_so_many_wait_at_most(staff: TestClient) -> None:
    for _ in range(MOST_WAITING):
        begin(staff)
    more = staff.post("/processes/bar-o-kaf/execution", json={"inputs": P7}, headers=LATER)
    assert more.status_code == 429
    assert more.headers["retry-after"]


def test_two_workers_never_do_the_same(
    staff: TestClient, sampled: Database, schemas: Schemas, query: Asked
) -> None:
    for _ in range(10):
        begin(staff)

    async def both() -> list[int]:
        workers = [Worker(sampled, schemas, schemas.audience("staff")) for _ in range(2)]
        return await asyncio.gather(*(w.run(asyncio.Event(), until_idle=True) for w in workers))

    assert sum(asyncio.run(both())) == 10
    assert query("SELECT DISTINCT attempts, status FROM ops.job") == [(1, "successful")]


def test_a_running_job_is_cancelled_in_the_database(
    staff: TestClient, sampled: Database, schemas: Schemas, query: Asked, slow: None
) -> None:
    place = begin(staff, "reverse-geocode", point="POINT(50.8756 34.6397)")

    async def run() -> None:
        stop = asyncio.Event()
        worker = Worker(sampled, schemas, schemas.audience("staff"))
        task = asyncio.create_task(worker.run(stop))
        try:
            await _until(lambda: _sleeping(sampled) == 1)
            assert staff.get(place).json()["status"] == "running"
            staff.delete(place)
            await _until(lambda: _sleeping(sampled) == 0)
        finally:
            stop.set()
            await task

    asyncio.run(run())
    assert staff.get(place).json()["status"] == "dismissed"


def test_the_job_of_a_killed_worker_is_taken_again(
    staff: TestClient, sampled: Database, schemas: Schemas, query: Asked
) -> None:
    place = begin(staff)
    with sampled.connect("owner") as connection:  # its worker died half a minute ago
        connection.execute(
            "UPDATE ops.job SET status = 'running', worker = 'dead', attempts = 1, "
            "started = now() - interval '1 minute', seen = now() - interval '30 seconds'"
        )
    assert work(sampled, schemas, "staff") == 1
    assert staff.get(place).json()["status"] == "successful"
    assert query("SELECT attempts FROM ops.job") == [(2,)]
    begin(staff)
    with sampled.connect("owner") as connection:  # one that kills every worker ends
        connection.execute(
            "UPDATE ops.job SET status = 'running', worker = 'dead', attempts = 3, "
            "seen = now() - interval '30 seconds' WHERE status = 'accepted'"
        )
    work(sampled, schemas, "staff")
    assert "died" in str(query("SELECT message FROM ops.job WHERE status = 'failed'"))


def test_what_was_kept_long_enough_goes(
    staff: TestClient, sampled: Database, schemas: Schemas, query: Asked
) -> None:
    place = begin(staff)
    work(sampled, schemas, "staff")
    ((days,),) = query("SELECT extract(day FROM expires - finished)::int FROM ops.job")
    assert days == sampled.settings.job_keep_days
    with sampled.connect("owner") as connection:
        connection.execute("UPDATE ops.job SET expires = now() - interval '1 second'")
    assert staff.get(place).status_code == 404
    work(sampled, schemas, "staff")
    assert query("SELECT count(*) FROM ops.job") == [(0,)]


def test_an_audience_writes_its_own_jobs_and_nothing_else(
    sampled: Database, schemas: Schemas, staff: TestClient
) -> None:
    begin(staff)
    with sampled.connect("reader", autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        assert connection.execute("DELETE FROM api.makan_job").rowcount == 0
        for statement in (
            "DELETE FROM ops.job",
            "SELECT * FROM api_staff.makan_job",
            "INSERT INTO api.makan_job (audience, process, inputs) VALUES ('staff', 'x', '{}')",
            "UPDATE api.makan_job SET holder = 'tests'",
        ):
            with pytest.raises(Exception, match="permission denied"):
                connection.execute(statement)


def test_workers_beside_a_server_are_replaced_when_they_die(
    staff: TestClient, sampled: Database, query: Asked, slow: None
) -> None:
    place = begin(staff, "reverse-geocode", point="POINT(50.8756 34.6397)")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKAN_")} | {
        "MAKAN_HOME": str(sampled.settings.home),
        "MAKAN_DATABASE": sampled.settings.database,
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, "-m", "pipeline", "jobs", "work", "--audience", "staff"]
    running = subprocess.Popen(words, env=environment)
    try:
        _wait(lambda: _sleeping(sampled) == 1)
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        with sampled.connect("owner") as connection:
            connection.execute("UPDATE ops.job SET seen = now() - interval '30 seconds'")
        _wait(lambda: query("SELECT attempts FROM ops.job") == [(2,)])
        assert staff.get(place).json()["message"].startswith("taken again")
    finally:
        running.terminate()
        assert running.wait(15) == 0
    # A worker that is told to end gives its job back.
    assert query("SELECT status, worker FROM ops.job") == [("accepted", None)]
    assert json.loads(staff.get(place).content)["status"] == "accepted"


@pytest.fixture
def slow(sampled: Database) -> Iterator[None]:
    """Every look at a parcel takes long: the function that folds names is asked to sleep."""
    with sampled.connect("owner") as connection:
        ((made,),) = connection.execute(
            "SELECT pg_get_viewdef('api_staff.street'::regclass)"
        ).fetchall()
        plain = str(made).rstrip(";")
        connection.execute(
            f"CREATE OR REPLACE VIEW api_staff.street AS SELECT w.* FROM ({plain}) AS w, "
            "(SELECT pg_sleep(60) AS slept OFFSET 0) AS s WHERE s.slept IS NOT NULL".encode()
        )
    yield
    with sampled.connect("owner") as connection:
        connection.execute(f"CREATE OR REPLACE VIEW api_staff.street AS {plain}".encode())


def _sleeping(database: Database) -> int:
    """How many sessions of the database sleep; only an administrator is told of all."""
    uri = database.cluster.uri(SUPERUSER, database.settings.database)
    with psycopg.connect(uri) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
            "AND state = 'active' AND datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0


def _wait(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


async def _until(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("language", "shown"), [("fa", "1405/09/06 03:47"), ("en", "2026-11-27 03:47")]
)
def test_pages_tell_times_by_the_clock_and_calendar_of_the_city(
    staff: TestClient, sampled: Database, language: str, shown: str
) -> None:
    """Tehran is 3.5 h ahead; JSON keeps RFC 3339 in UTC."""
    place = begin(staff)
    with sampled.connect("owner") as connection:
        connection.execute(
            "UPDATE ops.job SET status = 'running', worker = 'w', started = '2026-11-27T00:17:10Z',"
            " updated = '2026-11-27T00:18:15Z', seen = now()"
        )
    for page in (place, "/jobs"):
        text = staff.get(page, params={"f": "html", "lang": language}).text
        assert shown in text
        assert "0:01:05" in text
    told = staff.get(place).json()
    assert told["started"] == "2026-11-27T00:17:10+00:00"
    (listed,) = staff.get("/jobs").json()["jobs"]
    assert listed["started"] == told["started"]
