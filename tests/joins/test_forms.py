"""Forms: what two offices write of the same thing leads to one key."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import fold
from pipeline.contracts import registry
from pipeline.contracts.fact import Form
from pipeline.joins import forms

CITY = registry.load("qom").city
words = st.text(st.sampled_from("كيیکأةۀءABab\u200c\u064e\u0640۱٢3 -/،"), min_size=1, max_size=12)


def key(written: str, form: Form, place: int = 0) -> str | None:
    """The key that ``written`` surely means, or (``place`` 1) may mean too."""
    found: str | None = forms.keys(pa.array([written]), form, CITY)[place][0].as_py()
    return found


@given(words)
def test_texts_are_folded_as_the_search_folds_them(written: str) -> None:
    assert key(written, "folded") == (fold.one(written) or None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("خیابان اِرَم، كوچه‌ى ۱۲", "خیابان ارم کوچه ی 12"),
        ("خ. شهيد بهشتی - پ 4", "خ شهید بهشتی پ ۴"),
    ],
)
def test_an_address_is_its_words(one: str, other: str) -> None:
    assert key(one, "address") == key(other, "address")


@pytest.mark.parametrize(
    "written", ["1234/567 بخش 4", "۱۲۳۴/۰۵۶۷ بخش ۰۴", "1234 فرعی از 567، بخش 4"]
)
def test_a_plate_is_its_numbers_in_either_order(written: str) -> None:
    assert key(written, "plate") == "1234/567/4"
    assert key(written, "plate", 1) == "567/1234/4"


@pytest.mark.parametrize("written", ["بدون پلاک", "", " "])
def test_a_plate_without_numbers_means_nothing(written: str) -> None:
    assert key(written, "plate") is None
    assert key(written, "plate", 1) is None


def test_a_single_number_has_no_other_order() -> None:
    assert key("پلاک 12", "plate") == "12"
    assert key("پلاک 12", "plate", 1) is None
