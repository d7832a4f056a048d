"""The city profile: everything that differs from one city to the next."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field as Setting
from pydantic import StringConstraints, model_validator

from pipeline.contracts.base import Frozen, Identifier, Text
from pipeline.errors import ContractError

if TYPE_CHECKING:
    from pyproj import CRS

    from pipeline.operations import Operation

# Names under which EPSG keeps dozens of operations for as many countries.
_NO_DATUM = {"EPSG:4230": "say which ED50 it is, such as ED50(ED77), EPSG:4154"}


class Extent(Frozen):
    """Where coordinates of the city can lie, in units of its CRS (east, north)."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """xmin, ymin, xmax, ymax."""
        return (self.xmin, self.ymin, self.xmax, self.ymax)


class Heights(Frozen):
    """Believable terrain heights in metres, and the vertical datum they are labelled with."""

    min: float
    max: float
    datum: str


class CodePart(Frozen):
    """One part of the parcel code; ``width`` digits when written padded, 0 = never padded."""

    name: Identifier
    title: Text
    width: int = 0


class KnownCodes(Frozen):
    """Where the first ``parts`` of every code that exists are found: a field of a layer."""

    layer: Identifier
    field: Identifier
    parts: int


class ParcelCode(Frozen):
    """The city's parcel code: parts joined by ``separator``, the whole matching ``pattern``.

    ``numeric``: parts are whole numbers, written without leading zeros, missing last ones as 0.
    ``known`` are codes by which the order of the parts in a file is told.
    ``land_parts``: so many first parts name the land, the others what stands on it.
    """

    separator: str = "-"
    numeric: bool = False
    land_parts: int | None = None
    known: KnownCodes | None = None
    parts: tuple[CodePart, ...]
    pattern: str
    example: str


EpsgCode = Annotated[str, StringConstraints(pattern=r"^EPSG:[0-9]{4,6}$")]


class Transformation(Frozen):
    """The one operation by which data of another datum are taken; ``accuracy_m`` is EPSG's.

    ``source`` is the geographic CRS of that datum, for every CRS that is built on it.
    """

    source: EpsgCode
    operation: EpsgCode
    accuracy_m: float

    @model_validator(mode="after")
    def _datum_is_one(self) -> Self:
        if self.source in _NO_DATUM:
            raise ValueError(f"{self.source} is no datum of one place: {_NO_DATUM[self.source]}")
        return self


class Suspect(Frozen):
    """A CRS that data of the city are known to be in without saying so.

    A geographic one stands for its datum on the city's own projection as well. ``operation`` says
    by which EPSG operation the mistake is computed, where the datum is not pinned.
    """

    crs: EpsgCode
    operation: EpsgCode | None = None


class Payee(Frozen):
    """Whom the city's bills are paid to, as the banks of Iran know it: the ``company`` that they
    gave it, and the ``service`` (6 are municipal levies)."""

    company: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")]
    service: int = Setting(default=6, ge=1, le=9)


class City(Frozen):
    """One city. ``names`` gives published names to columns, such as nosazi to parcel_code.

    ``fabric_off``: fabric rules, as layer.rule, that do not hold in this city. Without a ``payee``
    bills have no numbers for payment.
    """

    id: Identifier
    title: Text
    srid: int
    languages: tuple[str, ...]
    timezone: str
    country: str
    provider: Text
    provider_url: str
    contact_email: str
    licence: Text
    licence_url: str | None = None
    extent: Extent
    heights: Heights
    parcel_code: ParcelCode
    transformations: tuple[Transformation, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    names: dict[Identifier, Identifier] = Setting(default_factory=dict)
    codelists: dict[Identifier, Identifier] = Setting(default_factory=dict)
    fabric_off: tuple[str, ...] = ()
    payee: Payee | None = None

    @cached_property
    def crs(self) -> CRS:
        """The city's projected CRS; raises ContractError if it is not projected."""
        from pyproj import CRS

        found = CRS.from_epsg(self.srid)
        if not found.is_projected:
            where = f"schemas/cities/{self.id}.toml"
            raise ContractError(f"srid {self.srid} is not a projected CRS", where=where)
        return found

    @cached_property
    def metres_per_unit(self) -> float:
        """Metres in one unit of the CRS (0.3048006... for US survey feet)."""
        return float(self.crs.axis_info[0].unit_conversion_factor)

    @property
    def crs_uri(self) -> str:
        """The OGC URI of the city's CRS."""
        return f"http://www.opengis.net/def/crs/EPSG/0/{self.srid}"

    def operation(self, source: CRS) -> Operation:
        """The way of coordinates from ``source`` to the city's CRS.

        Raises NoOperationError where the datum changes and the profile pins no operation for it.
        """
        from pipeline import operations

        pins = tuple((t.source, t.operation, t.accuracy_m) for t in self.transformations)
        return operations.find(source, self.crs, pins)

    def published(self, column: str) -> str:
        """The name clients see for a database column."""
        return self.names.get(column, column)
