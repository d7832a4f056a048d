"""The process contract: one question that other systems ask, and how its answer is found.

One process is three files of schemas/processes/: ``<id>.toml`` says what is asked, by whom and with
which words; ``<id>.sql`` finds the answer, over the contracts' own names; ``<id>.schema.json`` is
the JSON Schema of the answer, which is published.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

import jsonschema  # type: ignore[import-untyped]
from pydantic import Field as Setting
from pydantic import model_validator

from pipeline.contracts.base import CollectionId, Frozen, Identifier, Text
from pipeline.contracts.field import Privacy

#: How a value that was given is understood before the query gets it.
Meaning = Literal["plain", "code", "plate", "folded", "geometry", "shapes", "list", "receipt"]
#: What a shape has to be.
Shape = Literal["point", "line", "area"]
#: Types that stand in an address as they are.
PLAIN_TYPES = ("string", "integer", "number", "boolean")


class Named(Frozen):
    """A value that is the name of something: it stands in the ``field`` of the ``layer``."""

    layer: Identifier
    field: Identifier


class Input(Frozen):
    """One input. ``accepts`` is its JSON Schema; ``meaning`` says how the query gets it: ``plain``
    as it is, ``code`` as the parcel codes it may mean, ``plate`` as the plates, ``folded`` as for
    searching, ``geometry`` (GeoJSON, WKT) as a shape with its CRS, ``list`` as JSON text,
    ``shapes`` the same with each one's ``geometry`` as a shape, ``receipt`` as the number of one.
    ``shape`` says what a shape has to be, ``names`` what a value has to be the name of.
    ``privacy``: who is offered it. ``labels`` are the words for the values of an enumeration; with
    ``codelist`` both are those of the city's list.
    """

    name: Identifier
    title: Text
    description: Text | None = None
    accepts: dict[str, Any]
    meaning: Meaning = "plain"
    shape: Shape | None = None
    names: Named | None = None
    required: bool = False
    privacy: Privacy = "P0"
    labels: dict[str, Text] = Setting(default_factory=dict)
    codelist: Identifier | None = None
    example: Any

    @model_validator(mode="after")
    def _schema_is_one(self) -> Self:
        try:
            jsonschema.Draft202012Validator.check_schema(self.accepts)
        except jsonschema.SchemaError as error:
            raise ValueError(f"accepts is no JSON Schema: {error.message}") from None
        if not jsonschema.Draft202012Validator(self.accepts).is_valid(self.example):
            raise ValueError("the example does not fit what is accepted")
        if (self.shape is None) != (self.meaning not in ("geometry", "shapes")):
            raise ValueError("shapes, and nothing else, say what shape they have to be")
        named = {str(value) for value in self.accepts.get("enum", ())}
        if self.labels and set(self.labels) != named:
            raise ValueError("labels must name the values of the enumeration, each")
        return self

    def with_codes(self, codes: Mapping[str, Text]) -> Input:
        """The same, for the codes of a list with their words; where the city's list does not have
        the example, its first code is one."""
        made = {**self.accepts, "type": "string", "enum": list(codes)}
        example = self.example if self.example in codes else next(iter(codes))
        changed = {"accepts": made, "labels": dict(codes), "example": example}
        return Input.model_validate(self.model_dump() | changed)


class Limit(Frozen):
    """How much one question may ask for; the query ``size`` counts it before the answer is made.
    ``most_in_background``: how much a job may."""

    most: int = Setting(gt=0)
    most_in_background: int | None = Setting(default=None, gt=0)
    unit: Text


class Batch(Frozen):
    """A question about so much that it is answered part by part: where one of ``of`` is given, the
    query ``parts`` tells the parts and ``answer`` is asked for each (``%(part)s``). Of the answers
    the members ``lists`` are strung together and ``sums`` added up; the rest is the first one's."""

    of: tuple[Identifier, ...]
    lists: tuple[Identifier, ...]
    sums: tuple[Identifier, ...] = ()


