"""A served city for the abstract tests of OGC's standards: features, processes, pictures, heights.

`make conformance` sets MAKAN_CONFORMANCE_URL to ask the server of a whole sample city instead.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import httpx2
import numpy as np
import pytest

from pipeline import testing
from pipeline.contracts.registry import Schemas
from pipeline.db.cluster import SUPERUSER
from pipeline.db.engine import Database
from pipeline.rasters.deliver import deliver
from pipeline.rasters.inspect import Declared, Job
from tests.api.conftest import fill
from tests.raster.conftest import FIVE_METRES, hilly, running, write
from tests.serving import Application

SPEC = "http://www.opengis.net/spec/"
REL = "http://www.opengis.net/def/rel/ogc/1.0"
#: The server that is asked, where it is not the tests' own.
ASKED = os.environ.get("MAKAN_CONFORMANCE_URL")
_SOME = 3


@dataclass(frozen=True)
class Api:
    """The service under test."""

    client: httpx2.Client

    def get(self, path: str, **query: Any) -> httpx2.Response:
        """The answer to a GET; an address is asked as it is."""
        asked = {name.replace("_", "-"): value for name, value in query.items()}
        if asked:
            path = f"{path}{'&' if '?' in path else '?'}{urlencode(asked)}"
        return self.client.get(path)

    def json(self, path: str, **query: Any) -> Any:
        """The document at ``path``."""
        answer = self.get(path, **{**({} if "f=" in path else {"f": "json"}), **query})
        assert answer.status_code == 200, f"{path} {query}: {answer.text[:300]}"
        return answer.json()

    @cached_property
    def declared(self) -> frozenset[str]:
        """The conformance classes, without what all of their names begin with."""
        found = self.json("/conformance")["conformsTo"]
        return frozenset(name.removeprefix(SPEC) for name in found)

    @cached_property
    def collections(self) -> dict[str, dict[str, Any]]:
        """All collections by id."""
        return {found["id"]: found for found in self.json("/collections")["collections"]}

    @cached_property
    def features(self) -> list[dict[str, Any]]:
        """Some collections that have features with a place, and one without."""
        listed = [one for one in self.collections.values() if one.get("itemType") == "feature"]
        shaped, plain = [], []
        for one in listed:
            page = self.json(f"/collections/{one['id']}/items", limit=1)["features"]
            if page and "change" not in one["id"]:
                (plain if page[0]["geometry"] is None else shaped).append(one)
        return [*shaped[:_SOME], *plain[:1]]

    @cached_property
    def shaped(self) -> list[dict[str, Any]]:
        """Those with a place."""
        return [one for one in self.features if "storageCrs" in one and self._first(one["id"])]

    def _first(self, name: str) -> Any:
        return self.json(f"/collections/{name}/items", limit=1)["features"][0]["geometry"]

    @cached_property
    def openapi(self) -> dict[str, Any]:
        """The API definition."""
        found: dict[str, Any] = self.json("/openapi")
        return found

    def parameters(self, path: str) -> dict[str, dict[str, Any]]:
        """Parameters of a GET as the API definition says, by name."""
        known = self.openapi["components"]["parameters"]
        found = self.openapi["paths"][path]["get"]["parameters"]
        resolved = [known[one["$ref"].split("/")[-1]] if "$ref" in one else one for one in found]
        return {one["name"]: one for one in resolved}


def links(document: Any, rel: str) -> list[dict[str, Any]]:
    """The links of a document with this relation."""
    return [link for link in document["links"] if link["rel"] == rel]


def check_links(document: Any) -> None:
    """Every link has an address, a relation and a media type; one is to the document itself."""
    assert all({"href", "rel", "type"} <= link.keys() for link in document["links"]), document
    assert len(links(document, "self")) == 1, document["links"]
    assert links(document, "alternate"), document["links"]


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """The service: the one whose address is given, or a small one of the tests' own."""
    address = ASKED or request.getfixturevalue("own")
    with httpx2.Client(base_url=address, timeout=60) as client:
        yield Api(client)


@pytest.fixture(scope="session")
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A city of some rows, an orthophoto and an elevation model behind a port of this machine."""
    cluster = request.getfixturevalue("cluster")
    schemas: Schemas = request.getfixturevalue("schemas")
    folder = tmp_path_factory.mktemp("conformance")
    colours = np.full((3, 240, 320), 120, np.uint8)
    files = {
        "orthophoto": write(folder / "tasvir.tif", colours),
        "dem": write(folder / "dem.tif", hilly(120, 160), transform=FIVE_METRES),
    }
    template = request.getfixturevalue("qom_template")
    with testing.clone(template) as cloned, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        settings = replace(
            cloned.settings, home=folder / "home", port=port, public_url="",
            database_url=cluster.uri(SUPERUSER, cloned.settings.database),
        )  # fmt: skip
        database = Database(settings)
        fill(cloned)
        for layer, path in files.items():
            job = Job(path, schemas.rasters[layer], schemas.city, Declared())
            deliver(database, settings.home, schemas, [job])
        application = Application(settings, schemas, database)
        with running(application, port) as base:
            yield base


@pytest.fixture(autouse=True)
def _declared(request: pytest.FixtureRequest) -> None:
    """A test of classes that this service does not declare has nothing to prove."""
    api: Api = request.getfixturevalue("api")
    for mark in request.node.iter_markers("proves"):
        missing = set(mark.args) - api.declared
        if missing:
            pytest.skip(f"this service does not declare {', '.join(sorted(missing))}")
