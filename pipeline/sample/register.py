"""Numbers that offices give: property codes, plates, postcodes, census codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.sample import fixture
from pipeline.sample.areas import Areas, block_numbers
from pipeline.sample.arrays import Ints, Objects, objects
from pipeline.sample.model import City

_FIRST = np.array([1, 3, 4, 5, 6, 7, 8, 9])
_FIFTH = np.array([1, 3, 4, 6, 7, 8, 9])
_LAST = np.array([0, 1, 3, 4, 5, 6, 7, 8, 9])
_PLACES = len(_LAST) ** 5


def text(values: Ints, width: int = 0) -> Objects:
    """Whole numbers as text, padded with zeros to ``width``."""
    return objects(np.char.zfill(values.astype(str), width))


@dataclass(frozen=True)
class Register:
    """Codes as text: ``property`` (lots,) in seven parts, ``prefix`` (lots,) the first four of
    them, ``audit`` (blocks,) the block's three, ``division`` (cells,) region and district."""

    areas: Areas
    block_number: Ints
    division: Objects
    audit: Objects
    prefix: Objects
    property: Objects


def register(city: City, areas: Areas) -> Register:
    """Codes of all plots and blocks; P7 is 1-12-45-7-0-0-0."""
    number = block_numbers(city, areas)
    division = text(areas.region) + "-" + text(areas.district)
    audit = division[city.blocks.cell] + "-" + text(number)
    prefix = audit[city.lots.block] + "-" + text(city.lots.number)
    return Register(areas, number, division, audit, prefix, prefix + "-0-0-0")


def plates(city: City, areas: Areas) -> Objects:
    """Registration plates (lots,): sub number from main number, and the section."""
    sub = np.arange(len(city.lots)) % 9000 + 1
    main = 1200 + city.blocks.cell[city.lots.block] % 2400
    section = areas.region[city.lot_cell] % 5 + 1
    found = objects(text(main) + "/" + text(sub) + " بخش " + text(section))
    found[city.p7] = fixture.PLATE
    return found


def postal_prefixes(count: int) -> Objects:
    """The first five digits of ``count`` postal areas; the fixture's comes first.

    The digits keep to what is used in practice: no 0 or 2 in the first five, no 5 in the fifth.
    """
    a, b, c = (grid.ravel() for grid in np.meshgrid(_FIRST, _FIRST, _FIFTH, indexing="ij"))
    # Steps that have no factor in common with the table's length spread neighbours over it.
    order = np.arange(len(a)) * 97 % len(a)
    every = ("37" + text(a) + text(b) + text(c))[order]
    others = every[every != fixture.POSTCODE_AREA]
    return np.append(np.array([fixture.POSTCODE_AREA], dtype=object), others)[:count]


def postcodes(prefix: Objects, area: Ints) -> Objects:
    """Ten digits for each place of the postal ``area`` (n,), no code twice, none the fixture's."""
    order = np.argsort(area, kind="stable")
    first = np.searchsorted(area[order], area[order])
    serial = np.zeros(len(area), dtype=np.int64)
    serial[order] = np.arange(len(area)) - first
    taken = _place_number(fixture.POSTCODE[5:])
    # 40009 has no factor in common with 9 ** 5: every place once, neighbours far apart.
    place = (serial + 1) * 40_009 % _PLACES
    skipped = (taken * pow(40_009, -1, _PLACES) - 1) % _PLACES
    place = np.where(serial >= skipped, (serial + 2) * 40_009 % _PLACES, place)
    digits = [text(_LAST[place // 9**power % 9]) for power in (4, 3, 2, 1, 0)]
    found: Objects = prefix[area] + digits[0] + digits[1] + digits[2] + digits[3] + digits[4]
    return found


def _place_number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * 9 + int(np.flatnonzero(int(digit) == _LAST)[0])
    return number


def census_codes(zone: Ints) -> Objects:
    """Census codes (n,) of 18 digits: province 25, county, district, city, then zone and block.

    ``zone`` (n,) counts from 0; blocks are numbered within their zone in the order given.
    """
    order = np.argsort(zone, kind="stable")
    serial = np.zeros(len(zone), dtype=np.int64)
    serial[order] = np.arange(len(zone)) - np.searchsorted(zone[order], zone[order]) + 1
    return objects("2501011011" + text(zone + 1, 4) + text(serial, 4))
