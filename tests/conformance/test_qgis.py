"""QGIS itself reads, pages, filters and draws a collection: Debian's PyQGIS, in its own process."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts.registry import Schemas

from .conftest import Api, links

PYTHON = Path("/usr/bin/python3")
SCRIPT = Path(__file__).with_name("by_qgis.py")
_LIMIT_S = 180
#: What cities call the code of a parcel; QGIS has the id not among its attributes.
KEYS = ("nosazi", "map_lot")


def _is_here() -> bool:
    asked = [str(PYTHON), "-c", "import qgis.core"]
    return (
        PYTHON.exists() and not subprocess.run(asked, capture_output=True, check=False).returncode
    )


@pytest.fixture(scope="module")
def read(api: Api, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What QGIS says of the parcels and their style."""
    if not _is_here():
        pytest.skip("PyQGIS (Debian: python3-qgis) is not installed for the system's Python")
    folder = tmp_path_factory.mktemp("qgis")
    geometries = {}
    for style in api.json("/styles")["styles"]:
        if style["id"] in api.collections:
            geometries[style["id"]] = _shape(api, style["id"])
            for form, ending in (("qml", "qml"), ("sld10", "sld")):
                sheet = api.get(f"/styles/{style['id']}", f=form).content
                (folder / f"{style['id']}.{ending}").write_bytes(sheet)
    (folder / "geometries.json").write_text(json.dumps(geometries), "utf-8")
    base = str(api.client.base_url).rstrip("/")
    number = api.json("/collections/parcels/items", limit=1)["numberMatched"]
    page = str(max(4, number // 50))
    words = [str(PYTHON), str(SCRIPT), base, "parcels", _named(api), page]
    words += ["\"land_use\" = 'residential'", str(folder)]
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(folder)}
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        env.pop(name, None)
    ended = subprocess.run(
        words, capture_output=True, text=True, env=env, timeout=_LIMIT_S, check=False
    )
    assert ended.stdout.startswith("{"), ended.stderr[-2000:]
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def _shape(api: Api, name: str) -> dict[str, Any]:
    """The geometry of a collection as QGIS names it, and its fields."""
    told = api.json(f"/collections/{name}/schema")["properties"]
    (kind,) = [
        one["format"] for one in told.values() if one.get("x-ogc-role") == "primary-geometry"
    ]
    known = ("MultiPolygon", "MultiLineString", "MultiPoint", "Polygon", "LineString", "Point")
    kinds = {f"geometry-{one.lower()}": one for one in known}
    return {"type": kinds[kind], "fields": list(told)}


def _named(api: Api) -> str:
    known = api.json("/collections/parcels/queryables")["properties"]
    return next(key for key in KEYS if key in known)


def _key(feature: dict[str, Any]) -> str:
    return next(str(feature["properties"][key]) for key in KEYS if key in feature["properties"])


def _features(api: Api, **asked: Any) -> list[dict[str, Any]]:
    page = api.json("/collections/parcels/items", limit=10_000, **asked)
    found: list[dict[str, Any]] = page["features"]
    while following := links(page, "next"):
        page = api.json(following[0]["href"])
        found += page["features"]
    return found


def test_qgis_reads_every_page(read: dict[str, Any], api: Api) -> None:
    """Every feature once, over many pages; texts as they are, axes the right way round."""
    features = _features(api)
    features.sort(key=_key)
    assert [_key({"properties": row}) for row in read["rows"]] == [
        _key(feature) for feature in features
    ]
    assert read["crs"] in ("OGC:CRS84", "EPSG:4326")
    for row, feature in zip(read["rows"], features, strict=True):
        for name, value in feature["properties"].items():
            # A column of codes such as 1-11-1 alone, GDAL's reader of JSON takes for dates.
            if isinstance(value, str) and read["types"][name] == "string":
                assert row[name] == value
        east, north = feature["geometry"]["coordinates"][0][0][0]
        assert (row["@x"], row["@y"]) == pytest.approx((east, north), abs=0.05)


def test_qgis_filters(read: dict[str, Any], api: Api) -> None:
    assert read["subset"]
    assert read["filtered"] == sorted(map(_key, _features(api, filter="land_use = 'residential'")))
    assert read["in_box"] == [_key({"properties": read["rows"][0]})]


@pytest.mark.parametrize("form", ["qml", "sld"])
def test_qgis_draws_the_published_style(
    read: dict[str, Any], api: Api, schemas: Schemas, form: str
) -> None:
    """The colour in the middle of each parcel is its land use's in the contract."""
    assert read[form]["good"], read[form]["said"]
    colours = {one.code: one.fill for one in schemas.layers["parcel"].style.classes}
    uses = {_key(feature): feature["properties"]["land_use"] for feature in _features(api)}
    if not any(uses.values()):
        pytest.skip("no parcel of this city has a land use")
    assert read[form]["drawn"]
    for key, colour in read[form]["drawn"].items():
        assert colour == colours[uses[key]].lower()


def test_qgis_takes_every_published_style(read: dict[str, Any]) -> None:
    assert len(read["styles"]) > 20
    for name, found in read["styles"].items():
        assert found["good"], (name, found)
        assert found["symbols"] >= 1, (name, found)
