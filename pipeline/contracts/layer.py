"""The layer contract: one file of schemas/layers/, from which all else about a layer derives."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field as Setting
from pydantic import model_validator

from pipeline.contracts.base import CollectionId, Frozen, Identifier, Text
from pipeline.contracts.fabric import FabricRule
from pipeline.contracts.field import Field, Personal, Privacy
from pipeline.contracts.lineage import Lineage, Succession

GeometryType = Literal[
    "Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"
]
Severity = Literal["error", "warning", "info"]
Source = Literal["feed", "process", "view", "log"]
Operation = Literal["create", "replace", "update", "delete"]


class Geometry(Frozen):
    """A layer's geometry: always of ``type`` (single parts are promoted), 2D unless ``z`` is kept.

    ``min_area_m2``/``min_length_m``/``min_width_m``: smaller ones are slivers (a warning); an area
    is as wide as the rectangle with its area and perimeter.
    ``max_repair_share``: how much of its area a repair may change before the row is quarantined.
    ``close_gap_m``: a gap up to which rings, and lines round an area, are closed.
    ``z``: heights are dropped (and counted), rows that have some are refused, or they are kept, and
    rows without are refused: then the geometry is 3D.
    ``may_repeat``: several rows may have the same geometry (flats of one house share a point).
    """

    type: GeometryType
    required: bool = True
    min_area_m2: float | None = None
    min_length_m: float | None = None
    min_width_m: float | None = None
    max_repair_share: float = 0.01
    close_gap_m: float = 0.005
    z: Literal["drop", "refuse", "keep"] = "drop"
    may_repeat: bool = False

    @property
    def is_high(self) -> bool:
        """Whether its points have heights."""
        return self.z == "keep"

    @property
    def dimension(self) -> Literal[2, 3]:
        """Coordinates of a point."""
        return 3 if self.is_high else 2

    @property
    def gdal_type(self) -> str:
        """What GDAL calls it."""
        return f"{self.type} Z" if self.is_high else self.type


class Relief(Frozen):
    """The rows tell the height of the ground, from which elevation models are made.

    ``height`` is the field of a contour's or a spot's height; breaklines have it in their points.
    Heights that are not between those of the city's profile are refused.
    """

    role: Literal["level_line", "spot", "break_line"]
    height: Identifier | None = None


class Rule(Frozen):
    """A check over several fields of one row.

    ``compare``: left op right, where both are given; ``tolerance`` (share of right) widens it, by
    ``slack`` (in the unit of the fields) at least.
    ``requires``: where left is given, right must be given too.
    """

    id: Identifier
    kind: Literal["compare", "requires"]
    left: Identifier
    right: Identifier
    op: Literal["<", "<=", "=", ">=", ">"] = "="
    tolerance: float = 0.0
    slack: float = 0.0
    severity: Severity = "warning"
    title: Text


class Limits(Frozen):
    """What a delivery may be like before it is refused; ``max_rows`` is only warned of.

    The shares compare it with the feed's last one: rows that no longer come, rows outside its
    extent, how much more often a field is empty, and the loss of total area or length. From
    a tenth of each on there is a warning.
    """

    min_rows: int = 1
    max_rows: int | None = None
    max_drop_share: float = 0.5
    max_outside_share: float = 0.5
    max_null_rise: float = 0.5
    max_measure_drop: float = 0.5


class Publish(Frozen):
    """How the layer is served; ``label`` is the field that names a feature to people.

    From ``min_zoom`` on there are tiles. Below ``feature_zoom`` they hold what the layer looks like
    from afar (classes of the style, no single features), from it on the features themselves; at
    it only with their class, further in with all ``tile_fields``.

    ``within``: a view whose features lie where those of this layer do, so nobody needs to compute
    all of it to know where it is.
    """

    collection: CollectionId
    within: Identifier | None = None
    label: Identifier | None = None
    default_limit: int = 100
    max_limit: int = 10_000
    precision_m: float = 0.001
    time: Identifier | None = None
    tiles: bool = True
    min_zoom: int = 10
    feature_zoom: int | None = None
    max_zoom: int = 20
    tile_fields: tuple[Identifier, ...] = ()
    keywords: tuple[str, ...] = ()
    stac: dict[str, Identifier] = Setting(default_factory=dict)

    @property
    def levels(self) -> range:
        """Zoom levels at which the layer is generalised."""
        return range(self.min_zoom, self.feature_zoom or self.min_zoom)

    @model_validator(mode="after")
    def _zooms_rise(self) -> Self:
        if not 0 <= self.min_zoom <= (self.feature_zoom or self.min_zoom) <= self.max_zoom <= 22:
            raise ValueError("0 <= min_zoom <= feature_zoom <= max_zoom <= 22 does not hold")
        return self


class StyleClass(Frozen):
    """How one code (or, without ``code``, every feature) is drawn; colours are #rrggbb. Tiles hold
    it from ``min_zoom`` on."""

    code: str | None = None
    fill: str | None = Setting(default=None, pattern=r"^#[0-9a-f]{6}$")
    stroke: str = Setting(default="#555555", pattern=r"^#[0-9a-f]{6}$")
    width: float = 1.0
    opacity: float = 1.0
    min_zoom: int = 0


class Style(Frozen):
    """Symbol classes over the codes of ``field``; the class without code draws the rest."""

    field: Identifier | None = None
    classes: tuple[StyleClass, ...] = (StyleClass(),)


class LayerContract(Frozen):
    """The whole contract of one layer.

    ``key`` identifies a row across deliveries; ``after`` names layers that load first;
    ``privacy`` is the lowest class any field is published at (a P1 layer has no public view).
    ``source`` says who fills it: deliveries of a ``feed``, a ``process`` of Makan, or nobody, since
    it is a ``view`` over other tables (schemas/views/) or the ``log`` of what loads have changed.
    ``writable`` says what each audience may do to single rows, over the API and with a key that
    allows it. ``guards`` are functions of the database that watch its rows, and refuse what
    contradicts others. ``relief``: its rows are heights of the ground.
    """

    id: Identifier
    title: Text
    description: Text
    theme: Identifier
    steward: Text
    standard: str | None = None
    privacy: Privacy = "P0"
    source: Source = "feed"
    key: tuple[Identifier, ...] = ()
    after: tuple[Identifier, ...] = ()
    geometry: Geometry | None = None
    publish: Publish
    limits: Limits = Limits()
    fields: tuple[Field, ...]
    personal: tuple[Personal, ...] = ()
    rules: tuple[Rule, ...] = ()
    fabric: tuple[FabricRule, ...] = ()
    guards: tuple[Identifier, ...] = ()
    lineage: Lineage | None = None
    succession: Succession | None = None
    writable: dict[Identifier, tuple[Operation, ...]] = Setting(default_factory=dict)
    style: Style = Style()
    relief: Relief | None = None

    def field(self, name: str) -> Field:
        """The field called ``name``; KeyError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [field.name for field in self.fields]
        every = names + [one.name for one in self.personal]
        doubled = {name for name in every if every.count(name) > 1}
        if doubled:
            raise ValueError(f"fields named twice: {', '.join(sorted(doubled))}")
        used = [*self.key, *self.publish.tile_fields]
        used += [name for rule in self.rules for name in (rule.left, rule.right)]
        used += [name for rule in self.fabric for name in rule.own_fields]
        used += [field.numbers_of for field in self.fields if field.numbers_of]
        used += [self.lineage.field] if self.lineage else []
        used += [self.succession.state, self.succession.dated] if self.succession else []
        used += [self.relief.height] if self.relief and self.relief.height else []
        used += [n for n in (self.publish.label, self.publish.time, self.style.field) if n]
        unknown = [name for name in used if name not in names]
        if unknown:
            raise ValueError(f"no such field: {', '.join(unknown)}")
        if any(field.privacy == "P3" for field in self.fields):
            raise ValueError("what is personal (P3) stands in [[personal]]")
        if not self.key and self.source in ("feed", "process"):
            raise ValueError("a key is missing")
        if self.writable and self.source != "feed":
            raise ValueError("only rows of tables of the layer's own can be written")
        for name in self.key:
            if not self.field(name).required:
                raise ValueError(f"key field {name} must be required")
        return self

    @model_validator(mode="after")
    def _heights_are_there(self) -> Self:
        if self.relief is None:
            return self
        kept = self.geometry is not None and self.geometry.is_high
        if (self.relief.role == "break_line") != kept or kept != (self.relief.height is None):
            raise ValueError("breaklines keep z and need no height, contours and spots the reverse")
        if self.relief.height and self.field(self.relief.height).type != "number":
            raise ValueError(f"{self.relief.height} is no number")
        return self

    @model_validator(mode="after")
    def _seen_from_afar(self) -> Self:
        if self.publish.levels and (self.geometry is None or self.source != "feed"):
            raise ValueError("only what feeds load, and has a geometry, has a feature_zoom")
        return self
