"""QGIS styles (QML) of one layer: symbols, labels, and codes and columns in words."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from pipeline.contracts.audience import Audience
from pipeline.contracts.registry import Schemas
from pipeline.derive import views
from pipeline.derive.symbols import LABELS_FROM, Drawing, Symbol, scale

_VERSION = "3.22.16-Białowieża"
_MM_PER_PIXEL = 0.28
_KINDS = {"area": ("fill", "SimpleFill", "2"), "line": ("line", "SimpleLine", "1"),
          "point": ("marker", "SimpleMarker", "0")}  # fmt: skip
_HEAD = b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
Pairs = Iterable[tuple[str, str]]


def style(schemas: Schemas, one: Drawing, audience: Audience, language: str) -> bytes:
    """The document, with the words of ``language``."""
    categories = "Symbology|Labeling|Fields|Forms|Rendering"
    root = ET.Element("qgis", {"version": _VERSION, "styleCategories": categories})
    first = one.layer.publish.min_zoom
    root.set("hasScaleBasedVisibilityFlag", "1")
    root.set("minScale", f"{scale(first - 1) if first else 1e9:.0f}")
    root.set("maxScale", "0")
    _renderer(root, one, language)
    if one.label:
        _labels(root, one)
    _fields(root, schemas, one, audience, language)
    ET.SubElement(root, "layerGeometryType").text = _KINDS[one.kind][2]
    ET.indent(root)
    body: bytes = ET.tostring(root, encoding="UTF-8")
    return _HEAD + body


def _renderer(root: ET.Element, one: Drawing, language: str) -> None:
    kind = "singleSymbol" if one.single else "categorizedSymbol"
    renderer = ET.SubElement(
        root, "renderer-v2", {"type": kind, "forceraster": "0", "symbollevels": "0"}
    )
    if one.field:
        renderer.set("attr", one.field)
        categories = ET.SubElement(renderer, "categories")
        for number, symbol in enumerate(one.symbols):
            category = ET.SubElement(categories, "category", {"symbol": str(number)})
            category.set("value", symbol.code or "")
            category.set("label", symbol.title.of(language))
            category.set("render", "true")
    symbols = ET.SubElement(renderer, "symbols")
    for number, symbol in enumerate(one.symbols):
        _symbol(symbols, one, symbol, str(number))


def _symbol(parent: ET.Element, one: Drawing, symbol: Symbol, name: str) -> None:
    kind, drawn, _ = _KINDS[one.kind]
    look = symbol.look
    made = ET.SubElement(
        parent, "symbol", {"name": name, "type": kind, "alpha": f"{look.opacity:g}"}
    )
    layer = ET.SubElement(made, "layer", {"class": drawn, "enabled": "1", "locked": "0"})
    layer.set("pass", "0")
    width = f"{look.width * _MM_PER_PIXEL:.3f}"
    if one.kind == "line":
        _options(layer, (("line_color", _rgb(look.stroke)), ("line_width", width),
                         ("line_width_unit", "MM"), ("capstyle", "round"),
                         ("joinstyle", "round")))  # fmt: skip
        return
    fill = look.fill or (look.stroke if one.kind == "point" else None)
    values = [
        ("color", _rgb(fill or "#ffffff")),
        ("outline_color", _rgb(look.stroke)),
        ("outline_style", "solid"),
        ("outline_width", width),
        ("outline_width_unit", "MM"),
    ]
    if one.kind == "area":
        values.append(("style", "solid" if fill else "no"))
    else:
        values += [("name", "circle"), ("size", "2.4"), ("size_unit", "MM")]
    _options(layer, values)


def _rgb(colour: str) -> str:
    return ",".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5)) + ",255"


def _options(parent: ET.Element, values: Pairs) -> None:
    """Both forms that QGIS has written its values in."""
    options = ET.SubElement(parent, "Option", {"type": "Map"})
    for name, value in values:
        ET.SubElement(options, "Option", {"name": name, "value": value, "type": "QString"})
    for name, value in values:
        ET.SubElement(parent, "prop", {"k": name, "v": value})


def _labels(root: ET.Element, one: Drawing) -> None:
    settings = ET.SubElement(ET.SubElement(root, "labeling", {"type": "simple"}), "settings")
    text = ET.SubElement(
        settings, "text-style", {"fieldName": one.label or "", "isExpression": "0"}
    )
    text.set("fontFamily", "Vazirmatn")
    text.set("fontSize", "9")
    text.set("fontSizeUnit", "Point")
    text.set("textColor", _rgb("#16242b"))
    halo = {"bufferDraw": "1", "bufferSize": "0.8", "bufferColor": _rgb("#ffffff")}
    ET.SubElement(text, "text-buffer", {**halo, "bufferSizeUnits": "MM"})
    # Along a line, not curved: QGIS sets the letters of a curved label one by one, unjoined.
    placement = {"area": "1", "line": "2", "point": "6"}[one.kind]
    ET.SubElement(settings, "placement", {"placement": placement})
    limits = {"scaleVisibility": "1", "scaleMin": "0", "drawLabels": "1"}
    ET.SubElement(settings, "rendering", {**limits, "scaleMax": f"{scale(LABELS_FROM - 1):.0f}"})


def _fields(
    root: ET.Element, schemas: Schemas, one: Drawing, audience: Audience, language: str
) -> None:
    """Codes as a list to choose from, columns by their titles."""
    shown = views.published_fields(schemas, one.layer, audience)
    configured = ET.SubElement(root, "fieldConfiguration")
    aliases = ET.SubElement(root, "aliases")
    for number, (name, field) in enumerate(shown.items()):
        alias = {"field": name, "name": field.title.of(language), "index": str(number)}
        ET.SubElement(aliases, "alias", alias)
        codes = schemas.codes(field)
        if not codes:
            continue
        widget = ET.SubElement(
            ET.SubElement(configured, "field", {"name": name}), "editWidget", {"type": "ValueMap"}
        )
        whole = ET.SubElement(ET.SubElement(widget, "config"), "Option", {"type": "Map"})
        listed = ET.SubElement(whole, "Option", {"name": "map", "type": "List"})
        for code, words in codes.entries.items():
            pair = ET.SubElement(listed, "Option", {"type": "Map"})
            said = {"name": words.of(language), "value": code, "type": "QString"}
            ET.SubElement(pair, "Option", said)
