"""The forms' map in a real browser: a polygon is drawn by the mouse or taken from a file, asked
about and answered. Skipped where there is no Chromium."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pyproj import Transformer
from starlette.testclient import TestClient

from pipeline import paths
from pipeline.db.engine import Database
from tests import chromium

HOST = "makan.test"
FORM = f"http://{HOST}/processes/project-impact?f=html&lang=fa"
PADDING = 40  # of the first view, in pixels
EQUATOR = 2 * math.pi * 6378137.0


@pytest.fixture(scope="module")
def browser(
    sampled: Database, served: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[chromium.Page]:
    """A browser for which the service for everybody is at its public address."""
    chromium.path()
    if not (paths.server_files() / "static" / "vendor" / "ol" / "ol.js").is_file():
        pytest.skip("the map library is not here: `npm ci && npm run vendor`")
    application = served(sampled, "public").app
    config = uvicorn.Config(application, port=0, lifespan="on", log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.05)
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        with chromium.page(HOST, port, tmp_path_factory.mktemp("browser")) as page:
            yield page
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def form(browser: chromium.Page) -> chromium.Page:
    """The page of the process, its map drawn and in sight."""
    browser.open(FORM)
    browser.until("document.querySelector('#map canvas') !== null")
    browser.value("document.getElementById('map').scrollIntoView({block: 'center'}), true")
    return browser


def seen(page: chromium.Page) -> tuple[dict[str, float], float, tuple[float, float]]:
    """Where the map is in the window, metres of a pixel in Web Mercator, and its middle: reckoned
    anew from the extent that the page has, as it is fitted."""
    box = page.value("(({x, y, width, height}) => ({x, y, width, height}))"
                     "(document.getElementById('map').getBoundingClientRect())")  # fmt: skip
    spec = json.loads(page.value("document.getElementById('map-data').textContent"))
    west, south, east, north = spec["extent"]
    mercator = Transformer.from_crs(4326, 3857, always_xy=True)
    (x0, x1), (y0, y1) = mercator.transform((west, east), (south, north))
    fitted = max(
        (x1 - x0) / (box["width"] - 2 * PADDING), (y1 - y0) / (box["height"] - 2 * PADDING)
    )
    least = EQUATOR / 256 / 2 ** spec["tiles"]["zoom"]["min"]
    return box, min(fitted, least), ((x0 + x1) / 2, (y0 + y1) / 2)


def field(page: chromium.Page) -> Any:
    text = page.value("document.querySelector('[data-shape]').value")
    return json.loads(text) if text else None


def test_a_polygon_that_is_drawn_is_asked_about(
    form: chromium.Page, public: TestClient, ask: Any
) -> None:
    """What stands in the field is what was clicked, to a pixel; the answer is that of the API."""
    box, metres, middle = seen(form)
    # Project and area are two ways to ask: what stood in the field of the other goes.
    assert form.value("document.getElementById('in-project_no').value") == "PR-1"
    across, up = box["width"] / 2, box["height"] / 2
    corners = [(-150, 100), (150, 100), (150, -100), (-150, -100)]
    for x, y in corners[:-1]:
        form.click(box["x"] + across + x, box["y"] + up + y)
        form.value("new Promise((after) => setTimeout(() => after(true), 300))")
    x, y = corners[-1]
    form.click(box["x"] + across + x, box["y"] + up + y, times=2)
    form.until("document.querySelector('[data-shape]').value != ''")
    drawn = field(form)
    assert drawn["type"] == "Polygon"
    (ring,) = drawn["coordinates"]
    degrees = Transformer.from_crs(3857, 4326, always_xy=True)
    wanted = [degrees.transform(middle[0] + x * metres, middle[1] - y * metres) for x, y in corners]
    pixel = metres / EQUATOR * 360
    for lon, lat in wanted:
        assert any(
            abs(lon - one[0]) < 1.5 * pixel and abs(lat - one[1]) < 1.5 * pixel for one in ring
        )
    assert len(ring) == 5
    assert form.value("document.getElementById('in-project_no').value") == ""
    found = ask(public, "project-impact", area=drawn)
    assert found["parcels"]
    form.value("document.querySelector('form.ask button.main').click()")
    form.until("location.pathname.endsWith('/execution') && document.readyState == 'complete'")
    text = form.value("document.body.innerText")
    for one in found["parcels"][:5]:
        assert one["nosazi"] in text


def test_a_polygon_is_taken_from_a_file(form: chromium.Page, tmp_path: Path) -> None:
    """Shown on the map and put into the field; what is no polygon is told in words."""
    ring = [[50.8754, 34.6396], [50.876, 34.6396], [50.876, 34.6398], [50.8754, 34.6396]]
    area = {"type": "Polygon", "coordinates": [ring]}
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {}, "geometry": area}]}))  # fmt: skip
    form.choose("#shape-file", path)
    form.until("document.querySelector('[data-shape]').value != ''")
    assert field(form) == area
    none = tmp_path / "none.geojson"
    none.write_text('{"type": "FeatureCollection", "features": []}')
    form.choose("#shape-file", none)
    told = form.until("document.getElementById('shape-told').textContent")
    assert told == "در این پرونده چنین شکلی نیست."


def test_nothing_was_asked_of_another_host(form: chromium.Page) -> None:
    assert all(address.startswith((f"http://{HOST}/", "data:", "blob:")) for address in form.asked)
    assert form.wrong == []
