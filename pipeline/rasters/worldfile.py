"""World files (.tfw, .jgw, .wld ...): six lines that place an image; and finding them."""

from __future__ import annotations

import math
from pathlib import Path

from affine import Affine

_TERMS = 6


def parse(text: str) -> Affine:
    """The transform from pixel corners (column, row) to coordinates.

    A world file speaks of pixel centres: A, D, B, E, then x and y of the first pixel's centre.
    Raises ValueError naming the line that is wrong.
    """
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) != _TERMS:
        raise ValueError(f"has {len(lines)} lines instead of {_TERMS}")
    a, d, b, e, x, y = (_number(line, number) for number, line in enumerate(lines, start=1))
    if a * e - b * d == 0:
        raise ValueError("describes pixels without area")
    return Affine(a, b, x - a / 2 - b / 2, d, e, y - d / 2 - e / 2)


def _number(text: str, line: int) -> float:
    # Programs set to a European or Persian locale write the decimal point as a comma.
    try:
        value = float(text.replace(",", ".") if text.count(",") == 1 else text)
    except ValueError:
        raise ValueError(f"line {line} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"line {line} is not a finite number")
    return value


def text_of(transform: Affine) -> str:
    """The world file of a transform of pixel corners."""
    a, b, _, d, e, _ = transform[:6]
    x, y = transform @ (0.5, 0.5)
    return "".join(f"{value!r}\n" for value in (a, d, b, e, x, y))


def sibling(path: Path, endings: tuple[str, ...]) -> Path | None:
    """The file beside ``path`` with the same name and one of ``endings``, in upper or lower case.

    An ending that starts with the raster's own (``.tif.aux.xml``) is looked for after the whole
    name, any other after the stem.
    """
    wanted = [f"{path.name}{ending}".lower() for ending in endings]
    wanted += [f"{path.stem}{ending}".lower() for ending in endings]
    found = {other.name.lower(): other for other in path.parent.iterdir() if other != path}
    for name in wanted:
        if name in found and found[name].is_file():
            return found[name]
    return None


def find(path: Path) -> Path | None:
    """The world file of ``path``: .tfw, .tifw or .wld for a .tif."""
    ending = path.suffix.lower().lstrip(".")
    short = f".{ending[0]}{ending[-1]}w" if ending else ".wld"
    return sibling(path, (short, f".{ending}w", ".wld"))
