"""Suggest: which column of an unknown file may fill which field, by its name and by its values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.feed import DATES, Column
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.stages.clean import typed
from pipeline.stages.evidence import Profile

_ALIKE = 0.74
_READABLE = 0.9
# A field that says its language takes only texts in the letters of that language.
_LANGUAGES = ("_fa", "_en")
# What the end of a column's name says of unit and basis; an office leaves it out.
_ENDING = re.compile(r"_(m2|m|pct|grid|code|no|id|fa|en|on)$")


@dataclass(frozen=True)
class Suggestion:
    """``source`` may fill ``to``; ``readable`` is the share of its values that are good for it."""

    source: str
    to: str
    parser: str
    alike: float
    readable: float

    @property
    def rank(self) -> float:
        """Good values count as much as a good name."""
        return self.alike + self.readable


def suggest(profiles: list[Profile], layer: LayerContract, schemas: Schemas) -> list[Suggestion]:
    """The best pairs, each column and each field at most once."""
    every = [
        found
        for profile in profiles
        for field in layer.fields
        if (found := _weigh(profile, field, layer, schemas)) is not None
    ]
    chosen: list[Suggestion] = []
    for one in sorted(every, key=lambda found: -found.rank):
        if all(one.source != other.source and one.to != other.to for other in chosen):
            chosen.append(one)
    place = {field.name: number for number, field in enumerate(layer.fields)}
    return sorted(chosen, key=lambda found: place[found.to])


def _weigh(
    profile: Profile, field: Field, layer: LayerContract, schemas: Schemas
) -> Suggestion | None:
    alike = _alike(profile.name, field, schemas)
    # Values alone decide only where few values are good ones.
    telling = field.codelist is not None or schemas.pattern(field) is not None
    if alike < _ALIKE and not telling:
        return None
    parser, readable = _best_parser(profile, field, schemas)
    if layer.key == (field.name,):
        readable *= profile.distinct_share
    if readable < (0.5 if alike >= _ALIKE else _READABLE):
        return None
    return Suggestion(profile.name, field.name, parser, alike, readable)


def _alike(source: str, field: Field, schemas: Schemas) -> float:
    names = [field.name, _ENDING.sub("", field.name), schemas.city.published(field.name)]
    names += [field.title.en, field.title.fa]
    return max(SequenceMatcher(None, _bare(source), _bare(name)).ratio() for name in names)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _best_parser(profile: Profile, field: Field, schemas: Schemas) -> tuple[str, float]:
    parsers = DATES if field.type == "date" else ("plain",)
    shares = {parser: _readable(profile, field, parser, schemas) for parser in parsers}
    best = max(shares, key=lambda parser: shares[parser])
    return best, shares[best]


def _readable(profile: Profile, field: Field, parser: str, schemas: Schemas) -> float:
    """The share of the values given that the field would take."""
    given = profile.values.drop_null()
    if not len(given):
        return 0.0
    column = Column.model_validate({"to": field.name, "from": profile.name, "parser": parser})
    values = typed(given, field, column, schemas.city)
    good: pa.Array = values.is_valid()
    if field.type == "text" and field.name.endswith(_LANGUAGES):
        latin = pc.string_is_ascii(given)
        good = pc.and_(good, pc.invert(latin) if field.name.endswith(_LANGUAGES[0]) else latin)
    codes, pattern = schemas.codes(field), schemas.pattern(field)
    if codes:
        good = pc.and_(good, pc.is_in(values, pa.array(codes.codes)))
    if pattern:
        good = pc.and_(good, _yes(pc.match_substring_regex(values, pattern)))
    return float(pc.mean(good.cast(pa.float64())).as_py())


def _yes(values: pa.Array) -> pa.Array:
    return pc.fill_null(values, fill_value=False)