class Document(Frozen):
    """The answer as a document for people, with a receipt: the page ``template``, and ``by``, the
    input by which its subject is asked for again (none: by what was asked); ``called``: the member
    that names it to people. Its map is ``map_mm`` wide and high, of the scale 1:``scale`` or
    smaller, over the raster ``backdrop`` if there is one. ``draws``: what is around its subject,
    or a route, whose query ``surroundings`` is the process's own. ``valid_days``: how long others
    may rely on it."""

    template: Identifier
    by: Identifier | None = None
    called: Identifier
    draws: Literal["subject", "route"] = "subject"
    map_mm: tuple[float, float] = (170.0, 100.0)
    scale: int = Setting(default=500, gt=0)
    backdrop: Identifier | None = None
    valid_days: int | None = Setting(default=None, gt=0)


class Paid(Frozen):
    """The amounts are paid at banks: ``file`` is the member of each item whose number names it for
    ever, ``period`` which part of the year is paid for."""

    file: Identifier
    period: int = Setting(default=1, ge=0, le=99)


class Cover(Frozen):
    """A document before each run of things with the same value of ``per``, where the input ``when``
    is ``value``: ``process``, asked for by ``by``, the list of what ``of`` is of each of them.
    ``numbers``: the input of the documents that says the how manieth of its run each is."""

    process: CollectionId
    when: Identifier
    value: str
    per: Identifier
    by: Identifier
    of: Identifier
    numbers: Identifier | None = None


class Bundle(Frozen):
    """In the background the documents that the answer lists are made too, into one file: a ZIP of
    PDFs. ``kind`` is the input that names the process of the documents, ``language`` that of their
    language; the member ``lists`` of the answer has the things, in order, each with ``by``, the
    input by which it is asked for, and ``called``, which names its PDF. Inputs that it ``passes``
    are given to those documents that know them."""

    kind: Identifier
    language: Identifier
    lists: Identifier
    by: Identifier
    called: Identifier
    passes: tuple[Identifier, ...] = ()
    cover: Cover | None = None


class Heights(Frozen):
    """Which members of the answer get their ground height: each of ``of`` (with ``e`` and ``n`` in
    the city's CRS) a ``ground_m`` of the elevation model ``raster``, now or on the day that the
    input ``day`` names. ``sight``: whether the two ends see each other is told too, from the
    masts that the answer has."""

    raster: Identifier
    of: Identifier
    day: Identifier | None = None
    sight: bool = False


class Process(Frozen):
    """One process. ``one_of``: exactly one of these inputs must be given, and likewise of
    ``and_one_of``. ``nothing`` is told when there is no answer. ``formulas``: the file of
    schemas/formulas/ whose lines are worked out over the member ``formulas_of`` of the answer, up
    to the line ``formulas_to`` where there is one; an answer without a year has none.
    Unless ``formulas_explained``, only values are told. ``paid``: where the city has a payee,
    items have the numbers for payment too.
    ``document``: it is offered as a page and a PDF too.
    ``verifies``: what it finds are receipts, to be compared with what is true today. ``bundle``: a
    job of it makes documents."""

    id: CollectionId
    title: Text
    description: Text
    asked_by: Text
    privacy: Privacy = "P0"
    keywords: tuple[str, ...] = ()
    one_of: tuple[Identifier, ...] = ()
    and_one_of: tuple[Identifier, ...] = ()
    inputs: tuple[Input, ...]
    nothing: Text
    limit: Limit | None = None
    batch: Batch | None = None
    formulas: Identifier | None = None
    formulas_to: Identifier | None = None
    formulas_of: Identifier = "items"
    formulas_explained: bool = True
    paid: Paid | None = None
    document: Document | None = None
    verifies: bool = False
    heights: Heights | None = None
    bundle: Bundle | None = None

    @property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        """Of each of these exactly one input must be given."""
        return tuple(names for names in (self.one_of, self.and_one_of) if names)

    @cached_property
    def named(self) -> dict[str, Input]:
        """Inputs by the contract's own names."""
        return {one.name: one for one in self.inputs}

    @model_validator(mode="after")
    def _names_are_inputs(self) -> Self:
        names = [one.name for one in self.inputs]
        if len(set(names)) < len(names):
            raise ValueError("an input stands twice")
        unknown = {*self.one_of, *self.and_one_of, *(self.batch.of if self.batch else ())} - set(
            names
        )
        if unknown:
            raise ValueError(f"no such input: {', '.join(sorted(unknown))}")
        return self
