"""Payment: the two numbers by which any bank of Iran takes the money of a bill.

Of the banks' common scheme for bills (Informatics Commission of the banks, 1385): the number of the
bill (shenase-ye ghabz) is file, company, service and a check digit, the same year after year; the
number of the payment (shenase-ye pardakht) is thousands of rials, year, period and two check
digits, of which the second is over both numbers. Leading zeros are not written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.answers import formulas
from pipeline.contracts.base import Text
from pipeline.contracts.city import City, Payee
from pipeline.contracts.process import Process

#: The member of an item that has the numbers.
PAYMENT = "payment"
#: What is paid is whole thousands of rials.
STEP = 1000
_MOST = 10**8 - 1
_WEIGHTS = np.arange(2, 8)
#: A bill's number has at most 13 digits, what is checked after it at most 12 more.
_PLACES = 25

Numbers = NDArray[np.int64]
_WHY = {
    "file": Text(
        en="the file has more than 8 digits, which a bill number cannot hold",
        fa="شماره پرونده بیش از ۸ رقم است و در شناسه قبض جا نمی‌شود",
    ),
    "little": Text(
        en="less than 1,000 rials, which no payment number can say",
        fa="کمتر از ۱٬۰۰۰ ریال است و شناسه پرداخت ندارد",
    ),
    "much": Text(
        en="more than 99,999,999 thousand rials, which a payment number cannot hold",
        fa="بیش از ۹۹٬۹۹۹٬۹۹۹ هزار ریال است و در شناسه پرداخت جا نمی‌شود",
    ),
}


@dataclass(frozen=True, slots=True)
class Term:
    """What is paid for: a Jalali ``year`` and the ``period`` of it (0 to 99)."""

    year: int
    period: int


def bill_ids(payee: Payee, files: Numbers) -> Numbers:
    """The bill number of each of ``files`` (1 to 99,999,999)."""
    numbers = (files * 1000 + int(payee.company)) * 10 + payee.service
    return numbers * 10 + _check(_weighed(numbers))


def payment_ids(bills: Numbers, thousands: Numbers, term: Term) -> Numbers:
    """The payment number of ``thousands`` of rials (1 to 99,999,999) on each of ``bills``."""
    numbers = (thousands * 10 + term.year % 10) * 100 + term.period
    first = numbers * 10 + _check(_weighed(numbers))
    # The second looks at the bill's number with the payment's behind it.
    return first * 10 + _check(_weighed(first) + _weighed(bills, _length(first)))


def _weighed(numbers: Numbers, shift: Numbers | int = 0) -> Numbers:
    """The sum of the digits of each number, each by the weight of its place: 2 to 7 from the right
    and again; ``shift`` digits stand behind it."""
    places = np.arange(13)
    digits = numbers[:, None] // 10**places % 10
    weights = np.resize(_WEIGHTS, _PLACES)[np.broadcast_to(shift, numbers.shape)[:, None] + places]
    summed: Numbers = (digits * weights).sum(axis=1)
    return summed


def _check(sums: Numbers) -> Numbers:
    """Check digits: what lacks to a multiple of 11; 0 where that would have two digits."""
    left = sums % 11
    return np.where(left < 2, 0, 11 - left)


def _length(numbers: Numbers) -> Numbers:
    """How many digits each number has."""
    lengths: Numbers = np.floor(np.log10(numbers)).astype(np.int64) + 1
    return lengths


def numbered(city: City, process: Process, answer: dict[str, Any]) -> dict[str, Any]:
    """``answer`` of ``process`` whose items each have their numbers, where its amounts are paid at
    banks and the city has a payee."""
    of, paid = process.formulas_of, process.paid
    if paid is None or city.payee is None or not answer[of]:
        return answer
    term = Term(answer[formulas.YEAR], paid.period)
    numbers = told(city.payee, term, answer[of], paid.file)
    items = [item | {PAYMENT: one} for item, one in zip(answer[of], numbers, strict=True)]
    return answer | {of: items}


def told(
    payee: Payee, term: Term, items: list[dict[str, Any]], file: str
) -> list[dict[str, Any] | None]:
    """Of each of ``items`` the numbers, for its ``amount`` in rials and its member ``file``; None
    where nothing is to be paid, and ``why`` where there can be no number."""
    files = np.array([item[file] for item in items], dtype=np.int64)
    amounts = np.array([int(item["amount"] or 0) for item in items], dtype=np.int64)
    thousands = amounts // STEP
    bills = bill_ids(payee, np.clip(files, 1, _MOST))
    payments = payment_ids(bills, np.clip(thousands, 1, _MOST), term)
    columns = (files, amounts, thousands, bills, payments)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [_one(*row) if row[1] > 0 else None for row in rows]


def _one(file: int, amount: int, thousands: int, bill: int, payment: int) -> dict[str, Any]:
    why = _why(file, thousands)
    if why is not None:
        bill_id = None if why == "file" else str(bill)
        return {"bill_id": bill_id, "payment_id": None, "barcode": None, "amount_irr": None,
                "rest_irr": amount, "why": _WHY[why].model_dump()}  # fmt: skip
    return {
        "bill_id": str(bill),
        "payment_id": str(payment),
        "barcode": f"{bill:013}{payment:013}",
        "amount_irr": thousands * STEP,
        "rest_irr": amount - thousands * STEP,
        "why": None,
    }


def _why(file: int, thousands: int) -> str | None:
    """Why there can be no payment number, if so."""
    if not 0 < file <= _MOST:
        return "file"
    if thousands < 1:
        return "little"
    return "much" if thousands > _MOST else None
