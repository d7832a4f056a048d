"""The page says what the ledger says, in both languages, out of one file that runs nothing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.findings import Catalog
from pipeline.report import picture as drawing
from pipeline.report.aside import detail_in, evidence_in, rows
from pipeline.report.frame import Frame
from pipeline.report.origin import origin
from pipeline.report.page import _words, page
from pipeline.report.picture import picture
from pipeline.stages.outcome import Outcome

from .conftest import EVIL, nicked, regions, square

LOADS = re.compile(
    r"(?:src|href|action|data)\s*=|url\(|@import|<(?:script|iframe|object|embed|link)"
)
PERSIAN = str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789")


def _page(database: Database, run: int, lang: str) -> str:
    with database.connect("loader") as connection:
        schemas = registry.load(database.settings.city)
        return page(connection, schemas, run, lang)  # type: ignore[arg-type]


def _tree(text: str) -> ET.Element:
    """The page is XML as well, so that a lost tag cannot hide."""
    return ET.fromstring(text.removeprefix("<!DOCTYPE html>"))


def _said(tree: ET.Element) -> str:
    return " ".join(" ".join(tree.itertext()).split())


@pytest.mark.parametrize("lang", ["fa", "en"])
def test_the_page_is_whole_and_loads_nothing(faulty: tuple[Database, int], lang: str) -> None:
    text = _page(*faulty, lang)
    tree = _tree(text)
    assert tree.attrib == {"lang": lang, "dir": "rtl" if lang == "fa" else "ltr"}
    # What is left are references within the page: the face it carries, the marks of its map.
    for found in LOADS.finditer(text):
        assert text[found.end() :].lstrip('"').startswith(("data:", "#")), found
    assert not re.search(r"https?:|//\w", re.sub(r"base64,[^)]*", "", text))
    assert "<script" not in text
    assert len(text.encode()) < 2_000_000


@pytest.mark.parametrize("lang", ["fa", "en"])
def test_what_a_file_brings_is_shown_and_never_run(faulty: tuple[Database, int], lang: str) -> None:
    text = _page(*faulty, lang)
    assert EVIL not in text
    assert EVIL in _said(_tree(text))


@pytest.mark.parametrize("lang", ["fa", "en"])
def test_its_numbers_are_the_ledgers(faulty: tuple[Database, int], lang: str) -> None:
    database, number = faulty
    tree = _tree(_page(database, number, lang))
    with database.connect("loader") as connection:
        run = ledger.run(connection, number)
        rows = connection.execute(
            "SELECT code, count(*) FROM ops.finding WHERE run_id = %s GROUP BY 1", [number]
        ).fetchall()
    account = tree.find(".//table[@class='account']")
    assert account is not None
    counts = [
        int(cell.text.translate(PERSIAN))
        for row in account.findall("./tbody/tr")
        if (cell := row.find("./td[2]")) is not None and cell.text
    ]
    assert counts == [run.inserted, run.updated, run.unchanged, run.quarantined, run.arrived]
    assert sum(counts[:-1]) == counts[-1]
    heads = tree.findall(".//section[@class='finding']/div")
    told = {
        head.find("code/bdi").text: int(head.find("span").text.translate(PERSIAN))  # type: ignore[union-attr]
        for head in heads
    }
    assert told == dict(rows)
    assert len(tree.findall(".//table[@class='rows']/tbody/tr")) == run.quarantined


def test_every_word_is_in_both_languages() -> None:
    words = _words()
    for key, texts in words.items():
        assert set(texts) == {"en", "fa"}, key
        assert re.findall(r"{\w+}", texts["en"]) == re.findall(r"{\w+}", texts["fa"]), key
    template = Path(str(page.__code__.co_filename)).parent / "templates" / "report.html"
    used = set(re.findall(r"""\bt\(["'](\w+)["']""", template.read_text(encoding="utf-8")))
    assert used <= set(words)
    assert {kind.quality for kind in Catalog.load().kinds.values()} <= set(words)


def test_the_map_shows_rows_in_quarantine_where_they_are(faulty: tuple[Database, int]) -> None:
    database, number = faulty
    with database.connect("loader") as connection:
        found = origin(connection, registry.load("qom"), number)
        made = picture(connection, found, rows(connection, found))
    assert made
    # Rows 4, 5, 7 and 8 have a place; 6 has no geometry. Row 3 was repaired.
    assert [len(made.marks[one]) for one in ("error", "warning", "info")] == [4, 1, 0]
    assert (made.outside, made.nowhere) == (0, 1)
    east = {x for x, _ in made.marks["error"]}
    middles = np.array([square(n).centroid.coords[0] for n in (3, 4, 5, 6)])
    assert east == set(made.frame.place(middles)[:, 0].tolist())
    assert made.bar * made.frame.unit == pytest.approx(made.bar_m, rel=0.01)


def test_many_rows_are_shown_by_their_density(
    faulty: tuple[Database, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, number = faulty
    monkeypatch.setattr(drawing, "_OUTLINES", 2)
    with database.connect("loader") as connection:
        found = origin(connection, registry.load("qom"), number)
        made = picture(connection, found, [])
    assert made
    assert made.outlines == ""
    assert sum(shade.count("M") for shade in made.shades) == 3
    assert 'class="s0"' in _page(database, number, "fa")


def test_a_path_draws_the_geometry_to_scale() -> None:
    frame = Frame.around((0, 0, 100, 50), 1000, 700, margin=0.0)
    box = np.array([shapely.box(0, 0, 100, 50), None], dtype=object)
    assert frame.path(box) == "M1000 500l0 -500 -1000 0 0 500 1000 0"
    assert frame.path(np.array([shapely.Point(1, 1)], dtype=object)) == ""


def test_repairs_are_shown_while_the_file_is_there(
    faulty: tuple[Database, int], tmp_path: Path
) -> None:
    database, number = faulty
    assert 'class="was"' in _page(database, number, "en")
    regions(tmp_path / "manategh.gpkg", [("1", "یک", nicked(0))])
    text = _page(database, number, "en")
    assert 'class="was"' not in text
    assert "no longer where it was loaded from" in text


def test_a_refused_delivery_is_told(
    faulty: tuple[Database, int], tmp_path: Path, load: Callable[..., Outcome]
) -> None:
    database, number = faulty
    with pytest.raises(Exception, match="rows arrived"):
        load(database, regions(tmp_path / "manategh_2.gpkg", [("1", "یک", square(0))]))
    text = _page(database, number + 1, "en")
    assert "refused as a whole" in text
    assert "The account does not close" in text
    with pytest.raises(SettingsError, match="there is no run 99"):
        _page(database, 99, "en")


def test_the_commands_tell_what_is_open(
    faulty: tuple[Database, int], tmp_path: Path, commanded: Callable[[Database], None]
) -> None:
    database, number = faulty
    commanded(database)
    call = CliRunner().invoke
    out = tmp_path / "report.html"
    said = call(cli, ["report", str(number), "--html", str(out), "--lang", "fa"])
    assert f"report.html: run {number}" in said.stdout
    assert 'dir="rtl"' in out.read_text(encoding="utf-8")
    assert "5 of the quarantined rows are still open" in call(cli, ["report", str(number)]).stdout
    assert '"open": 5' in call(cli, ["runs", "--json"]).stdout
    assert "open" in call(cli, ["runs"]).stdout


@pytest.mark.slow
def test_a_year_of_real_parcels_makes_a_light_page(
    cambridge: Database, real_data: Path, load: Callable[..., Outcome]
) -> None:
    path = real_data / "cambridge_ma" / "cadastre" / "ASSESSING_ParcelsFY2014.topojson"
    run = load(cambridge, path, "parcels").run
    assert run
    text = _page(cambridge, run, "fa")
    assert len(text.encode()) < 2_000_000
    assert text.count("<use ") > 100
    assert len(_tree(text).findall(".//div[@class='pair']")) == 6


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("Ring Self-intersection[-71.1160441850209 42.3697451681152]; 0.02% changed",
         "برخورد حلقه با خود[-71.116044 42.369745]; 0.02٪ تغییر"),
        ("a gap of 4.0 mm", "شکاف 4.0 میلی‌متر"),
        ("0.050 m wide, at least 0.1 expected", "پهنا 0.050 متر، دست‌کم 0.1 انتظار می‌رفت"),
        ("20 in run 3, accepted by name", "20 در اجرای 3, با نام پذیرفته شد"),
        ("rows 16, 308", "ردیف‌های 16, 308"),
        ("number", "عدد"),
        ("date", "تاریخ"),
    ],
)  # fmt: skip
def test_details_are_said_in_persian(detail: str, said: str) -> None:
    assert detail_in(detail, "fa") == said
    assert detail_in(detail, "en").startswith(detail[:12])


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ("2000 of parcel by key lie 0.0 m (E +0.0, N -0.0) off",
         "2000 عارضه «{parcel}» با همان کلید، در میانه 0.0 متر جابه‌جا (شرق +0.0، شمال -0.0)"),
        ("398 of 400 lie in the block they name", "398 از 400 درون همان «{block}» که نام می‌برند"),
        ("12 of 30 lie in a region", "12 از 30 درون «{region}»"),
        ("nothing to compare with", "چیزی برای مقایسه نبود"),
    ],
)  # fmt: skip
def test_evidence_of_coordinates_is_said_in_persian(
    evidence: str, said: str, schemas: Schemas
) -> None:
    titles = {name: layer.title.fa for name, layer in schemas.layers.items()}
    assert evidence_in(evidence, "fa", schemas) == said.format(**titles)
    assert evidence_in(evidence, "en", schemas) == evidence


def test_the_page_tells_what_it_was_compared_with(
    faulty: tuple[Database, int], tmp_path: Path, load: Callable[..., Outcome]
) -> None:
    database, number = faulty
    rows = [(str(place), "نام", square(place)) for place in range(1, 9)]
    later = load(database, regions(tmp_path / "manategh_2.gpkg", rows)).run
    assert later
    said = _said(_tree(_page(database, later, "en")))
    assert f"Compared with delivery {number}" in said
    assert "Coordinates no change of CRS" in said
    assert "Compared with" not in _said(_tree(_page(database, number, "en")))
