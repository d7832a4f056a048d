"""The connection test: what arrived is told back, and how it was understood."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyproj
import pytest
from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database

Asked = Callable[..., Any]
#: A Persian yeh, a zero width non-joiner, an Arabic yeh, a Persian digit.
WORDS = "علی‌پور ي ۱"


@pytest.fixture
def _no_jobs(sampled: Database) -> Iterator[None]:
    yield
    with sampled.connect("owner") as connection:
        connection.execute("DELETE FROM ops.job")


def test_a_text_comes_back_letter_by_letter(public: TestClient, ask: Asked) -> None:
    told = ask(public, "echo", text=WORDS)
    assert told["text"] == WORDS
    assert told["length"] == len(WORDS)
    assert told["letters"] == [f"U+{ord(letter):04X}" for letter in WORDS]
    assert told["folded"] == "علی پور ی 1"
    age = datetime.now(UTC) - datetime.fromisoformat(told["time"])
    assert abs(age.total_seconds()) < 60
    assert told["sources"] == {}


@pytest.mark.parametrize(
    ("value", "kind"), [("۱۲", "string"), (12.5, "number"), (False, "boolean")]
)
def test_a_value_keeps_its_type(public: TestClient, ask: Asked, value: Any, kind: str) -> None:
    told = ask(public, "echo", text="a", value=value, numbers=[3, 1, 2])
    assert told["value"] == value
    assert type(told["value"]) is type(value)
    assert told["value_type"] == kind
    assert told["numbers"] == [3, 1, 2]


def test_a_box_is_placed_in_the_citys_crs(public: TestClient, ask: Asked, schemas: Schemas) -> None:
    sides = [50.87, 34.63, 50.88, 34.64]
    told = ask(public, "echo", text="a", box={"bbox": sides})
    east, north = pyproj.Transformer.from_crs(4326, schemas.city.srid, always_xy=True).transform(
        [50.87, 50.87, 50.88, 50.88], [34.63, 34.64, 34.63, 34.64]
    )
    expected = [min(east), min(north), max(east), max(north)]
    assert told["box_in_city"] == pytest.approx(expected, abs=0.002)
    nowhere = ask(public, "echo", text="a", box={"bbox": [0, -90, 1, 120]})
    assert nowhere["box_in_city"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"text": ""}, {"text": 5}, {"text": "a", "value": {"type": "wrong/type"}},
        {"text": "a", "value": [1]}, {"text": "a", "numbers": [1.5]},
        {"text": "a", "box": {"bbox": [1, 2, 3]}}, {"text": "a", "box": {"bbox": [1, 2, 3, 345]}},
        {"text": "a", "box": {"bbox": [1, 2, 3, 4], "crs": "urn:ogc:def:crs:EPSG:6.6:4326"}},
        {"text": "a", "pause": 6},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    public: TestClient, refused: Asked, wrong: dict[str, Any]
) -> None:
    assert refused(public, "echo", **wrong)["status"] == 400


@pytest.mark.usefixtures("_no_jobs")
def test_a_long_pause_is_for_the_background(public: TestClient, refused: Asked) -> None:
    told = refused(public, "echo", text="a", pause=2)
    assert (told["status"], told["found"], told["most"]) == (413, 2, 1)
    asked = {"inputs": {"text": "a", "pause": 5}}
    begun = public.post(
        "/processes/echo/execution", json=asked, headers={"Prefer": "respond-async"}
    )
    assert begun.status_code == 201
    (monitor,) = [one["href"] for one in begun.json()["links"] if one["rel"] == "monitor"]
    assert monitor == begun.headers["location"]


def test_the_form_gives_objects_and_lists_as_json(public: TestClient) -> None:
    texts = {"text": "a", "box": '{"bbox": [50.87, 34.63, 50.88, 34.64]}', "numbers": "[1, 2]"}
    told = public.get("/processes/echo/execution", params={**texts, "f": "json"}).json()
    assert told["box"]["bbox"][0] == 50.87
    assert told["numbers"] == [1, 2]
    page = public.get("/processes/echo?f=html&lang=en").text
    assert "string | number | boolean" in page
    assert "{&#34;bbox&#34;:[50.87" in page
