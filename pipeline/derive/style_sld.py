"""Styled Layer Descriptors (OGC SLD 1.0.0) of drawings, for GeoServer, QGIS and MapServer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from pipeline.derive.symbols import LABELS_FROM, Drawing, Symbol, scale

_SLD = "http://www.opengis.net/sld"
_OGC = "http://www.opengis.net/ogc"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_PLACE = f"{_SLD} http://schemas.opengis.net/sld/1.0.0/StyledLayerDescriptor.xsd"
_FONT = "Vazirmatn"
_POINT_SIZE = 8


def style(drawings: Sequence[Drawing], language: str) -> bytes:
    """The document, with the words of ``language``."""
    for prefix, name in (("", _SLD), ("ogc", _OGC), ("xsi", _XSI)):
        ET.register_namespace(prefix, name)
    root = ET.Element(f"{{{_SLD}}}StyledLayerDescriptor", {"version": "1.0.0"})
    root.set(f"{{{_XSI}}}schemaLocation", _PLACE)
    for one in drawings:
        named = _add(root, "NamedLayer")
        _add(named, "Name", one.name)
        user = _add(named, "UserStyle")
        _add(user, "Name", one.name)
        _add(user, "Title", one.title.of(language))
        _add(user, "IsDefault", "1")
        rules = _add(user, "FeatureTypeStyle")
        for symbol in one.symbols:
            _rule(rules, one, symbol, language)
        if one.label:
            _label(rules, one)
    ET.indent(root)
    body: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return body


def _add(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    made = ET.SubElement(parent, f"{{{_SLD}}}{name}")
    made.text = text
    return made


def _ogc(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    made = ET.SubElement(parent, f"{{{_OGC}}}{name}")
    made.text = text
    return made


def _rule(parent: ET.Element, one: Drawing, symbol: Symbol, language: str) -> None:
    rule = _add(parent, "Rule")
    _add(rule, "Name", symbol.code or one.name)
    _add(rule, "Title", symbol.title.of(language))
    if symbol.code is not None and one.field:
        _equal(_ogc(rule, "Filter"), one.field, symbol.code)
    elif one.field:
        _rest(_ogc(rule, "Filter"), one.field, one.symbols)
    first = max(symbol.look.min_zoom, one.layer.publish.min_zoom)
    _add(rule, "MaxScaleDenominator", f"{scale(first - 1):.0f}" if first else "1000000000")
    _symbolizer(rule, one, symbol)


def _equal(parent: ET.Element, field: str, code: str) -> None:
    equal = _ogc(parent, "PropertyIsEqualTo")
    _ogc(equal, "PropertyName", field)
    _ogc(equal, "Literal", code)


def _rest(parent: ET.Element, field: str, symbols: Sequence[Symbol]) -> None:
    """What no other rule draws, said out: QGIS takes ElseFilter for no filter at all."""
    either = _ogc(parent, "Or")
    _ogc(_ogc(either, "PropertyIsNull"), "PropertyName", field)
    every = _ogc(either, "And")
    codes = [symbol.code for symbol in symbols if symbol.code is not None]
    for code in codes:
        differs = _ogc(every, "PropertyIsNotEqualTo")
        _ogc(differs, "PropertyName", field)
        _ogc(differs, "Literal", code)
    if len(codes) == 1:
        either.append(every[0])
        either.remove(every)


def _symbolizer(rule: ET.Element, one: Drawing, symbol: Symbol) -> None:
    look = symbol.look
    stroke = (
        ("stroke", look.stroke),
        ("stroke-width", f"{look.width:g}"),
        ("stroke-opacity", f"{look.opacity:g}"),
    )
    if one.kind == "line":
        _css(_add(_add(rule, "LineSymbolizer"), "Stroke"), stroke)
        return
    inside: ET.Element
    if one.kind == "point":
        graphic = _add(_add(rule, "PointSymbolizer"), "Graphic")
        inside = _add(graphic, "Mark")
        _add(inside, "WellKnownName", "circle")
    else:
        inside = _add(rule, "PolygonSymbolizer")
    fill = look.fill or (look.stroke if one.kind == "point" else None)
    if fill:
        _css(_add(inside, "Fill"), (("fill", fill), ("fill-opacity", f"{look.opacity:g}")))
    _css(_add(inside, "Stroke"), stroke)
    if one.kind == "point":
        _add(graphic, "Size", str(_POINT_SIZE))


def _css(parent: ET.Element, values: Sequence[tuple[str, str]]) -> None:
    for name, value in values:
        _add(parent, "CssParameter", value).set("name", name)


def _label(parent: ET.Element, one: Drawing) -> None:
    rule = _add(parent, "Rule")
    _add(rule, "Name", f"{one.name}-label")
    _add(rule, "MaxScaleDenominator", f"{scale(LABELS_FROM - 1):.0f}")
    text = _add(rule, "TextSymbolizer")
    _ogc(_add(text, "Label"), "PropertyName", one.label)
    _css(_add(text, "Font"), (("font-family", _FONT), ("font-size", "10")))
    if one.kind == "line":
        _add(_add(text, "LabelPlacement"), "LinePlacement")
    halo = _add(text, "Halo")
    _add(halo, "Radius", "1.5")
    _css(_add(halo, "Fill"), (("fill", "#ffffff"),))
    _css(_add(text, "Fill"), (("fill", "#16242b"),))


def names(document: bytes) -> Iterator[str]:
    """The layers that an SLD styles."""
    for named in ET.fromstring(document).iter(f"{{{_SLD}}}NamedLayer"):  # noqa: S314 - our own
        yield named.findtext(f"{{{_SLD}}}Name") or ""
