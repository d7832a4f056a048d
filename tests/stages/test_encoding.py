"""Encodings: found out by letters, never by success alone; and what a code page cannot hold."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline import text
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError
from pipeline.stages import iran_system
from pipeline.stages.encoding import pieces, python_name, try_encodings
from pipeline.stages.telling import told_by

# Short names as tables of offices have them.
NAMES = {
    "persian": ["شهرداري قم", "خيابان امام", "كوچه ياس", "ميدان آزادي", "مسجد", "ورزشي", "تجاري"],
    "arabic": ["شارع الملك", "حي الروضة", "مدرسة", "بلدية", "مسجد النور"],
    "french": ["Élévation", "hôpital", "façade", "près", "école", "Évry", "Saint-Étienne", "forêt"],
    "german": ["Straße", "Grünfläche", "Gebäude", "Höhe", "Müllerstraße"],
    "turkish": ["Şişli", "ağaç", "Iğdır", "değil", "Beyoğlu", "köprü"],
    "czech": ["Dvořák", "Plzeň", "náměstí", "Žďár", "Příbram"],
    "russian": ["улица Ленина", "Москва", "парк", "больница", "площадь"],
    "korean": ["서울특별시", "강남구 역삼동", "도로", "공원", "주거지역"],
    "chinese": ["北京市", "中山路", "公园", "住宅区", "商业用地"],
    "japanese": ["東京都", "新宿区", "公園", "道路", "千代田区丸の内"],
}
WRITTEN = [
    ("persian", "cp1256"), ("persian", "iso8859-6"), ("arabic", "cp1256"), ("arabic", "cp720"),
    ("french", "cp1252"), ("french", "cp437"), ("french", "cp850"), ("german", "cp1252"),
    ("turkish", "cp1254"), ("czech", "cp1250"), ("russian", "cp1251"), ("russian", "cp866"),
    ("korean", "cp949"), ("chinese", "gb18030"), ("japanese", "cp932"),
]  # fmt: skip


def encoded(language: str, page: str) -> list[bytes]:
    """The names in a code page, without the letters that it lacks."""
    return [name.encode(page, "ignore") for name in NAMES[language]]


@pytest.mark.parametrize(("language", "page"), WRITTEN)
def test_a_table_of_names_tells_its_encoding(language: str, page: str) -> None:
    found = try_encodings(encoded(language, page))
    assert found is not None
    assert found.sure
    assert list(found.samples) == [one.decode(page) for one in encoded(language, page)][:5]


@pytest.mark.parametrize(("language", "page"), WRITTEN)
def test_three_names_are_enough_and_what_is_wrong_is_not_sure(language: str, page: str) -> None:
    """Whichever three names there are: right in nearly all cases, and sure only when right."""
    right = wrong = every = 0
    for chosen in itertools.combinations(encoded(language, page), 3):
        if all(one.isascii() for one in chosen):
            continue
        found = try_encodings(chosen)
        assert found is not None
        foreign = [one.decode(page) for one in chosen if not one.isascii()]
        same = list(found.samples) == foreign
        every += 1
        right += same and found.sure
        wrong += found.sure and not same
    assert wrong == 0
    assert right >= 0.6 * every


@pytest.mark.parametrize("language", NAMES)
def test_utf8_proves_itself(language: str) -> None:
    found = try_encodings(encoded(language, "utf-8"))
    assert found is not None
    assert (found.encoding, found.sure) == ("UTF-8", True)


def test_a_claim_is_believed_unless_another_is_clearly_better() -> None:
    french = [name.encode("cp850") for name in NAMES["french"]]
    assert try_encodings(french, "cp850").encoding == "CP850"  # type: ignore[union-attr]
    persian = encoded("persian", "cp1256")
    assert try_encodings(persian, "ANSI_1252").encoding == "CP1256"  # type: ignore[union-attr]
    assert try_encodings(persian, "ansi_1256").encoding == "CP1256"  # type: ignore[union-attr]


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=8), st.sampled_from([None, "cp1256"]))
def test_any_bytes_are_tried_without_a_fault(given_bytes: list[bytes], said: str | None) -> None:
    found = try_encodings(given_bytes, said)
    assert (found is None) == all(one.isascii() for one in given_bytes)
    assert found is None or len(found.samples) <= 5


def test_cells_and_names_of_code_pages() -> None:
    assert pieces(b'1,"a b",plain\n') == []
    assert pieces('1;"کوچه یاس";x\n'.encode()) == ["کوچه یاس".encode()]
    names = ["1256", "88596", "ANSI_1256", "dos437", "UTF8", "Martian"]
    assert [python_name(one) for one in names] == [
        "cp1256", "iso8859-6", "cp1256", "cp437", "utf-8", None,
    ]  # fmt: skip


def shapefile(folder: Path, encoding: str, names: list[str], language_byte: int | None) -> Path:
    """A point Shapefile without .cpg, ``language_byte`` in the header of its table."""
    path = folder / "n.shp"
    points = [f"POINT ({488000 + place} 3833000)" for place in range(len(names))]
    table = pa.table({
        "name": pa.array(names), "code": pa.array([f"{n}" for n in range(len(names))]),
        "geometry": pa.array([_wkb(point) for point in points], pa.binary()),
    })  # fmt: skip
    pyogrio.write_arrow(
        table, path, driver="ESRI Shapefile", geometry_name="geometry", geometry_type="Point",
        crs="EPSG:32639", encoding=encoding,
    )  # fmt: skip
    path.with_suffix(".cpg").unlink()
    if language_byte is not None:
        table_file = path.with_suffix(".dbf")
        data = bytearray(table_file.read_bytes())
        data[29] = language_byte
        table_file.write_bytes(data)
    return path


def _wkb(written: str) -> bytes:
    made: bytes = shapely.to_wkb(shapely.from_wkt(written))
    return made


def _csv(folder: Path, name: str, encoding: str, names: list[str]) -> Path:
    path = folder / name
    lines = "".join(f"{n},{one},{488000 + n},3833000\n" for n, one in enumerate(names))
    path.write_bytes(f"no,name,x,y\n{lines}".encode(encoding))
    return path


@pytest.mark.parametrize(
    ("language", "page", "byte", "found"),
    [
        ("persian", "cp1256", 0, "CP1256"), ("persian", "cp1256", 0x57, "CP1256"),
        ("persian", "cp1256", 0x7E, None), ("korean", "cp949", 0, "CP949"),
        ("russian", "cp866", 0x65, None), ("russian", "cp1251", 3, "CP1251"),
        ("persian", "utf-8", 0, "UTF-8"), ("chinese", "gb18030", 0, "GB18030"),
        ("japanese", "cp932", 0, "SHIFT_JIS"),
    ],
)  # fmt: skip
def test_a_shapefile_is_read_in_what_it_says_or_what_its_letters_show(
    bench: Any, language: str, page: str, byte: int, found: str | None, database: Any, query: Any
) -> None:
    path = shapefile(bench.folder, page, NAMES[language], byte)
    columns = bench.filled("poi", {"poi_id": "code", "name_fa": "name"})
    feed = bench.feed("poi", columns=columns, source={"driver": "ESRI Shapefile"})
    outcome = bench.load(database, path, feed)
    names = query(database, "SELECT name_fa FROM data.poi ORDER BY poi_id")
    assert [one for (one,) in names] == text.display(pa.array(NAMES[language])).to_pylist()
    assert (("encoding.detected", None) in outcome.counts) == (found is not None)
    if found:
        told = query(database, "SELECT value, detail FROM ops.finding WHERE code LIKE 'encoding%'")
        assert told == [(found, " | ".join(NAMES[language][:5]))]


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("cp1256", None), ("utf-8", None), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16")],
)
def test_a_table_is_read_in_what_it_says_or_what_its_letters_show(
    bench: Any, encoding: str, said: str | None
) -> None:
    path = _csv(bench.folder, "n.csv", encoding, NAMES["persian"])
    assert told_by(path).said == said
    columns = bench.filled("poi", {"poi_id": "no", "name_fa": "name"})
    source = {"driver": "CSV", "crs": "EPSG:32639", "points": {"x": "x", "y": "y"}}
    outcome = bench.check(path, bench.feed("poi", columns=columns, source=source))
    assert outcome.account.inserted == len(NAMES["persian"])
    assert (("encoding.detected", None) in outcome.counts) == (said is None)


def test_text_late_in_a_long_file_is_not_missed(bench: Any) -> None:
    names = ["plain"] * 30_000 + NAMES["persian"]
    trial = told_by(_csv(bench.folder, "n.csv", "cp1256", names)).trial
    assert trial is not None
    assert trial.encoding == "CP1256"
    trial = told_by(shapefile(bench.folder, "CP1256", names, 0)).trial
    assert trial is not None
    assert (trial.encoding, trial.samples[0]) == ("CP1256", "شهرداري قم")


def test_what_nobody_can_tell_stops_with_samples(bench: Any) -> None:
    path = bench.folder / "n.csv"
    path.write_bytes(b"no,name,x,y\n1,\xbf\xff\xb5,488000,3833000\n")
    columns = bench.filled("poi", {"poi_id": "no", "name_fa": "name"})
    source = {"driver": "CSV", "crs": "EPSG:32639", "points": {"x": "x", "y": "y"}}
    with pytest.raises(ArrivalError, match=r"n\.csv: does not say how its text is encoded; as C"):
        bench.check(path, bench.feed("poi", columns=columns, source=source))
    feed = bench.feed("poi", columns=columns, source={**source, "encoding": "CP1252"})
    assert bench.check(path, feed).account.inserted == 1


PERSIAN_LETTERS = (
    "آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهیءئؤأۀة۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫٬\u200c ،؛؟«»-.()/0123456789Aa"
)


@given(st.text(PERSIAN_LETTERS))
def test_windows_1256_holds_all_of_persian_once_it_is_folded(written: str) -> None:
    held = text.in_code_page(written, "cp1256")
    assert held.encode("cp1256").decode("cp1256") == held
    assert len(held) == len(written)
    # Nothing is lost to the reader: letters come back as they are displayed, digits as ASCII.
    same = written.translate({ord("ۀ"): "ه", ord("٫"): ".", ord("٬"): ","})
    shown = [text.ascii_digits(text.display(pa.array([one]))) for one in (same, held)]
    assert shown[0] == shown[1]


@given(st.text(), st.sampled_from(["cp1256", "iso8859-6", "cp1252", "ascii"]))
def test_what_a_code_page_cannot_hold_is_told_and_never_dropped(written: str, page: str) -> None:
    with suppress(ValueError):
        held = text.in_code_page(written, page)
        assert held.encode(page).decode(page) == held
        assert len(held) == len(written)


def test_the_letters_that_matter() -> None:
    assert text.in_code_page("شهرداری قم ۱۲", "cp1256") == "شهرداري قم 12"
    assert text.in_code_page("کوچه یاس", "cp1256") == "کوچه ياس"
    with pytest.raises(ValueError, match=r"cp1256 cannot hold 漢 \(U\+6F22\)"):
        text.in_code_page("漢", "cp1256")


# Bytes as they stand on the screen, from left to right; letters by the published table.
DRAWN = [
    ("f4ec", "قم"),
    ("818220f6919391fea1", "خیابان ۱۲"),
    ("28832920f99df8ee", "کوچه (۳)"),
    ("a2f8aafcf5", "می‌شود"),
    ("8182832f8486", "۱۲۳/۴۶"),
    ("47495320a2f8aa", "شود GIS"),
    ("41422031", "AB 1"),
    ("f4f2a8", "سلام"),
]


@pytest.mark.parametrize(("drawn", "written"), DRAWN)
def test_iran_system_is_read_from_the_right(drawn: str, written: str) -> None:
    assert iran_system.one(bytes.fromhex(drawn).decode("latin-1")) == written


def test_every_byte_of_iran_system_is_a_letter_or_a_sign() -> None:
    every = [iran_system.one(bytes([code]).decode("latin-1")) for code in range(256)]
    assert every[:128] == [chr(code) for code in range(128)]
    assert all(one.isprintable() or one == "\u00a0" for one in every[128:])
    assert {"پ", "چ", "ژ", "گ", "ی", "ک", "لا"} <= set(every)


@pytest.mark.parametrize("name", ["iran.csv", "iran.dbf"])
def test_a_table_in_iran_system_is_read_where_its_feed_declares_it(
    bench: Any, name: str, database: Database, query: Any
) -> None:
    plates = [bytes.fromhex(drawn) for drawn, _ in DRAWN]
    path = bench.folder / name
    if name.endswith(".csv"):
        lines = [b"%d,%b,488000,3833000" % (3715613940 + n, one) for n, one in enumerate(plates)]
        path.write_bytes(b"\n".join([b"code,name,E,N", *lines, b""]))
    else:
        table = {"code": [str(3715613940 + n) for n in range(len(plates))],
                 "name": [one.decode("latin-1") for one in plates],
                 "E": [488000.0] * len(plates), "N": [3833000.0] * len(plates)}  # fmt: skip
        pyogrio.write_arrow(pa.table(table), path, driver="ESRI Shapefile", encoding="ISO-8859-1")
        path.with_suffix(".cpg").unlink(missing_ok=True)
        # The mark that says Latin-1, which no program of the time set.
        raw = bytearray(path.read_bytes())
        raw[29] = 0
        path.write_bytes(raw)
    columns = bench.filled("postcode", {"postcode": "code", "address_text": "name"})
    driver = "CSV" if name.endswith(".csv") else "ESRI Shapefile"
    source = {"driver": driver, "crs": "EPSG:32639", "points": {"x": "E", "y": "N"}}
    source["encoding"] = "Iran System"
    outcome = bench.load(database, path, bench.feed("postcode", columns=columns, source=source))
    assert outcome.account.inserted == len(plates)
    found = query(database, "SELECT address_text FROM data.postcode ORDER BY source_line")
    assert [row[0] for row in found] == [written for _, written in DRAWN]
