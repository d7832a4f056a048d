"""MapLibre styles (style specification, version 8) of drawings, the lowest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.contracts.layer import StyleClass
from pipeline.derive.symbols import LABELS_FROM, Drawing

FONT = "Vazirmatn"
_HALO, _TEXT = "#ffffff", "#16242b"
_RADIUS = 4
Json = dict[str, Any]


def style(
    drawings: Sequence[Drawing], title: str, *, tilejson: str, base: str, language: str
) -> Json:
    """The style of ``drawings`` over the tiles of the address ``tilejson``; fonts come from the
    server at ``base``."""
    layers = [layer for one in drawings for layer in _shapes(one)]
    layers += [layer for one in drawings for layer in _labels(one)]
    fonts = f"{base}/static/vendor/vazirmatn/Vazirmatn-Regular.ttf"
    return {
        "version": 8,
        "name": title,
        "metadata": {"makan:legend": {one.name: legend(one, language) for one in drawings}},
        "sources": {"makan": {"type": "vector", "url": tilejson}},
        "glyphs": f"{base}/fonts/{{fontstack}}/{{range}}.pbf",
        "font-faces": {FONT: fonts},
        "layers": [
            {
                "id": "background",
                "type": "background",
                "paint": {"background-color": "#ffffff"},
            },
            *layers,
        ],
    }


def legend(one: Drawing, language: str) -> list[Json]:
    """What the colours mean, in words."""
    return [
        {
            "code": symbol.code,
            "title": symbol.title.of(language),
            "fill": symbol.fill,
            "stroke": symbol.look.stroke,
        }
        for symbol in one.symbols
    ]


def _of(one: Drawing, kind: str, ending: str, paint: Json, **more: Any) -> Json:
    return {
        "id": f"{one.name}{ending}",
        "type": kind,
        "source": "makan",
        "source-layer": one.name,
        "minzoom": one.layer.publish.min_zoom,
        **more,
        "paint": paint,
    }


def _shapes(one: Drawing) -> list[Json]:
    stroke = _by(one, lambda look: look.stroke)
    width, opacity = _by(one, lambda look: look.width), _by(one, lambda look: look.opacity)
    line = {"line-color": stroke, "line-width": width, "line-opacity": opacity}
    if one.kind == "point":
        circle = {
            "circle-color": _by(one, lambda look: look.fill or look.stroke),
            "circle-radius": _RADIUS,
            "circle-stroke-color": stroke,
            "circle-stroke-width": 1,
            "circle-opacity": opacity,
        }
        return [_of(one, "circle", "", circle)]
    if one.kind == "line":
        return [_of(one, "line", "", line, layout={"line-cap": "round", "line-join": "round"})]
    found = []
    if any(symbol.fill for symbol in one.symbols):
        fill = {
            "fill-color": _by(one, lambda look: look.fill or "rgba(0, 0, 0, 0)"),
            "fill-opacity": opacity,
            # Neighbours touch: a smooth edge would let the ground shine through between them.
            "fill-antialias": False,
        }
        found.append(_of(one, "fill", "", fill))
    return [*found, _of(one, "line", "-outline", line, minzoom=one.outlined_from)]


def _labels(one: Drawing) -> list[Json]:
    if one.label is None:
        return []
    layout: Json = {
        "text-field": ["coalesce", ["get", one.label], ""],
        "text-font": [FONT],
        "text-size": 12,
    }
    if one.kind == "line":
        layout["symbol-placement"] = "line"
    if one.kind == "point":
        layout |= {"text-anchor": "top", "text-offset": [0, 0.6]}
    paint = {"text-color": _TEXT, "text-halo-color": _HALO, "text-halo-width": 1.5}
    first = max(LABELS_FROM if one.kind != "area" else LABELS_FROM + 1, one.outlined_from)
    if one.layer.publish.feature_zoom is None:
        first = max(one.layer.publish.min_zoom, 11)
    return [_of(one, "symbol", "-label", paint, layout=layout, minzoom=first)]


def _by(one: Drawing, value: Callable[[StyleClass], Any]) -> Any:
    """``value`` of each class, as an expression over the field; one value where all are alike."""
    values = {symbol.code: value(symbol.look) for symbol in one.symbols}
    rest = values.pop(None)
    differing = {code: found for code, found in values.items() if found != rest}
    if one.field is None or not differing:
        return rest
    pairs = [part for code, found in differing.items() for part in (code, found)]
    return ["match", ["coalesce", ["get", one.field], ""], *pairs, rest]
