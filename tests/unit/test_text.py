"""Text as it arrives: the agreed cases, and properties that hold for any text."""

from __future__ import annotations

import csv
import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import dates, fold, text

LOST = {"cp1256 mojibake as latin1", "utf-8 mojibake as latin1", "question marks"}
MATCHED = {"harakat", "heh with hamza", "teh marbuta"}
DIGITS = {"persian digits", "arabic-indic digits", "mixed digit sets"}
NUMBERS = {"persian decimal", "persian thousands"}

# The alphabet of the property tests: what files of offices hold, and what breaks programs.
LETTERS = (
    "abz09 -/,.آابپکيىكیهةئءأ\u0654\u0653\u064b\u0651\u0640\u200c\u200d\u200e\u200f\u202b\u00a0"
    "\u00ad\ufeff\t\n\x00\x0b\x1f\x7f\u2003\u3000\ufed7\ufee2\ufb57\ufe71\ufe7c\ufdfa\ufdfc۰۱۵۹٠٤٩٫٬àé½"
)
texts = st.text(st.one_of(st.sampled_from(LETTERS), st.characters(exclude_categories=["Cs"])))


def one(function: object, value: str | None, *rest: object) -> object:
    """What a vectorised function makes of one value."""
    return function(pa.array([value], type=pa.string()), *rest)[0].as_py()  # type: ignore[operator]


@pytest.fixture(scope="module")
def cases(real_data: Path) -> dict[str, tuple[str, str]]:
    """The agreed cases: name, input, expected."""
    with (real_data / "iran" / "persian_text_cases.csv").open(encoding="utf-8") as lines:
        return {row["case"]: (row["input"], row["expected"]) for row in csv.DictReader(lines)}


CASES = [
    "arabic yeh", "arabic kaf", "alef maksura", "persian digits", "arabic-indic digits",
    "mixed digit sets", "tatweel", "harakat", "presentation forms", "zwnj kept", "zwnj at end",
    "double space and nbsp", "rtl marks", "bom inside", "heh with hamza", "teh marbuta",
    "madda decomposed", "arabic comma", "persian decimal", "persian thousands", "jalali date",
    "postal code", "cp1256 mojibake as latin1", "utf-8 mojibake as latin1", "question marks",
]  # fmt: skip


def made_of(case: str, given_text: str) -> object:
    """What the house makes of a case. Text in the wrong encoding or lost is told, never mended."""
    shown = one(text.display, given_text)
    if case in LOST:
        return one(text.looks_mojibake, given_text)
    if case in MATCHED:
        return fold.one(given_text)
    if case in DIGITS:
        return one(text.ascii_digits, str(shown))
    if case in NUMBERS:
        return one(text.number_text, str(shown))
    if case == "jalali date":
        return str(dates.column(pa.array([given_text]), "jalali")[0])
    return one(text.digits_only, str(shown)) if case == "postal code" else shown


@pytest.mark.parametrize("case", CASES)
def test_agreed_case(case: str, cases: dict[str, tuple[str, str]]) -> None:
    given_text, expected = cases[case]
    # Departures: mojibake is a finding and the row waits; a Jalali date is kept as its day.
    departure: dict[str, object] = {**dict.fromkeys(LOST, True), "jalali date": "2017-11-18"}
    assert made_of(case, given_text) == departure.get(case, expected)


def test_no_agreed_case_is_left_out(cases: dict[str, tuple[str, str]]) -> None:
    assert sorted(CASES) == sorted(cases)


def reference(value: str) -> str | None:
    """Display, one character after the other."""

    def dropped(written: str) -> str:
        invisible = "\u0640\u00ad\u200b\u200d\u200e\u200f\ufeff\x7f"
        marks = [*range(0x202A, 0x202F), *range(0x2060, 0x206A), *range(9), *range(0x0E, 0x1C)]
        return "".join(c for c in written if c not in invisible and ord(c) not in marks)

    made = dropped(value)
    if any(0xFB50 <= ord(c) <= 0xFDFF or 0xFE70 <= ord(c) <= 0xFEFC for c in made):
        made = dropped(unicodedata.normalize("NFKC", made))
    made = unicodedata.normalize("NFC", made).translate(str.maketrans("\u064a\u0649\u0643", "ییک"))
    blanks = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    blanks += "".join(map(chr, range(0x2000, 0x200B)))
    made = re.sub(f"[{re.escape(blanks)}]+", " ", made)
    made = re.sub("[ \u200c]* [ \u200c]*", " ", made)
    made = re.sub("\u200c+", "\u200c", made).strip(" \u200c")
    return made or None


@given(st.lists(st.none() | texts, min_size=1, max_size=6))
def test_display_is_its_scalar_reference_and_idempotent(values: list[str | None]) -> None:
    made = text.display(pa.array(values, type=pa.string())).to_pylist()
    assert made == [None if value is None else reference(value) for value in values]
    assert text.display(pa.array(made, type=pa.string())).to_pylist() == made


@given(texts)
def test_display_leaves_nothing_unseen(value: str) -> None:
    made = str(one(text.display, value) or "x")
    assert not set(made) & set("\u064a\u0643\u0649\u0640\u00a0\u200e\ufeff\x00\t\n")
    assert "  " not in made
    assert made == made.strip()


