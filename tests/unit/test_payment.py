"""The numbers by which banks take the money of a bill."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.answers import payment
from pipeline.answers.payment import Term
from pipeline.contracts.city import Payee
from tests import banks

# Bills that others say are right: bill, payment, and the rials that are paid (the test suites of
# persian-tools and irbill, the example of IranianBillsValidation).
KNOWN = [
    (7748317800142, 1770160, 17_000),
    (2050327604613, 1070189, 10_000),
    (1117753200140, 12070160, 120_000),
    (1177809000142, 570108, 5_000),
    (9403272004129, 95570163, 955_000),
    (1064348103115, 97570237, 975_000),
    (9985235404124, 880000568, 8_800_000),
]
# Of these the same suites say that they are wrong.
WRONG = [(2234322344613, 1070189), (9174639504124, 12908197)]
files = st.integers(1, 99_999_999)
amounts = st.integers(1, 99_999_999)
years = st.integers(1300, 1500)
periods = st.integers(0, 99)
payees = st.builds(
    Payee, company=st.from_regex(r"[0-9]{3}", fullmatch=True), service=st.integers(1, 9)
)


def one(payee: Payee, file: int, thousands: int, term: Term) -> tuple[int, int]:
    bills = payment.bill_ids(payee, np.array([file]))
    return int(bills[0]), int(payment.payment_ids(bills, np.array([thousands]), term)[0])


@pytest.mark.parametrize(("bill", "paid", "rials"), KNOWN)
def test_known_bills_are_made_to_the_digit(bill: int, paid: int, rials: int) -> None:
    payee = Payee(company=f"{bill // 100 % 1000:03}", service=bill // 10 % 10)
    term = Term(1400 + paid // 10_000 % 10, paid // 100 % 100)
    assert one(payee, bill // 100_000, rials // 1000, term) == (bill, paid)
    assert banks.takes(str(bill), str(paid))


@pytest.mark.parametrize(("bill", "paid"), WRONG)
def test_what_is_known_to_be_wrong_no_bank_takes(bill: int, paid: int) -> None:
    assert not banks.takes(str(bill), str(paid))


@given(payee=payees, file=files, thousands=amounts, year=years, period=periods)
def test_a_bank_takes_and_reads_what_is_made(
    payee: Payee, file: int, thousands: int, year: int, period: int
) -> None:
    bill, paid = map(str, one(payee, file, thousands, Term(year, period)))
    assert banks.takes(bill, paid)
    assert 6 <= len(bill) <= 13
    assert 6 <= len(paid) <= 13
    assert (int(bill[:-5]), bill[-5:-2], int(bill[-2])) == (file, payee.company, payee.service)
    assert (int(paid[:-5]), int(paid[-5]), int(paid[-4:-2])) == (thousands, year % 10, period)


@given(payee=payees, file=files, thousands=amounts, data=st.data())
def test_a_digit_that_was_mistyped_is_found(
    payee: Payee, file: int, thousands: int, data: st.DataObject
) -> None:
    """But where what is left over was 0 and becomes 1, or 1 and 0: both have the check digit 0."""
    made = [str(number) for number in one(payee, file, thousands, Term(1404, 1))]
    which = data.draw(st.integers(0, 1))
    at = data.draw(st.integers(0, len(made[which]) - 1))
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != made[which][at]]))
    changed = list(made)
    changed[which] = made[which][:at] + other + made[which][at + 1 :]
    blind = "0" in (made[0][-1], made[1][-2], made[1][-1])
    assert blind or not banks.takes(*changed)


@given(rows=st.lists(st.tuples(files, amounts), min_size=1, max_size=20))
def test_many_at_once_are_as_each_alone(rows: list[tuple[int, int]]) -> None:
    payee, term = Payee(company="705"), Term(1404, 1)
    items: list[dict[str, Any]] = [{"file": f, "amount": t * 1000 + 7} for f, t in rows]
    for item, made in zip(items, payment.told(payee, term, items, "file"), strict=True):
        assert made is not None
        bill, paid = one(payee, item["file"], item["amount"] // 1000, term)
        assert (made["bill_id"], made["payment_id"]) == (str(bill), str(paid))
        assert made["barcode"] == str(bill).zfill(13) + str(paid).zfill(13)
        assert (made["amount_irr"], made["rest_irr"]) == (item["amount"] - 7, 7)


@pytest.mark.parametrize(
    ("file", "amount", "said"),
    [
        (123_456_789, 5_000, "8 digits"),
        (1, 999, "less than 1,000"),
        (1, 100_000_000_000, "99,999,999"),
    ],
)
def test_what_no_number_can_say_has_none_and_why(file: int, amount: int, said: str) -> None:
    items = [{"file": file, "amount": amount}]
    (made,) = payment.told(Payee(company="705"), Term(1404, 1), items, "file")
    assert made is not None
    assert made["payment_id"] is None
    assert said in made["why"]["en"]
    assert made["rest_irr"] == amount


@pytest.mark.parametrize("amount", [0, None])
def test_where_nothing_is_to_be_paid_there_is_no_number(amount: int | None) -> None:
    items = [{"file": 1, "amount": amount}]
    assert payment.told(Payee(company="705"), Term(1404, 1), items, "file") == [None]
