"""Documents: to true scale, in both languages, with receipts that tell what has changed since."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import psycopg
import pypdfium2
import pytest
import rasterio
from affine import Affine
from starlette.testclient import TestClient

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.rasters.deliver import deliver
from pipeline.rasters.inspect import Declared, Job
from tests.answers import verapdf

Asked = Callable[..., Any]
CODE, WHOLE = "1-12-45-7", "1-12-45-7-0-0-0"
DOCUMENTS = (
    "parcel-passport", "location-sheet", "bar-o-kaf", "plan-order-facts", "inquiry-extract",
)  # fmt: skip
FLOWN = "2019-10-05"
PIXEL = 0.1
WEST, NORTH = 488_550.0, 3_833_150.0
DOTS = 20  # of a millimetre of paper, when a page is measured


@pytest.fixture(scope="module", autouse=True)
def photo(
    sampled: Database, schemas: Schemas, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A grey photo of 110 m by 80 m in which the ground of P7 (10 m by 20 m) is blue."""
    bands = np.full((3, 800, 1100), 128, np.uint8)
    rows, columns = slice(300, 500), slice(500, 600)  # N 3833100..3833120, E 488600..488610
    bands[:, rows, columns] = np.array([0, 0, 255], np.uint8)[:, None, None]
    path = tmp_path_factory.mktemp("photo") / "ortho_blue.tif"
    profile = {"driver": "GTiff", "count": 3, "height": 800, "width": 1100, "dtype": "uint8"}
    place = Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **profile, crs="EPSG:32639", transform=place) as written:
            written.write(bands)
    contract = next(one for one in schemas.rasters.values() if one.dtype == "uint8")
    home = sampled.settings.home
    job = Job(path, contract, schemas.city, Declared(acquired=date.fromisoformat(FLOWN)))
    deliver(sampled, home, schemas, [job])
    yield
    shutil.rmtree(home / "rasters" / contract.id)


def paper(client: TestClient, process: str, form: str, language: str = "fa", **more: Any) -> Any:
    query = {"nosazi": CODE, "f": form, "lang": language, **more}
    response = client.get(f"/processes/{process}/execution", params=query)
    assert response.status_code == 200, response.text
    return response


def opened(content: bytes) -> pypdfium2.PdfDocument:
    return pypdfium2.PdfDocument(io.BytesIO(content))


def text_of(content: bytes) -> str:
    return "\n".join(page.get_textpage().get_text_range() for page in opened(content))


@pytest.fixture(scope="module")
def sheet(staff: TestClient) -> bytes:
    """The location sheet of P7 as a PDF."""
    content: bytes = paper(staff, "location-sheet", "pdf").content
    return content


def pixels(content: bytes) -> Any:
    image = opened(content)[0].render(scale=DOTS * 25.4 / 72).to_numpy()[..., :3]  # BGR
    return np.asarray(image[..., ::-1], dtype=int)


