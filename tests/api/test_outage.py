"""A database that is away is 503 with Retry-After, never 404, and is found again when back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from starlette.testclient import TestClient

from pipeline import testing
from pipeline.contracts import registry
from pipeline.db.cluster import Cluster
from pipeline.db.engine import Database
from pipeline.errors import DatabaseError
from pipeline.serve import publish
from pipeline.serve.query import Statement
from pipeline.serve.reader import Reader
from pipeline.serve.seldom import Seldom
from pipeline.settings import Settings
from tests.serving import Application

ASKED = [
    "/collections/parcels/items",
    "/collections/parcels/items?f=html",
    "/collections/parcels/items/1",
    "/collections/parcels/items/99",
    "/collections/parcels/items?filter=id=1",
    "/collections/parcels/tiles/WebMercatorQuad/16/26034/42027",
    "/health/ready",
]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Settings]:
    """A cluster of this module's own, to be stopped and started."""
    assert cluster  # where there is no PostgreSQL, this module is skipped too
    with testing.running_cluster(tmp_path_factory.mktemp("outage")) as running:
        yield testing.template(running, "qom")


@pytest.mark.slow
@pytest.mark.defect("outage")
def test_stop_and_start_again(own: Settings) -> None:
    database = Database(own)
    schemas = registry.load("qom")
    settings = replace(own, public_url="http://makan.test", statement_timeout_s=3)
    application, late = (Application(settings, schemas, database) for _ in range(2))
    with TestClient(application, base_url="http://makan.test") as client:
        assert client.get("/collections/parcels/items/1").status_code == 404
        database.cluster.stop()
        for address in ASKED:
            started = time.monotonic()
            answer = client.get(address)
            assert answer.status_code == 503, (address, answer.status_code)
            assert int(answer.headers["retry-after"]) > 0
            assert time.monotonic() - started < 4
        # What needs no database is answered all the while.
        for address in ("/", "/collections?f=json", "/collections/parcels/schema", "/health/live"):
            assert client.get(address).status_code == 200
        with pytest.raises(DatabaseError, match="does not answer"):
            publish.publish(settings, schemas, database)
        # A worker that takes the place of one that died begins all the same.
        with TestClient(late, base_url="http://makan.test") as new:
            assert new.get("/").status_code == 200
            assert new.get("/collections/parcels/items").status_code == 503
            database.cluster.start()
            # However long it was away: who asks now is answered.
            for found in (client, new):
                assert found.get("/health/ready").status_code == 200
                assert found.get("/collections/parcels/items").status_code == 200
                assert found.get("/collections/parcels/items/1").status_code == 404


def test_what_is_said_again_and_again_is_written_seldom(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    logger = logging.getLogger("makan.test.seldom")
    logger.addFilter(seldom := Seldom())
    try:
        for _ in range(3):
            logger.warning("error in %r:\n\tno file", "pool-1")
        logger.warning("another")
        logger.error("broken")
        logger.error("broken")
        now += 31
        logger.warning("error in %r:\n\tno file", "pool-1")
    finally:
        logger.removeFilter(seldom)
    assert [record.getMessage() for record in caplog.records] == [
        "error in 'pool-1': no file",
        "another",
        "broken",
        "broken",
        "error in 'pool-1': no file (and 2 times before)",
    ]


def test_a_restart_between_two_requests_is_not_noticed(own: Settings) -> None:
    async def ask() -> None:
        reader = Reader(Database(own), "reader", size=2)
        await reader.open()
        try:
            assert await reader.row(Statement(b"SELECT 1", {})) == (1,)
            Database(own).cluster.stop()
            Database(own).cluster.start()
            assert await reader.row(Statement(b"SELECT 2", {})) == (2,)
        finally:
            await reader.close()

    asyncio.run(ask())


@pytest.mark.slow
def test_a_database_that_hangs_holds_nobody(own: Settings) -> None:
    database, schemas = Database(own), registry.load("qom")
    settings = replace(own, public_url="http://makan.test", statement_timeout_s=2)
    application = Application(settings, schemas, database)
    pid = int((Path(database.cluster.state()["data"]) / "postmaster.pid").read_text().split()[0])
    with TestClient(application, base_url="http://makan.test") as client:
        assert client.get("/collections/parcels/items").status_code == 200
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for process in family:
            process.suspend()
        try:
            started = time.monotonic()
            assert client.get("/collections/parcels/items").status_code == 503
            assert time.monotonic() - started < 4
            started = time.monotonic()
            assert client.get("/collections?f=json").status_code == 200
            assert client.get("/health/live").status_code == 200
            assert time.monotonic() - started < 0.5
        finally:
            for process in family:
                process.resume()
        deadline = time.monotonic() + 10
        while client.get("/health/ready").status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert client.get("/collections/parcels/items").status_code == 200


@pytest.mark.defect("outlives")
def test_a_query_ends_when_its_client_goes(city: Database) -> None:
    async def gone() -> bool:
        return True

    async def ask() -> float:
        reader = Reader(city, "reader", size=1)
        await reader.open()
        started = time.monotonic()
        try:
            with pytest.raises(TimeoutError):
                await reader.row(Statement(b"SELECT pg_sleep(30)::text", {}), gone)
            # The connection is free again at once.
            assert await reader.row(Statement(b"SELECT 1", {})) == (1,)
        finally:
            await reader.close()
        return time.monotonic() - started

    assert asyncio.run(ask()) < 3
    with city.connect("owner") as connection:
        left = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(30)%%' "
            "AND state = 'active' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert left == (0,)


def test_another_citys_database_is_refused(city: Database, tmp_path: Path) -> None:
    schemas = registry.load("cambridge")
    settings = replace(city.settings, city="cambridge", public_url=f"http://{tmp_path.name}.test")
    with pytest.raises(DatabaseError, match="cambridge"):
        publish.publish(settings, schemas, city)
