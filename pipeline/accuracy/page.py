"""The accuracy report as one HTML page, in English or Persian, with a plot of the differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.accuracy.numbers import ENOUGH, Accuracy
from pipeline.accuracy.points import Points

_SIDE, _MARGIN, _ARROW = 420.0, 30.0, 40.0
_FOLDER = Path(__file__).parent / "templates"


def page(product: str, made: str, points: Points, found: Accuracy, language: str) -> str:
    """A page that needs nothing else; texts of ``language`` (en, fa)."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("accuracy.html").render(
        product=product, made=made, found=found, enough=ENOUGH, fa=language == "fa",
        plot=Markup(plot(points)), left_out=points.left_out,  # noqa: S704 - numbers only
    )  # fmt: skip


def plot(points: Points) -> str:
    """An SVG map: each point with its difference as an arrow (vertical ones up or down)."""
    low = points.places.min(axis=0)
    span = float(max((points.places.max(axis=0) - low).max(), 1e-9))
    at = (points.places - low) / span * (_SIDE - 2 * _MARGIN) + _MARGIN
    shown = points.differences
    if shown.shape[1] == 1:
        shown = np.column_stack([np.zeros(len(shown)), shown[:, 0]])
    longest = float(max(np.hypot(*shown.T).max(), 1e-9))
    tips = at + shown / longest * _ARROW
    lines = [
        f'<line x1="{x:.1f}" y1="{_SIDE - y:.1f}" x2="{u:.1f}" y2="{_SIDE - v:.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{_SIDE - y:.1f}" r="2.5"/>'
        for (x, y), (u, v) in zip(at, tips, strict=True)
    ]
    scale = f'<text x="8" y="{_SIDE - 6:.0f}">{longest:.3f} m</text>'
    bar = f'<line class="scale" x1="8" y1="{_SIDE - 24:.0f}" x2="48" y2="{_SIDE - 24:.0f}"/>'
    size = f"{_SIDE:.0f}"
    return f'<svg viewBox="0 0 {size} {size}" width="{size}">{"".join(lines)}{bar}{scale}</svg>'
