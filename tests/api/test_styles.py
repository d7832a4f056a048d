"""Styles of collections and groups: valid, in both languages, offline, of the same colours."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = ROOT / "node_modules/@maplibre/maplibre-gl-style-spec/dist/gl-style-validate.cjs"
SLD = {"s": "http://www.opengis.net/sld", "o": "http://www.opengis.net/ogc"}


def _styles(client: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/styles?f=json&lang=en").json()["styles"]
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def test_every_drawn_layer_and_group_has_a_style(client: TestClient, schemas: Schemas) -> None:
    named = [style["id"] for style in _styles(client)]
    assert named[: len(schemas.groups)] == list(schemas.groups)
    assert {"parcels", "streets", "poi"} <= set(named)
    assert "postcodes" not in named  # of staff alone
    assert "zone-rules" not in named  # has no geometry
    for style in _styles(client):
        for link in style["links"]:
            answer = client.get(link["href"])
            assert answer.status_code == 200, link["href"]
            assert answer.headers["content-type"].startswith(link["type"])


def test_maplibre_styles_are_valid_and_ask_no_other_host(
    client: TestClient, tmp_path: Path
) -> None:
    paths = []
    for style in _styles(client):
        made = client.get(f"/styles/{style['id']}?f=mbs").json()
        for text in _strings(made):
            assert "://" not in text or text.startswith("http://makan.test/"), text
        tiles = client.get(made["sources"]["makan"]["url"]).json()
        names = {one["id"] for one in tiles["vector_layers"]}
        assert {one["source-layer"] for one in made["layers"] if "source-layer" in one} <= names
        path = tmp_path / f"{style['id']}.json"
        path.write_text(json.dumps(made))
        paths.append(path)
    if not shutil.which("node") or not VALIDATOR.is_file():
        pytest.skip("node or @maplibre/maplibre-gl-style-spec is missing (npm ci)")
    done = subprocess.run(["node", VALIDATOR, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = json.loads(paths[0].read_text())
    broken["layers"][1]["paint"]["no-such-paint"] = 1
    paths[0].write_text(json.dumps(broken))
    done = subprocess.run(["node", VALIDATOR, paths[0]], capture_output=True, check=False)
    assert done.returncode != 0


def _colours(client: TestClient, schemas: Schemas) -> dict[str, str]:
    return {
        one.code: one.fill
        for one in schemas.layers["parcel"].style.classes
        if one.code and one.fill
    }


def test_all_forms_show_the_contracts_colours(client: TestClient, schemas: Schemas) -> None:
    expected = _colours(client, schemas)
    made = client.get("/styles/parcels?f=mbs").json()
    (fill,) = [one for one in made["layers"] if one["type"] == "fill"]
    match = fill["paint"]["fill-color"]
    assert match[:2] == ["match", ["coalesce", ["get", "land_use"], ""]]
    assert dict(zip(match[2:-1:2], match[3:-1:2], strict=True)) == expected
    sld = ET.fromstring(client.get("/styles/parcels?f=sld10").content)
    drawn = {}
    for rule in sld.iterfind(".//s:Rule", SLD):
        code = rule.findtext("o:Filter/o:PropertyIsEqualTo/o:Literal", None, SLD)
        if code:
            colour = rule.findtext("s:PolygonSymbolizer/s:Fill/s:CssParameter", None, SLD)
            drawn[code] = colour
    assert drawn == expected
    qml = ET.fromstring(client.get("/styles/parcels?f=qml").content)
    symbols = {
        one.get("name"): one.find("layer/Option/Option[@name='color']").get("value")
        for one in qml.iterfind("renderer-v2/symbols/symbol")
    }
    drawn = {
        one.get("value"): symbols[one.get("symbol")]
        for one in qml.iterfind("renderer-v2/categories/category")
        if one.get("value")
    }
    as_numbers = {
        code: ",".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5)) + ",255"
        for code, colour in expected.items()
    }
    assert drawn == as_numbers


@pytest.mark.parametrize(("language", "word"), [("fa", "مسکونی"), ("en", "Residential")])
def test_words_are_those_of_the_language(client: TestClient, language: str, word: str) -> None:
    for form in ("mbs", "sld10", "qml"):
        answer = client.get(f"/styles/parcels?f={form}&lang={language}")
        assert word in answer.text
        assert answer.headers["content-language"] == language
    told = client.get(f"/styles/parcels/metadata?f=json&lang={language}").json()
    assert word in [one["title"] for one in told["layers"][0]["legend"]]
    legend = client.get(f"/styles/parcels/legend?f=png&lang={language}")
    image = np.asarray(Image.open(BytesIO(legend.content)).convert("RGB"))
    # Patches are on the side where reading begins.
    yellow = np.argwhere((image == (255, 230, 128)).all(axis=2))
    assert len(yellow) > 300
    assert (yellow[:, 1].min() > image.shape[1] / 2) == (language == "fa")


def test_style_pages_and_what_is_not_there(client: TestClient) -> None:
    page = client.get("/styles?f=html&lang=fa")
    assert page.status_code == 200
    assert 'dir="rtl"' in page.text
    listed = client.get("/collections/parcels/styles?f=json").json()
    assert [one["id"] for one in listed["styles"]] == ["parcels"]
    for path in (
        *(f"/styles/{name}" for name in ("nope", "nope/metadata", "zone-rules")),
        "/collections/nope/styles",
        "/collections/zone-rules/styles",
    ):
        assert client.get(path).status_code == 404
    # QGIS' own form is of one layer.
    assert client.get("/styles/city-map?f=qml").status_code == 400
    assert client.get("/styles/parcels?f=css").status_code == 400


def test_letters_for_labels_are_ours(client: TestClient) -> None:
    answer = client.get("/fonts/Vazirmatn/1536-1791.pbf")
    if answer.status_code == 404 and "npm run vendor" in answer.text:
        pytest.skip("the font is not vendored here")
    assert answer.status_code == 200
    glyphs = {one[1]: one for one in _glyphs(answer.content)}
    # MEEM has a loop: a bitmap with a margin of 3 on each side, as wide and high as it says.
    meem = glyphs[0x645]
    assert len(meem[2]) == (meem[3] + 6) * (meem[4] + 6)
    field = np.frombuffer(meem[2], np.uint8).reshape(meem[4] + 6, meem[3] + 6)
    assert field.max() > 192 > field[0].max()
    assert 5 < meem[7] < 24
    for path in ("Nope/0-255", "Vazirmatn/1-256", "Vazirmatn/0-100", "Vazirmatn/a-b"):
        assert client.get(f"/fonts/{path}.pbf").status_code == 404


def _fields(body: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message, read by the format's own rules."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(body):
        key = number()
        if key & 7 == 2:
            size = number()
            yield key >> 3, body[at : at + size]
            at += size
        else:
            yield key >> 3, number()


def _glyphs(body: bytes) -> list[dict[int, Any]]:
    ((_, stack),) = _fields(body)
    return [dict(_fields(one)) for number, one in _fields(stack) if number == 3]
