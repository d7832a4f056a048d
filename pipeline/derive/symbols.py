"""How a layer is drawn, class by class with its words: what every style and legend derives from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.contracts.audience import Audience
from pipeline.contracts.base import Text
from pipeline.contracts.layer import LayerContract, StyleClass
from pipeline.contracts.registry import Schemas

Kind = Literal["area", "line", "point"]
#: From this zoom level on features are named on maps.
LABELS_FROM = 16
_REST = Text(en="Other", fa="سایر")
#: The scale of zoom level 0 of web mercator, pixels of 0.28 mm, at the equator.
_SCALE_0 = 559_082_264.0287


@dataclass(frozen=True)
class Symbol:
    """One class: its ``code`` (None: all others, or every feature), its words, how it looks."""

    code: str | None
    title: Text
    look: StyleClass

    @property
    def fill(self) -> str | None:
        """The colour inside, #rrggbb."""
        return self.look.fill


@dataclass(frozen=True)
class Drawing:
    """A layer drawn for an audience: ``field`` and ``label`` are published names."""

    layer: LayerContract
    name: str
    title: Text
    kind: Kind
    field: str | None
    label: str | None
    symbols: tuple[Symbol, ...]

    @property
    def single(self) -> bool:
        """Whether every feature looks alike."""
        return self.field is None

    @property
    def outlined_from(self) -> int:
        """From which zoom level areas have outlines: those from afar are too small for any."""
        publish = self.layer.publish
        return publish.feature_zoom or publish.min_zoom


def drawing(schemas: Schemas, layer: LayerContract, audience: Audience) -> Drawing:
    """The drawing of ``layer``: where ``audience`` does not see the field that the style draws by,
    every feature looks like the rest."""
    seen = {field.name for field in audience.fields(layer)}
    style, city = layer.style, schemas.city
    by = style.field if style.field in seen else None
    label = layer.publish.label
    return Drawing(
        layer=layer,
        name=layer.publish.collection,
        title=layer.title,
        kind=_kind(layer),
        field=city.published(by) if by else None,
        label=city.published(label) if label in seen else None,
        symbols=tuple(_symbols(schemas, layer, by)),
    )


def _symbols(schemas: Schemas, layer: LayerContract, by: str | None) -> list[Symbol]:
    classes = layer.style.classes
    rest = next((one for one in classes if one.code is None), StyleClass(fill="#cccccc"))
    if by is None:
        return [Symbol(None, layer.title, rest)]
    codes = schemas.codes(layer.field(by))
    words = dict(codes.entries) if codes else {}
    found = [
        Symbol(one.code, words.get(one.code, Text(en=one.code, fa=one.code)), one)
        for one in classes
        if one.code is not None and (not words or one.code in words)
    ]
    return [*found, Symbol(None, _REST, rest)]


def _kind(layer: LayerContract) -> Kind:
    kind = layer.geometry.type if layer.geometry else "Point"
    if "Polygon" in kind:
        return "area"
    return "line" if "Line" in kind else "point"


def scale(zoom: int) -> float:
    """The denominator of the scale of a zoom level, as SLD and QGIS count it."""
    return _SCALE_0 / (1 << zoom)
