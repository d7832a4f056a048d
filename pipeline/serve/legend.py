"""Legends as pictures: a patch of each class with its words, from right to left where they are
Persian."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from pipeline.derive.symbols import Drawing, Symbol

_LINE, _PATCH, _GAP, _EDGE = 26, (30, 18), 10, 12
_TEXT, _GROUND = "#16242b", "#ffffff"
_SIZE = 15


def font(config: dict[str, Any]) -> Path:
    """The font that pages and pictures use."""
    folder = Path(config["server"]["templates"]["static"])
    return folder / "vendor" / "vazirmatn" / "Vazirmatn-Regular.ttf"


def letters(path: Path, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font in ``size`` pixels; without the file a plain one that knows no Persian."""
    if path.is_file():
        return ImageFont.truetype(path, size)
    return ImageFont.load_default(size)


def png(drawings: Sequence[Drawing], language: str, path: Path) -> bytes:
    """The legend of ``drawings``, the uppermost first."""
    plain, heading = letters(path, _SIZE), letters(path, _SIZE + 1)
    lines: list[tuple[Drawing, Symbol | None]] = []
    for one in reversed(drawings):
        if not one.single or len(drawings) == 1:
            lines.append((one, None))
        lines += [(one, symbol) for symbol in one.symbols]
    words = [symbol.title if symbol else one.title for one, symbol in lines]
    said = [text.of(language) for text in words]
    width = round(max(plain.getlength(text) for text in said)) + _PATCH[0] + 3 * _GAP + 2 * _EDGE
    image = Image.new("RGB", (width, _LINE * len(lines) + 2 * _EDGE), _GROUND)
    draw = ImageDraw.Draw(image)
    leftward = language == "fa"
    for number, ((one, symbol), text) in enumerate(zip(lines, said, strict=True)):
        top = _EDGE + number * _LINE
        used = plain if symbol else heading
        x = _EDGE if symbol is None else _EDGE + _PATCH[0] + _GAP
        place = (width - x, top + _LINE // 2) if leftward else (x, top + _LINE // 2)
        draw.text(place, text, font=used, fill=_TEXT, anchor="rm" if leftward else "lm")
        if symbol:
            left = width - _EDGE - _PATCH[0] if leftward else _EDGE
            _patch(draw, one, symbol, (left, top + (_LINE - _PATCH[1]) // 2))
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _patch(
    draw: ImageDraw.ImageDraw, one: Drawing, symbol: Symbol, corner: tuple[int, int]
) -> None:
    """A sample of how the class looks."""
    (x, y), (width, height) = corner, _PATCH
    look = symbol.look
    line = max(1, round(look.width))
    if one.kind == "area":
        box = (x, y, x + width, y + height)
        draw.rectangle(box, fill=mixed(look.fill, look.opacity), outline=look.stroke, width=line)
    elif one.kind == "line":
        middle = y + height // 2
        draw.line((x, middle, x + width, middle), fill=look.stroke, width=line)
    else:
        middle, centre, radius = y + height // 2, x + width // 2, 5
        box = (centre - radius, middle - radius, centre + radius, middle + radius)
        draw.ellipse(box, fill=look.fill or look.stroke, outline=look.stroke)


def mixed(colour: str | None, opacity: float) -> tuple[int, int, int] | None:
    """``colour`` over white paper."""
    if colour is None:
        return None
    red, green, blue = (
        round(int(colour[at : at + 2], 16) * opacity + 255 * (1 - opacity)) for at in (1, 3, 5)
    )
    return red, green, blue
