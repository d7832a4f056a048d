"""The pages: nothing from outside, every word in both languages, values as people read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pygeoapi
import pytest
from babel import Locale
from jinja2 import Environment, nodes

from pipeline.serve.pages import Pages

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "geoserver_config"
TEMPLATES = PAGES / "templates"
STATIC = PAGES / "static"
STOCK = Path(pygeoapi.__file__).parent / "templates"

ENVIRONMENT = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
WORDS_SOURCE = (TEMPLATES / "_fa.html").read_text("utf-8")
WORDS: dict[str, str] = ENVIRONMENT.from_string(WORDS_SOURCE).module.words  # type: ignore[attr-defined]

# Reached only with the admin API on (never), and by nothing at all in pygeoapi 0.24.
LEFT_STOCK = {"admin/index.html", "collections/map/metadata.html"}
OUTSIDE = re.compile(r"(?:https?:)?//[\w.-]+\.\w", re.IGNORECASE)
LOADING_TAG = re.compile(
    r"<(?:link|script|img|iframe|source|embed|object|form)\b[^>]*>", re.IGNORECASE
)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.html")}


OURS = sorted(names(TEMPLATES))


def source(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def called_with(tree: nodes.Template, name: str) -> list[nodes.Expr]:
    """The first argument of every call of ``name`` or ``kit.name``."""
    found = []
    for call in tree.find_all(nodes.Call):
        called = call.node
        if getattr(called, "name", getattr(called, "attr", None)) == name:
            found.append(call.args[0])
    return found


def said(name: str) -> set[str]:
    """The English texts that a template puts before its reader."""
    texts = set()
    tree = ENVIRONMENT.parse(source(name))
    for argument in called_with(tree, "t"):
        assert isinstance(argument, nodes.Const), f"{name}: t() takes a literal, or no test sees it"
        texts.add(argument.value)
    for item in tree.find_all(nodes.Getitem):
        if getattr(item.node, "name", "") == "words" and isinstance(item.arg, nodes.Const):
            texts.add(item.arg.value)
    return texts


@pytest.mark.parametrize("name", OURS)
def test_a_template_loads_nothing_from_outside(name: str) -> None:
    text = source(name)
    for tag in LOADING_TAG.findall(text):
        assert not OUTSIDE.search(tag), tag
        if tag.startswith("<script") and "src=" not in tag:
            assert 'type="application/json"' in tag, (
                "an inline script: the content policy refuses it"
            )
    assert not re.search(r"<[^>]*\son\w+=", text), (
        "an inline handler: the content policy refuses it"
    )


def test_scripts_and_styles_load_nothing_from_outside() -> None:
    files = [
        path
        for path in STATIC.rglob("*")
        if path.suffix in {".js", ".css", ".svg"} and "vendor" not in path.parts
    ]
    assert files
    for path in files:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not OUTSIDE.search(text), path.name
        assert "@import" not in text, path.name


def test_every_stock_page_is_replaced() -> None:
    assert names(STOCK) - names(TEMPLATES) == LEFT_STOCK
    for name in LEFT_STOCK:
        assert not OUTSIDE.search((STOCK / name).read_text("utf-8")), name


def test_what_the_pages_load_is_there() -> None:
    vendored = (PAGES / "vendor.mjs").read_text("utf-8")
    wanted = {
        path
        for name in OURS
        for path in re.findall(r"\{\{ kit\.static \}\}/([^\"]+)", source(name))
    }
    assert wanted
    for path in wanted:
        if path.startswith("vendor/"):
            assert f'"{path.removeprefix("vendor/")}"' in vendored, path
        else:
            assert (STATIC / path).is_file(), path


def test_every_text_has_its_persian() -> None:
    used = set().union(*(said(name) for name in OURS))
    assert used - set(WORDS) == set(), "without translation"
    assert set(WORDS) - used == set(), "no page says this any more"
    for english, persian in WORDS.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", persian)), english


# Names of standards and formats are the same in both languages.
NAMES = {
    "AsyncAPI",
    "EPSG",
    "Features",
    "JSON",
    "OGC",
    "API",
    "OpenAPI",
    "STAC",
    "Schema",
    "TileJSON",
    "pygeoapi",
}


@pytest.mark.parametrize("name", OURS)
def test_no_text_stands_in_one_language_only(name: str) -> None:
    tree = ENVIRONMENT.parse(source(name))
    data = "".join(piece.data for piece in tree.find_all(nodes.TemplateData))
    # The page of errors says everything twice.
    data = re.sub(r'<section class="notice" lang="en".*?</section>', "", data, flags=re.DOTALL)
    data = re.sub(r"<code.*?</code>", "", data, flags=re.DOTALL)
    visible = re.sub(r"<[^>]*>|&\w+;", " ", data)
    assert set(re.findall(r"[A-Za-z]{2,}", visible)) <= NAMES


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text("utf-8"))
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]


def config(**resources: Any) -> dict[str, Any]:
    both = {"fa": "قم", "en": "Qom"}
    return {
        "server": {
            "url": "http://maps.example/gis",
            "languages": ["fa", "en"],
            "limits": {"default_items": 50},
        },
        "metadata": {
            "identification": {
                "title": both,
                "description": both,
                "keywords": {"fa": [], "en": []},
            },
            "provider": {"name": both, "url": "http://maps.example/"},
            "license": {"name": both},
            "contact": {"name": both},
        },
        "makan": {"timezone": "Asia/Tehran"},
        "resources": resources,
    }


PARCELS = {
    "type": "collection",
    "title": {"fa": "قطعات", "en": "Parcels"},
    "description": {"fa": "قطعات", "en": "Parcels"},
    "extents": {"spatial": {"bbox": [50.8, 34.6, 50.9, 34.7]}},
    "fields": {
        "land_use": {
            "title": {"fa": "کاربری", "en": "Land use"},
            "codes": {"res": {"fa": "مسکونی", "en": "Residential"}},
        },
        "area": {"title": {"fa": "مساحت", "en": "Area"}, "unit": "m2"},
    },
    "providers": [{"type": "feature", "name": "x", "title_field": "nosazi"}],
}


def render(name: str, data: dict[str, Any], locale: Locale, **resources: Any) -> str:
    with TemporaryDirectory() as compiled:
        pages = Pages(TEMPLATES, config(**resources), compiled=Path(compiled))
        return pages.render(name, data, str(locale))


FA, EN, SYSTEM = Locale("fa"), Locale("en"), Locale("en", "US")
HOME = "http://maps.example/gis"


def items(**properties: Any) -> dict[str, Any]:
    collection = f"{HOME}/collections/parcels"
    shape = {"type": "Point", "coordinates": [50.88, 34.64]}
    feature = {"type": "Feature", "id": 7, "geometry": shape, "properties": properties}
    return {
        "features": [feature],
        "numberMatched": 1234,
        "offset": 0,
        "limit": 50,
        "title_field": "nosazi",
        "items_path": f"{collection}/items",
        "dataset_path": collection,
        "collections_path": f"{HOME}/collections",
        "links": [
            {"rel": "collection", "type": "application/json", "title": "قطعات", "href": collection},
            {"rel": "next", "type": "application/geo+json", "href": f"{collection}/items?offset=1"},
        ],
    }


@pytest.mark.parametrize(
    ("locale", "frame"), [(FA, 'lang="fa" dir="rtl"'), (EN, 'lang="en" dir="ltr"')]
)
def test_the_page_runs_in_the_direction_of_its_language(locale: Locale, frame: str) -> None:
    page = render("landing_page.html", {"collection": True, "links": []}, locale, parcels=PARCELS)
    assert f"<html {frame}>" in page
    assert f'href="/gis/collections/parcels?lang={locale}"' in page


def test_addresses_hold_under_every_name_of_the_server() -> None:
    page = render("collections/items/index.html", items(nosazi="1-2"), FA, parcels=PARCELS)
    assert 'href="/gis/static/css/makan.css"' in page
    assert 'href="/gis/collections/parcels/items?offset=1&amp;lang=fa"' in page
    assert HOME not in page


def test_values_are_shown_as_people_read_them() -> None:
    found = items(nosazi="1-12-45-7-0-0-0", land_use="res", area=250.5, note=None, corner=True)
    page = render("collections/items/index.html", found, FA, parcels=PARCELS)
    assert "<bdi>1-12-45-7-0-0-0</bdi>" in page
    assert '<bdi title="res">مسکونی</bdi>' in page
    assert 'مساحت (<bdi class="unit">m²</bdi>)' in page
    assert ">—</span>" in page
    assert "None" not in page
    assert "بله" in page


def test_days_and_moments_are_shown_by_the_readers_calendar_and_the_citys_clock() -> None:
    found = items(nosazi="1-2", since="2026-03-21", seen="2026-03-20T21:30:00.5+00:00", other="x-9")
    page = render("collections/items/index.html", found, FA, parcels=PARCELS)
    assert '<bdi class="code" title="2026-03-21">1405/01/01</bdi>' in page
    assert 'datetime="2026-03-20T21:30:00.5+00:00" dir="ltr">1405/01/01 01:00</time>' in page
    page = render("collections/items/index.html", found, EN, parcels=PARCELS)
    assert ">2026-03-21</bdi>" in page
    assert ">2026-03-21 01:00</time>" in page


def test_the_page_tells_how_many_records_it_was_asked_for() -> None:
    page = render("collections/items/index.html", {**items(), "limit": 50}, EN, parcels=PARCELS)
    assert "<option selected>50</option>" in page
    assert page.count(" selected") == 1


def test_layers_stand_under_their_themes() -> None:
    first = {**PARCELS, "theme": {"en": "Land", "fa": "زمین"}}
    other = {**PARCELS, "theme": {"en": "Water", "fa": "آب"}}
    data = {"collection": True, "links": []}
    page = render("landing_page.html", data, FA, parcels=first, lots=first, wells=other)
    assert page.count('class="theme"') == 2
    assert page.index("زمین") < page.index("/collections/lots") < page.index(">آب<")


def test_data_cannot_become_markup() -> None:
    evil = "</script><script>alert(1)</script>"
    page = render("collections/items/index.html", items(nosazi=evil), EN, parcels=PARCELS)
    assert "<script>alert" not in page
    spec = re.search(r'id="map-data">(.*?)</script>', page, re.DOTALL)
    assert spec
    assert json.loads(spec[1])["features"]["features"][0]["properties"]["label"] == evil


def test_the_only_base_map_is_our_own_photo() -> None:
    photo = {
        **PARCELS,
        "providers": [
            {
                "type": "tile",
                "options": {"zoom": {"min": 10, "max": 20}},
                "format": {"name": "png", "mimetype": "image/png"},
            }
        ],
    }
    found = items(nosazi="1-2")
    without = render("collections/items/index.html", found, EN, parcels=PARCELS)
    assert '"backdrop":null' in without
    page = render("collections/items/index.html", found, EN, parcels=PARCELS, orthophoto=photo)
    assert '"/gis/collections/orthophoto/tiles/WebMercatorQuad/{z}/{y}/{x}?f=png"' in page


def test_a_refusal_is_told_in_the_readers_language() -> None:
    told = {"code": "NotFound", "status": 404, "description": "Collection not found"}
    page = render("exception.html", told, SYSTEM)
    assert '<html lang="fa" dir="rtl">' in page
    assert "چنین لایه‌ای نیست" in page
    assert "Collection not found" not in page
    page = render("exception.html", told, EN)
    assert "Collection not found" in page
    assert not re.search(r"<h1>[^<]*[آ-ی]", page)


def test_a_detail_known_in_english_only_stands_beneath_what_it_means() -> None:
    told = {"code": "NotFound", "status": 404, "description": "there is no job 'x'"}
    page = render("exception.html", told, FA)
    assert "در این نشانی چیزی نیست" in page
    assert re.search('<p class="quiet" lang="en" dir="ltr">there is no job &#39;x&#39;</p>', page)


def test_a_page_in_the_first_language_follows_the_language_of_its_links() -> None:
    """pygeoapi renders coverage and EDR pages in the first language whatever was asked."""
    path = f"{HOME}/collections/parcels"
    data = {
        "type": "Coverage",
        "title": "Heights",
        "query_type": "Position",
        "query_path": f"{path}/position",
        "dataset_path": path,
        "links": [
            {"rel": "alternate", "type": "application/json", "href": f"{path}/position?lang=en"}
        ],
        "domain": {"axes": {"x": {"values": [50.88]}}},
        "parameters": {},
        "ranges": {"elevation": {"values": [931.2], "shape": [1]}},
    }
    page = render("collections/edr/query.html", data, FA, parcels=PARCELS)
    assert '<html lang="en" dir="ltr">' in page
    assert "931.2" in page


def test_values_along_a_line_are_drawn_and_broken_where_there_are_none() -> None:
    path = f"{HOME}/collections/parcels"
    places = [[50.88, 34.1], [50.89, 34.1], [50.9, 34.1], [50.91, 34.1], [50.92, 34.1]]
    data = {
        "type": "Coverage",
        "title": "Heights",
        "query_type": "Trajectory",
        "query_path": f"{path}/trajectory",
        "dataset_path": path,
        "links": [],
        "domain": {"axes": {"composite": {"values": places}}},
        "parameters": {},
        "ranges": {"elevation": {"values": [931.0, 932.0, None, 933.0, 932.0], "shape": [5]}},
    }
    page = render("collections/edr/query.html", data, EN, parcels=PARCELS)
    assert "Values along a line" in page
    assert 'd="M60.0 200.0L242.5 110.0M607.5 20.0L790.0 110.0"' in page