@given(st.lists(st.integers(0, 9999), min_size=2, max_size=7), st.data())
def test_numeric_code_reads_any_padding(parts: list[int], data: st.DataObject) -> None:
    full = "-".join(map(str, [*parts, *[0] * (7 - len(parts))]))
    widths = data.draw(st.lists(st.integers(0, 6), min_size=len(parts), max_size=len(parts)))
    mark = data.draw(st.sampled_from(["-", "/", "_", "\u2013", " - "]))
    written = mark.join(f"{part:0{width}d}" for part, width in zip(parts, widths, strict=True))
    digits = data.draw(st.sampled_from(["0123456789", "۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩"]))
    foreign = written.translate(str.maketrans("0123456789", digits))
    shown = text.ascii_digits(text.display(pa.array([foreign])))
    assert text.numeric_code(shown, 7, "-")[0].as_py() == full
    assert one(text.numeric_code, full, 7, "-") == full


@pytest.mark.parametrize("written", ["1-12-45-x", "1-12-", "-1-12", "--", "R-1", "1-1-1-1-1-1-1-1"])
def test_numeric_code_makes_no_code_of_what_is_none(written: str) -> None:
    made = str(one(text.numeric_code, written, 7, "-"))
    assert re.fullmatch(r"\d+(-\d+){6}", made) is None


def test_numeric_code_takes_any_separator_literally() -> None:
    assert one(text.numeric_code, "01.02", 3, ".") == "1.2.0"
    assert one(text.numeric_code, "01x02", 3, ".") == "1x02"


@given(st.floats(-1e12, 1e12, allow_nan=False), st.sampled_from(["0123456789", "۰۱۲۳۴۵۶۷۸۹"]))
def test_numbers_in_persian_digits_come_back(number: float, digits: str) -> None:
    for written in (f"{number:.3f}", f"{number:,.3f}"):
        foreign = written.translate(str.maketrans("0123456789", digits))
        if digits[0] != "0":
            foreign = foreign.replace(",", "\u066c").replace(".", "\u066b")
        assert float(str(one(text.number_text, foreign))) == float(f"{number:.3f}")


def test_a_comma_is_a_thousands_mark_only_where_it_stands_like_one() -> None:
    assert one(text.number_text, "1,250") == "1250"
    assert one(text.number_text, "12,50") == "12,50"


@given(st.lists(st.text("ابپتجچحخدرزژسشصضطظعغفقکگلمنوهی ", min_size=3), min_size=1))
def test_persian_is_not_taken_for_mojibake(words: list[str]) -> None:
    assert not any(text.looks_mojibake(pa.array(words)).to_pylist())


@pytest.mark.parametrize("written_as", ["utf-8", "cp1256"])
@pytest.mark.parametrize("read_as", ["cp1256", "latin-1"])
@pytest.mark.parametrize("word", ["شهرستان", "خيابان", "ميدان ولي"])
def test_text_read_in_the_wrong_encoding_is_told(written_as: str, read_as: str, word: str) -> None:
    wrong = word.encode(written_as).decode(read_as, "replace")
    assert one(text.looks_mojibake, wrong) is (written_as != read_as)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("\u06f1\u06f2/\u06f5", "12.5"),
        ("12/5", "12.5"),
        ("\u06f1\u06f2\u066b\u06f5", "12.5"),
        ("\u22127", "-7"),
        ("1/2/3", "1/2/3"),
        ("\u06f1\u066c\u06f2\u06f5\u06f0\u066b\u06f7\u06f5", "1250.75"),
        ("(1,250)", "(1,250)"),
    ],
)
def test_numbers_with_persian_marks(written: str, expected: str) -> None:
    assert one(text.persian_number_text, written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("\u06f3\u06f7\u06f1\u06f5\u06f6-\u06f1\u06f2\u06f3\u06f4\u06f5", "3715612345"),
        ("37156 12345", "3715612345"),
        ("3715612345.0", "3715612345"),
        ("3715612345", "3715612345"),
        ("37156-1234x", "37156-1234x"),
        ("-37156", "-37156"),
        (None, None),
    ],
)
def test_digits_only_keeps_what_is_no_number(written: str | None, expected: str | None) -> None:
    assert one(text.digits_only, written) == expected


def test_leading_zeros_lost_in_a_spreadsheet_come_back_and_are_counted() -> None:
    values = pa.array(["123", "0000123456", "12a", None, ""])
    made, count = text.padded(values, 10)
    assert made.to_pylist() == ["0000000123", "0000123456", "12a", None, ""]
    assert count == 1


WIDTHS = (1, 2, 3, 3, 2, 2, 2)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("101204500700000", "1-1-204-500-70-0-0"),
        ("112045007000000", "1-12-45-7-0-0-0"),
        ("112045007", "1-12-45-7-0-0-0"),
        ("1-12-045-007-00-00-00", "1-12-45-7-0-0-0"),
        ("1/12/45/7", "1-12-45-7-0-0-0"),
        ("11204500", "11204500-0-0-0-0-0-0"),
    ],
)
def test_codes_of_fixed_widths_without_separators(written: str, expected: str) -> None:
    assert one(text.numeric_code, written, 7, "-", WIDTHS) == expected


@given(st.lists(st.integers(0, 9999), min_size=2, max_size=7))
def test_reversing_a_code_twice_is_the_code(parts: list[int]) -> None:
    code, back = "-".join(map(str, parts)), "-".join(map(str, reversed(parts)))
    assert one(text.reversed_code, code, 7, "-") == back
    assert one(text.reversed_code, back, 7, "-") == code
    assert one(text.reversed_code, f"{code}-x", 7, "-") == f"{code}-x"
