"""The columns of a layer, and what of them is about a person."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from pipeline.contracts.base import Frozen, Identifier, Text

Privacy = Literal["P0", "P1", "P2", "P3"]
FieldType = Literal["text", "integer", "number", "boolean", "date", "datetime", "parcel_code"]
# ISO 4217. A toman is ten rials: scale = 10 in the feed.
_RIALS = "IRR"


class Field(Frozen):
    """One column of a layer.

    ``name`` is the database column. Published it is called so too, unless the city profile's
    ``names`` says otherwise. ``min``, ``max`` and ``decimals`` are in ``unit``; ``derive`` fills
    the column from the geometry (m or m2 on the grid of the city's CRS) where none arrives.
    ``expected`` is the form that values of people's experience have, ``suspect`` one they do not
    have: what differs is a warning, where ``pattern`` is the rule. Money is whole rials: unit IRR,
    and the name says so.
    ``search`` keeps the folded text beside it, in an indexed column of its own. ``numbers_of``
    makes the column of the numbers of another text field, as 1234/567/4; no feed maps it.
    ``filled``: who makes a row over the API cannot give it: the database does (schemas/edits/),
    once or whenever the row's place changes; ``later``: nobody does, it is known afterwards.
    ``several``: a text of several values, parted by commas or semicolons of either script; JSON
    has them as an array. ``refers``: the layer of whose one key field it is a value.
    """

    name: Identifier
    type: FieldType
    title: Text
    description: Text | None = None
    unit: str | None = None
    required: bool = False
    unique: bool = False
    index: bool = False
    search: bool = False
    privacy: Privacy = "P1"
    pattern: str | None = None
    expected: str | None = None
    suspect: str | None = None
    min: float | None = None
    max: float | None = None
    max_length: int | None = None
    decimals: int | None = None
    codelist: Identifier | None = None
    derive: Literal["area", "perimeter", "length"] | None = None
    filled: Literal["create", "place", "later"] | None = None
    numbers_of: Identifier | None = None
    several: bool = False
    refers: Identifier | None = None

    @model_validator(mode="after")
    def _limits_fit_type(self) -> Self:
        numeric = self.type in ("integer", "number")
        if not numeric and (self.min is not None or self.max is not None):
            raise ValueError("min and max are for integer and number fields")
        textual = self.type in ("text", "parcel_code")
        forms = self.pattern or self.expected or self.suspect
        if not textual and (forms or self.codelist or self.max_length):
            raise ValueError("patterns, codelist and max_length are for text fields")
        money = self.unit == _RIALS, self.name.endswith("_irr"), self.type == "integer"
        if any(money[:2]) and not all(money):
            raise ValueError('money is an integer of unit "IRR" whose name ends in _irr')
        if (self.search or self.numbers_of or self.several) and self.type != "text":
            raise ValueError("search, numbers_of and several are for text fields")
        if self.derive and self.type != "number":
            raise ValueError("derive is for number fields")
        return self


class Personal(Frozen):
    """One column about a person (P3): cut off when a row arrives, before anything else sees it.

    It is kept as it came, as text, in the schema ``private``; it is checked by nothing, and in no
    finding, quarantine, report, view or document.
    """

    name: Identifier
    title: Text
