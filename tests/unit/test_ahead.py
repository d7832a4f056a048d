"""Parts come in their order, one is made while another is looked at, and errors and ends arrive."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from pipeline.stages.ahead import Ahead


def test_the_next_part_is_made_while_one_is_looked_at() -> None:
    made = [threading.Event() for _ in range(4)]

    def parts() -> Generator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    seen = []
    given = Ahead(parts())
    assert made[0].wait(5)
    for part in given:
        if part + 1 < len(made):
            assert made[part + 1].wait(5)
        seen.append(part)
    given.close()
    assert seen == [0, 1, 2, 3]


def test_all_of_it_runs_in_one_other_thread() -> None:
    where: list[threading.Thread] = []

    def parts() -> Generator[int]:
        try:
            where.append(threading.current_thread())
            yield 1
            where.append(threading.current_thread())
            yield 2
        finally:
            where.append(threading.current_thread())

    given = Ahead(parts())
    assert next(iter(given)) == 1
    given.close()
    assert len({one.ident for one in where}) == 1
    assert where[0] is not threading.current_thread()
    assert len(where) == 3


def test_what_goes_wrong_is_raised_where_the_parts_are_taken() -> None:
    def parts() -> Generator[int]:
        yield 1
        raise ValueError("damaged")

    given = Ahead(parts())
    taken = iter(given)
    assert next(taken) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(taken)
    given.close()


def test_nothing_is_nothing() -> None:
    def parts() -> Generator[int]:
        yield from ()

    given = Ahead(parts())
    assert list(given) == []
    given.close()
