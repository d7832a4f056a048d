"""What a bank does with the two numbers of a bill, written down apart from how they are made: digit
by digit over texts, after the rule of the Informatics Commission of the banks."""

from __future__ import annotations


def check_digit(digits: str) -> int:
    """Weights 2 to 7 from the right and again; what lacks to a multiple of 11, 0 for 10 and 11."""
    total, weight = 0, 2
    for digit in reversed(digits):
        total += int(digit) * weight
        weight = 2 if weight == 7 else weight + 1
    left = total % 11
    return 0 if left < 2 else 11 - left


def takes(bill: str, payment: str) -> bool:
    """Whether a bank would take the money: all three check digits are right."""
    of_bill = check_digit(bill[:-1]) == int(bill[-1])
    first = check_digit(payment[:-2]) == int(payment[-2])
    return of_bill and first and check_digit(bill + payment[:-1]) == int(payment[-1])