def extent(mask: Any) -> tuple[float, float]:
    """Width and height in mm of what the mask shows, between the middles of outer pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (np.ptp(columns) / DOTS, np.ptp(rows) / DOTS)


def test_twenty_metres_are_forty_millimetres_at_1_to_500(sheet: bytes) -> None:
    """KIO-3: parcel, photo and scale bar, each measured on the rendered page."""
    found = pixels(sheet)
    red, green, blue = found[..., 0], found[..., 1], found[..., 2]
    outline = (red > 180) & (green < 70) & (blue < 70)
    # Letters of corners and lengths of edges are red too: the outline is where lines are long.
    high = outline & (outline.sum(axis=0) > 35 * DOTS)[None, :]
    wide = outline & (outline.sum(axis=1) > 18 * DOTS)[:, None]
    stroke = 0.6  # the line is drawn about the boundary
    assert extent(high)[0] == pytest.approx(20 + stroke, abs=0.15)
    assert extent(wide)[1] == pytest.approx(40 + stroke, abs=0.15)
    ground = (blue > 200) & (red < 80) & (green < 80)
    halo = 1.1  # white on both sides of the outline covers the edge of the ground
    across, up = extent(ground)
    assert across == pytest.approx(20 - halo, abs=0.2)
    assert up == pytest.approx(40 - halo, abs=0.2)
    # The photo lies under the vectors, not beside them.
    assert np.flatnonzero(high.any(axis=0)).mean() == pytest.approx(
        np.flatnonzero(ground.any(axis=0)).mean(), abs=0.15 * DOTS
    )
    # The scale bar: four fields, two of them black, inside the frame's left edge (15 + 5 mm).
    black = found[:, 22 * DOTS : 75 * DOTS].max(axis=2) < 60
    fields = [np.flatnonzero(row) for row in black if 18 * DOTS < row.sum() < 22 * DOTS]
    bars = [row for row in fields if np.count_nonzero(np.diff(row) > 1) == 2]  # and the last edge
    assert len(bars) > DOTS
    for row in bars:
        assert row.size / DOTS == pytest.approx(20.0, abs=0.5)
        assert np.ptp(row) / DOTS == pytest.approx(40.0, abs=0.3)  # 20 m, with its frame


def test_another_scale_can_be_asked_for_and_is_smaller_where_it_must_be(
    staff: TestClient,
) -> None:
    large = paper(staff, "location-sheet", "html", scale=200).text
    assert "1:200<" in large
    # At 1:100 the 20 m would be 200 mm, at 1:200 too near to the edge of the 100 mm there are.
    assert "1:250<" in paper(staff, "parcel-passport", "html", scale=100).text
    response = staff.get(
        "/processes/location-sheet/execution", params={"nosazi": CODE, "scale": 333}
    )
    assert response.status_code == 400


@pytest.mark.parametrize("language", ["fa", "en"])
def test_the_fixtures_numbers_stand_in_page_and_pdf(staff: TestClient, language: str) -> None:
    wanted = {
        "parcel-passport": (WHOLE, "200.00", "20.00", "180.00", "100.00", "488600.00",
                            "3833120.00", "324.00", "26", "88", "60.00"),
        "location-sheet": (WHOLE, "488610.00", "3833100.00", "60.00", "1-12-45-6-0-0-0"),
        "bar-o-kaf": ("8.00", "12.00", "2.00", "20.00", "180.00"),
        "plan-order-facts": ("60", "108.00", "180", "324.00", "10.50"),
        "inquiry-extract": (WHOLE, "200.00", "100.00"),
    }  # fmt: skip
    said = {"fa": ("شهرداری قم", "کوچه یاس"), "en": ("Municipality of Qom", "Yas Alley")}
    flown = {"fa": "1398/07/13", "en": FLOWN}[language]
    for process, numbers in wanted.items():
        page = paper(staff, process, "html", language).text
        printed = text_of(paper(staff, process, "pdf", language).content)
        for text in (*numbers, *said[language], flown):
            assert text in page, (process, text)
            assert text in printed, (process, text)
        assert f'<html lang="{language}" dir="{"rtl" if language == "fa" else "ltr"}">' in page


def test_a_page_loads_nothing_from_elsewhere(staff: TestClient) -> None:
    page = paper(staff, "parcel-passport", "html").text
    loaded = re.findall(r'<(?:link|script|img)\b[^>]*?(?:href|src)="([^"]*)"', page)
    assert loaded
    assert all(one.startswith(("/static/", "/processes/", "data:")) for one in loaded)
    style = staff.get("/static/css/paper.css").text
    assert "//" not in re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)


def test_fonts_are_in_the_pdf_and_so_is_the_answer(staff: TestClient, sheet: bytes) -> None:
    found = opened(sheet)
    attached = found.get_attachment(0)
    document = json.loads(bytes(attached.get_data()))
    assert document["receipt"]["number"] in attached.get_name()
    assert any(b'pdfaid:part="3"' in found for found in _streams(sheet))
    verdict = staff.post(
        "/processes/verify/execution", json={"inputs": {"document": document}}
    ).json()
    assert (verdict["verdict"], verdict["current"]) == ("current", True)


@pytest.mark.parametrize("language", ["fa", "en"])
def test_no_document_lets_a_viewer_interpolate_or_choose_a_font(
    staff: TestClient, language: str
) -> None:
    """What veraPDF finds wrong first; the whole standard is asked where it is at hand."""
    for process in DOCUMENTS:
        content = paper(staff, process, "pdf", language).content
        dictionaries = b"".join(_streams(content)) + content
        assert b"/Subtype /Image" in dictionaries, process
        assert b"/Interpolate true" not in dictionaries, process
        fonts = dictionaries.count(b"/Type /FontDescriptor")
        assert fonts == len(re.findall(rb"/FontFile[23]? ", dictionaries)) > 0, process


def test_persian_is_copied_as_it_is_written(staff: TestClient) -> None:
    """Words in the order of reading, lam and alef in theirs (a ligature is one glyph)."""
    said = text_of(paper(staff, "parcel-passport", "pdf").content)
    words = set(unicodedata.normalize("NFKC", said).split())
    assert {"شهرداری", "پلاک", "ثبتی", "اصلاحی", "شناسنامه"} <= words
    assert not {"پالک", "اصالحی"} & words


def test_the_non_joiner_is_copied_too(staff: TestClient, tmp_path: Path) -> None:
    """By PDFium and, where it is installed, by Poppler: every word of the page that has one."""
    page = paper(staff, "parcel-passport", "html").text.partition("<body")[2]
    shown = re.sub(r"<(script|style|svg)\b.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    written = set(re.findall(r"[ء-ی]+\u200c[ء-ی]+", shown))
    assert len(written) > 3
    content = paper(staff, "parcel-passport", "pdf").content
    told = [text_of(content)]
    if shutil.which("pdftotext"):
        path = tmp_path / "passport.pdf"
        path.write_bytes(content)
        words = ["pdftotext", str(path), "-"]
        read = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        told.append(unicodedata.normalize("NFKC", read.stdout))
    for text in told:
        kept = {word for word in written if word in text}
        assert len(kept) > 3
        assert {word for word in written - kept if word.replace("\u200c", "") in text} == set()
        assert "\u2423" not in text


def test_documents_are_pdf_a_3b(staff: TestClient, tmp_path: Path) -> None:
    """By veraPDF, all rules of ISO 19005-3 level B; tests/answers/verapdf/pom.xml fetches it."""
    if not verapdf.at_hand():
        pytest.skip("VERAPDF names no folder with veraPDF's jars (tests/answers/verapdf/pom.xml)")
    paths = []
    for process in DOCUMENTS:
        for language in ("fa", "en"):
            path = tmp_path / f"{process}-{language}.pdf"
            path.write_bytes(paper(staff, process, "pdf", language).content)
            paths.append(path)
    assert verapdf.verdicts(paths) == ["good 3b"] * len(paths)


def _streams(content: bytes) -> Iterator[bytes]:
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        with suppress(zlib.error):
            # A checksum may end in the byte of a line's end, which the pattern leaves out.
            yield zlib.decompressobj().decompress(found[1])


def test_answers_are_what_their_published_schemas_say(
    public: TestClient, staff: TestClient, ask: Asked
) -> None:
    for client in (public, staff):
        for process in DOCUMENTS:
            schema = client.get(f"/processes/{process}/answer-schema").json()
            jsonschema.Draft202012Validator(schema).validate(ask(client, process, nosazi=CODE))


def test_the_passport_tells_edges_ground_census_and_pictures(
    public: TestClient, staff: TestClient, ask: Asked
) -> None:
    found = ask(staff, "parcel-passport", nosazi=CODE)
    corners = [(c["letter"], c["e"], c["n"], c["edge_m"]) for c in found["corners"]]
    assert corners == [
        ("A", 488600.0, 3833120.0, 10.0),
        ("B", 488610.0, 3833120.0, 20.0),
        ("C", 488610.0, 3833100.0, 10.0),
        ("D", 488600.0, 3833100.0, 20.0),
    ]
    assert sum(c["edge_m"] for c in found["corners"]) == found["perimeter_m"] == 60.0
    sides = {e["side"]: e for e in found["edges"]}
    assert sides["S"]["borders"] == "street"
    assert sides["S"]["name_fa"] == "کوچه یاس"
    assert sides["E"]["nosazi"] == "1-12-45-8-0-0-0"
    # Map, deed, after widening (AML-8).
    lengths = {
        side: (
            e["length_map_m"],
            e["deed"] and e["deed"]["length_deed_m"],
            e["after_widening"]["length_m"],
        )
        for side, e in sides.items()
    }
    assert lengths["S"] == (10.0, 10.0, 10.0)
    assert lengths["E"] == (20.0, 20.0, 18.0)
    assert sides["S"]["after_widening"]["depth_m"] == 2.0
    (census,) = found["census"]
    assert (census["population"], census["households"], census["masked"]) == (88, 26, False)
    (picture,) = found["imagery"]
    assert (picture["acquired"], picture["pixel_m"]) == (FLOWN, PIXEL)
    bases = {one["area"]: (one["value"], one["unit"]) for one in found["areas"]["bases"]}
    assert bases["deed_m2"] == (200.0, "m2")
    assert bases["remainder_m2"] == (180.0, "m2")
    assert found["documents"][0]["document"].endswith("tt-1397.pdf")
    told = {str(run) for run in _runs(found)}
    assert told <= found["sources"].keys()  # every fact has its load
    hidden = ask(public, "parcel-passport", nosazi=CODE)
    (east,) = (e for e in hidden["edges"] if e["side"] == "E")
    assert (east["deed"], east["after_widening"]["length_m"]) == (None, 18.0)
    assert hidden["areas"]["deed_m2"] is None
    assert (hidden["units"], hidden["parcel"]["registration_plate"]) == ([], None)


def _runs(value: Any) -> Iterator[int]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and isinstance(value.get("run"), int):
        yield value["run"]
    for one in inner:
        yield from _runs(one)


def verified(client: TestClient, **inputs: Any) -> Any:
    response = client.post("/processes/verify/execution", json={"inputs": inputs})
    assert response.status_code == 200, response.text
    return response.json()


def test_a_receipt_tells_what_has_changed_since(
    staff: TestClient, ask: Asked, query: Asked, sampled: Database
) -> None:
    paper(staff, "parcel-passport", "pdf")
    before = ask(staff, "parcel-passport", nosazi=CODE)
    receipt = before["receipt"]
    assert verified(staff, receipt=receipt["verify"])["verdict"] == "current"
    assert verified(staff, receipt=receipt["number"].lower())["current"] is True
    schema = staff.get("/processes/verify/answer-schema").json()
    with sampled.connect("owner") as connection:
        connection.execute("UPDATE data.building SET floors_above = 4 WHERE parcel_code = %s",
                           [WHOLE])  # fmt: skip
    try:
        for held in ({"receipt": receipt["token"]}, {"document": before}):
            found = verified(staff, **held)
            jsonschema.Draft202012Validator(schema).validate(found)
            assert (found["genuine"], found["current"]) == (True, False)
            changed = {one["field"]: (one["before"], one["after"]) for one in found["changed"]}
            assert changed == {
                "buildings[1-12-45-7-1-0-0].floors_above": (3, 4),
                "buildings[1-12-45-7-1-0-0].built_m2": (324.0, 432.0),
            }
        page = staff.get(
            "/processes/verify/execution", params={"receipt": receipt["token"], "f": "html"}
        ).text
        assert "432" in page
        assert "سند اصیل است و از آن زمان" in page
    finally:
        with sampled.connect("owner") as connection:
            connection.execute("UPDATE data.building SET floors_above = 3 WHERE parcel_code = %s",
                               [WHOLE])  # fmt: skip
    assert verified(staff, receipt=receipt["token"])["current"] is True


def test_what_was_forged_or_altered_is_found_out(
    public: TestClient, staff: TestClient, ask: Asked
) -> None:
    paper(staff, "inquiry-extract", "html")
    document = ask(staff, "inquiry-extract", nosazi=CODE)
    receipt = document["receipt"]
    token = receipt["token"]
    for wrong in (
        token[:-3] + ("AAA" if token[-3:] != "AAA" else "BBB"),
        token.replace("inquiry-extract", "parcel-passport"),
        "1.inquiry-extract.staff.0.0.AAAA.BBBB",
        "nothing of the kind at all",
        "۱.۲.۳.۴.۵.۶.۷.۸",
    ):
        found = verified(staff, receipt=wrong)
        assert (found["genuine"], found["verdict"]) == (False, "false")
    assert verified(staff, receipt="0000-0000-0000")["verdict"] == "unknown"
    document["areas"]["grid_m2"] = 300.0
    found = verified(staff, document=document)
    assert (found["genuine"], found["verdict"]) == (False, "altered")
    # What staff were told is not told to everybody, though everybody may ask whether it is genuine.
    found = verified(public, receipt=token)
    assert (found["verdict"], found["genuine"], found["said"]) == ("elsewhere", True, None)
    assert verified(public, receipt=receipt["number"])["verdict"] == "unknown"
    assert found["document"]["valid_until"] > receipt["issued"]
    assert found["expired"] is False


def test_the_same_facts_are_kept_once_and_staff_may_verify_public_documents(
    public: TestClient, staff: TestClient, query: Asked
) -> None:
    kept = (
        "SELECT count(*), min(said::text) FROM ops.receipt "
        "WHERE audience = 'public' AND process = 'location-sheet'"
    )
    paper(public, "location-sheet", "html", "fa")
    ((rows, said),) = query(kept)
    paper(public, "location-sheet", "pdf", "en")
    assert query(kept) == [(rows, said)]
    assert '"registration_plate": null' in said
    token = paper(public, "location-sheet", "json").json()["receipt"]["token"]
    assert verified(staff, receipt=token)["verdict"] == "current"


def test_the_format_is_negotiated(staff: TestClient) -> None:
    where = "/processes/location-sheet/execution"
    body: dict[str, Any] = {"inputs": {"nosazi": CODE}}
    for kind, start in (("application/pdf", b"%PDF-"), ("text/html", b"<!doctype html>")):
        found = staff.post(where, json=body, headers={"Accept": kind})
        assert found.headers["content-type"].startswith(kind)
        assert found.content.startswith(start)
        assert found.headers["cache-control"] == "private, no-store"
        wish = {**body, "outputs": {"answer": {"format": {"mediaType": kind}}}}
        assert staff.post(where, json=wish).content.startswith(start)
    wish = {**body, "response": "document"}
    assert "corners" in staff.post(where, json=wish).json()["answer"]
    for wrong in ({"answer": {"format": {"mediaType": "image/png"}}}, {"answer": 3}):
        assert staff.post(where, json={**body, "outputs": wrong}).status_code == 400
    asked = {"nosazi": CODE, "year": "1404", "f": "pdf"}
    assert staff.get("/processes/levy/execution", params=asked).status_code == 400
    page = paper(staff, "location-sheet", "html").text
    assert "f=pdf" in page
    assert "f=json" in page


def test_what_was_kept_long_enough_goes(
    public: TestClient, query: Asked, sampled: Database
) -> None:
    paper(public, "bar-o-kaf", "html")
    with sampled.connect("owner") as connection:
        connection.execute(
            "UPDATE ops.receipt SET kept_until = now() - interval '1 day' "
            "WHERE process = 'bar-o-kaf' AND audience = 'public'"
        )
    paper(public, "location-sheet", "html")
    kept = "SELECT count(*) FROM ops.receipt WHERE process = 'bar-o-kaf' AND audience = 'public'"
    assert query(kept) == [(0,)]
    paper(public, "bar-o-kaf", "html")
    assert query(kept) == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE makan_receipt SET said = '{}'",
        """INSERT INTO makan_receipt (digest, number, audience, process, asked, said, kept_until)
        VALUES ('\\x00', 'x', 'staff', 'x', '{}', '{}', now())""",
        "SELECT 1 FROM ops.receipt",
    ],
)
def test_a_server_cannot_rewrite_what_it_said(sampled: Database, statement: str) -> None:
    with psycopg.connect(sampled.uri("reader")) as connection:
        connection.execute("SET TRANSACTION READ WRITE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
