"""Sheets: the documents of a bundle in the order in which they are printed, and its volumes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipeline.answers.ask import Answerer
from pipeline.contracts.process import Bundle, Cover, Process

_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One document of a bundle: its place in the list ("" for a cover), what it is called, its
    file, and what is asked for it."""

    number: str
    called: str
    name: str
    document: Process
    asked: dict[str, Any]


def sheets(
    answerer: Answerer,
    bundle: Bundle,
    things: list[dict[str, Any]],
    document: Process,
    asked: dict[str, Any],
) -> list[Sheet]:
    """The documents of ``things`` in order and, where they are ``asked`` for, a cover before each
    run of them."""
    city, cover = answerer.city, bundle.cover
    if cover is not None and asked.get(city.published(cover.when)) != cover.value:
        cover = None
    runs = _runs(things, city.published(cover.per)) if cover else [("", things)]
    passed = answerer.passed(bundle, asked, document.id)
    stop = city.published(cover.numbers) if cover and cover.numbers else None
    numbered = stop if stop in answerer.offered[document.id] else None
    found: list[Sheet] = []
    number = 0
    for value, run in runs:
        if cover:
            found.append(_cover(answerer, bundle, cover, asked, (number + 1, value, run)))
        for place, thing in enumerate(run, start=1):
            number += 1
            given = {**passed, **({numbered: place} if numbered else {})}
            found.append(_sheet(answerer, bundle, document, number, thing, given))
    return found


def _runs(things: list[dict[str, Any]], per: str) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(str(value), list(run)) for value, run in groupby(things, lambda one: one[per])]


def _sheet(
    answerer: Answerer,
    bundle: Bundle,
    document: Process,
    number: int,
    thing: dict[str, Any],
    given: dict[str, Any],
) -> Sheet:
    by, called = map(answerer.city.published, (bundle.by, bundle.called))
    name = f"{number:05}-{_UNSAFE.sub('_', str(thing[called]))}.pdf"
    return Sheet(str(number), str(thing[called]), name, document, {by: thing[by], **given})


def _cover(
    answerer: Answerer,
    bundle: Bundle,
    cover: Cover,
    asked: dict[str, Any],
    run: tuple[int, str, list[dict[str, Any]]],
) -> Sheet:
    """The cover of a run: the number of its first thing, what it is called, the things."""
    start, value, things = run
    city, process = answerer.city, answerer.processes[cover.process]
    ids = [one[city.published(cover.of)] for one in things]
    given = {city.published(cover.by): ids, **answerer.passed(bundle, asked, process.id)}
    return Sheet("", value, f"{start:05}-0-{_UNSAFE.sub('_', value)}.pdf", process, given)


def volumes(found: list[Sheet], most: int) -> Iterator[list[Sheet]]:
    """``found`` in pieces of at most ``most``; one begins with a cover where there are covers, and
    tears a run only where that alone is more than ``most``."""
    volume: list[Sheet] = []
    for run in _pieces(found, most):
        if volume and len(volume) + len(run) > most:
            yield volume
            volume = []
        volume += run
    if volume:
        yield volume


def _pieces(found: list[Sheet], most: int) -> Iterator[list[Sheet]]:
    """The runs, each with its cover; single sheets where there are no covers."""
    starts = [at for at, sheet in enumerate(found) if not sheet.number]
    if not starts:
        yield from ([sheet] for sheet in found)
        return
    for start, end in zip(starts, [*starts[1:], len(found)], strict=True):
        yield from (found[at : min(at + most, end)] for at in range(start, end, most))
