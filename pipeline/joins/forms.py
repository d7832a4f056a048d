"""Forms: the ways in which two offices write the same code, plate or address.

Each gives keys that are equal where the same is meant. What may be meant in more than one way (a
code that may have been turned round) gives several keys: the ladder decides only where all that are
known lead to one object.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import fold, text
from pipeline.contracts.city import City, ParcelCode
from pipeline.contracts.fact import Form
from pipeline.contracts.layer import LayerContract

_NULL = pa.scalar(None, pa.string())
_NUMBER = re.compile("[0-9]+")
_WORD_BREAKS = "[\u200c_.,;:()/\\\\#\u060c\u061b-]+"


def keys(values: pa.Array, form: Form, city: City) -> list[pa.Array]:
    """The key that ``values`` surely mean, and after it those that they may mean too."""
    shown = _shown(values)
    if form == "code":
        return _codes(shown, city.parcel_code)
    if form == "plate":
        return _plates(shown)
    return [_key(shown, form, city)]


def key(values: pa.Array, form: Form, city: City) -> pa.Array:
    """The key that ``values`` surely mean: the first of ``keys``."""
    return _key(_shown(values), form, city)


def numbers(one: str, form: Form) -> list[str]:
    """Numbers that stand in whatever has the key ``one``, rarest first; none where the form does
    not go by numbers."""
    if form not in ("code", "plate"):
        return []
    # Parts that were not written are 0.
    return sorted(set(_NUMBER.findall(one)) - {"0"}, key=len, reverse=True)


def kept_as(other: str, form: Form, layer: LayerContract, city: City) -> str | None:
    """The column of ``layer`` in which the key of its field ``other`` stands as it is; None where
    keys are to be made of what is written."""
    if form == "plain":
        return other
    if form == "code" and city.parcel_code.numeric and layer.field(other).type == "parcel_code":
        return other
    if form == "plate":
        return next((one.name for one in layer.fields if one.numbers_of == other), None)
    return None


def code(written: str, city: City) -> str:
    """One parcel code as the city writes it: ``1-12-45-7`` in full; text that is none as it is."""
    (found,) = key(pa.array([written]), "code", city).to_pylist()
    return found or written


def _shown(values: pa.Array) -> pa.Array:
    return text.ascii_digits(text.display(values.cast(pa.string())))


def _key(shown: pa.Array, form: Form, city: City) -> pa.Array:
    if form == "plain":
        return shown
    if form == "folded":
        return _folded(shown)
    if form == "code":
        return _whole(_tidy_code(shown, city.parcel_code), city.parcel_code)
    if form == "plate":
        return text.numbers(shown)
    return _address(shown)


def _folded(shown: pa.Array) -> pa.Array:
    """As people search (``makan.fold``)."""
    return _nothing(fold.column(shown))


def _address(shown: pa.Array) -> pa.Array:
    """The words of an address, without its punctuation."""
    return _folded(pc.replace_substring_regex(shown, _WORD_BREAKS, " "))


def _codes(shown: pa.Array, rule: ParcelCode) -> list[pa.Array]:
    """Parcel codes with every part and no padding: as written, and turned round.

    Where the code has parts for what stands on the land, the land is meant as well.
    """
    plain = _tidy_code(shown, rule)
    found = [_whole(one, rule) for one in (plain, _turned(plain, rule))]
    if rule.land_parts:
        found += [_land(one, rule) for one in found]
    return found


def _whole(codes: pa.Array, rule: ParcelCode) -> pa.Array:
    if not rule.numeric:
        return codes
    return text.numeric_code(codes, len(rule.parts), rule.separator)


def _tidy_code(shown: pa.Array, rule: ParcelCode) -> pa.Array:
    between = re.escape(rule.separator)
    bare = pc.utf8_upper(pc.replace_substring(shown, " ", ""))
    bare = pc.replace_substring_regex(bare, "[/_\u2010-\u2015\u2212]", rule.separator)
    return _nothing(pc.replace_substring_regex(bare, rf"(^|{between})0+([0-9])", r"\1\2"))


def _turned(codes: pa.Array, rule: ParcelCode) -> pa.Array:
    """The parts in the other order, as programs leave them that write from right to left."""
    parts = pc.split_pattern(codes, rule.separator, reverse=False)
    return pa.array(
        [None if one is None else rule.separator.join(reversed(one)) for one in parts.to_pylist()],
        type=pa.string(),
    )


def _land(codes: pa.Array, rule: ParcelCode) -> pa.Array:
    """The code of the land: the parts of what stands on it are 0."""
    between, part = re.escape(rule.separator), r"[0-9]+"
    land, above = rule.land_parts or 0, len(rule.parts) - (rule.land_parts or 0)
    whole = rf"^({part}(?:{between}{part}){{{land - 1}}})(?:{between}{part}){{{above}}}$"
    fits = pc.match_substring_regex(codes, whole)
    bare = pc.replace_substring_regex(codes, whole, r"\1" + f"{rule.separator}0" * above)
    return pc.if_else(fits, bare, _NULL)


def _plates(shown: pa.Array) -> list[pa.Array]:
    """The numbers of a registration plate: main, sub, section; the first two in either order."""
    plain = text.numbers(shown)
    turned = pc.replace_substring_regex(plain, r"^(\d+)/(\d+)", r"\2/\1")
    several = pc.match_substring(plain, "/")
    return [plain, pc.if_else(several, turned, _NULL)]


def _nothing(values: pa.Array) -> pa.Array:
    """Empty texts say nothing."""
    return pc.if_else(pc.equal(pc.binary_length(values), 0), _NULL, values)
