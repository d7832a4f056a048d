"""Names, kinds and widths of the streets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.sample import fixture, names
from pipeline.sample.arrays import Bools, Floats, Ints, Objects, objects
from pipeline.sample.model import City
from pipeline.sample.streets import Streets

_NAME_LENGTH_M = 1800.0


@dataclass(frozen=True)
class StreetNames:
    """For each segment (segments,): names, kind and class in Persian, widths in m, a number."""

    fa: Objects
    en: Objects
    kind: Objects
    rank: Objects
    width: Floats
    width_plan: Floats
    code: Objects
    one_way: Bools


_KINDS = (
    (30.0, "بلوار", "Blvd.", "شریانی درجه یک"),
    (20.0, "خیابان", "St.", "شریانی درجه دو اصلی"),
    (14.0, "خیابان", "St.", "شریانی درجه دو فرعی"),
    (10.0, "کوچه", "Alley", "جمع کننده"),
    (0.0, "کوچه", "Alley", "محلی"),
)


def _identities(streets: Streets) -> tuple[Ints, Ints]:
    """Which street each segment belongs to, and of which line that street is (streets,).

    A lane is one street; streets between cells change their name every kilometre or two.
    """
    lines, line = streets.lines, streets.line
    stretch = np.floor(streets.start / _NAME_LENGTH_M).astype(np.int64) + 100
    stretch = np.where(lines.cell[line] < 0, stretch, 0)
    _, first, street = np.unique(line * 1000 + stretch, return_index=True, return_inverse=True)
    return street.astype(np.int64), line[first]


def _words(rng: np.random.Generator, kind: Ints, closed: Bools) -> tuple[Objects, Objects]:
    """Names of streets: avenues for the wide ones; every lane's name stands once in the city."""
    wide = kind <= 2
    shuffled = rng.permutation(len(kind))
    fa, en = np.empty(len(kind), dtype=object), np.empty(len(kind), dtype=object)
    lane_words = names.lane_words()
    for chosen, words in ((wide, names.AVENUES), (~wide, lane_words)):
        at = shuffled[chosen[shuffled]]
        fa[at], en[at] = names.numbered(words, np.arange(len(at)))
    prefix = np.array([entry[1] for entry in _KINDS], dtype=object)[kind]
    suffix = np.array([entry[2] for entry in _KINDS], dtype=object)[kind]
    prefix[closed], suffix[closed] = "بن‌بست", "Dead End"
    return objects(prefix + " " + fa), objects(en + " " + suffix)


def _plan_widths(rng: np.random.Generator, width: Floats, closed: Bools) -> Floats:
    """What the detailed plan asks for: about one street in six is to be widened."""
    drawn = rng.random(len(width))
    plan = width.copy()
    lane = (width < 12.0) & ~closed
    plan[lane & (drawn < 0.18)] += 4.0
    plan[lane & (drawn < 0.05)] += 2.0
    main = (width >= 12.0) & (width < 30.0) & (drawn < 0.10)
    plan[main] += 6.0
    return plan


def street_names(city: City, streets: Streets) -> StreetNames:
    """Names and widths of all segments; kuche-ye Yas is 8 m, to be 12 m."""
    rng = city.rng("street names")
    lines, line = streets.lines, streets.line
    street, of_line = _identities(streets)
    width = np.round(lines.width[of_line], 1)
    closed = lines.closed[of_line]
    limits = np.array([entry[0] for entry in _KINDS])
    kind = (width[:, None] >= limits[None]).argmax(axis=1)
    fa, en = _words(rng, kind, closed)
    plan = _plan_widths(rng, width, closed)
    at_yas = of_line == streets.lane_line[fixture.YAS_LANE]
    fa[at_yas], en[at_yas], plan[at_yas] = fixture.YAS_NAME, "Yas Alley", fixture.YAS_PLAN_WIDTH
    at_next = of_line == streets.lane_line[fixture.YAS_LANE + 1]
    fa[at_next], en[at_next], plan[at_next] = fixture.NEIGHBOUR_LANE_NAME, "Nastaran Alley", 8.0
    words = np.array([entry[1] for entry in _KINDS], dtype=object)[kind]
    words[closed] = "بن بست"
    rank = np.array([entry[3] for entry in _KINDS], dtype=object)[kind]
    code = objects("M-" + objects(np.char.zfill((np.arange(len(line)) + 1).astype(str), 6)))
    one_way = (width < 7.0) & ~closed & (rng.random(len(width)) < 0.3)
    return StreetNames(
        fa[street],
        en[street],
        words[street],
        rank[street],
        width[street],
        plan[street],
        code,
        one_way[street],
    )
