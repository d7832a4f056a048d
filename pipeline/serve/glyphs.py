"""Letters for MapLibre's labels: signed distance fields of the font that the pages use, as PBF.

The format is that of MapLibre's ``glyphs`` (protobuf; 24 pixels an em, a margin of 3, 64 levels
below and 192 above the outline); fonts come from this server alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pipeline.derive.style_maplibre import FONT
from pipeline.serve import answers, wanted
from pipeline.serve.errors import missing

_FILES = {FONT: "Vazirmatn-Regular.ttf", f"{FONT} Bold": "Vazirmatn-Bold.ttf"}
_SIZE, _MARGIN = 24, 3
#: Where MapLibre supposes the top of a line, in pixels above its baseline.
_ASCENDER = 26
_FINER = 8
_RADIUS, _CUT = 8, 0.25
_RANGE = 256
_PBF = "application/x-protobuf"


async def glyphs(request: Request) -> Response:
    """GET /fonts/{fontstack}/{first}-{last}.pbf."""
    wanted.parameters(request, ())
    found = [name for name in request.path_params["fontstack"].split(",") if name in _FILES]
    first, _, last = request.path_params["range"].partition("-")
    if not found:
        raise missing(f"there is no such font; there is {', '.join(_FILES)}")
    if not (first.isdigit() and last.isdigit()) or int(first) % _RANGE or len(first) > 6:
        raise missing("glyphs come in ranges such as 0-255")
    if int(last) != int(first) + _RANGE - 1:
        raise missing("glyphs come in ranges such as 0-255")
    folder = answers.site_of(request).config["server"]["templates"]["static"]
    path = Path(folder) / "vendor" / "vazirmatn" / _FILES[found[0]]
    if not path.is_file():
        raise missing("the font is missing on this server (npm run vendor)")
    body = await run_in_threadpool(_range, path, found[0], int(first))
    return answers.data(body, _PBF)


@lru_cache(maxsize=64)
def _range(path: Path, name: str, first: int) -> bytes:
    large = ImageFont.truetype(path, _SIZE * _FINER, layout_engine=ImageFont.Layout.BASIC)
    empty = large.getmask("\uffff").getbbox(), large.getlength("\uffff")
    stack = _field(1, name.encode()) + _field(2, f"{first}-{first + _RANGE - 1}".encode())
    for code in range(first, first + _RANGE):
        letter = chr(code)
        if 0xD800 <= code <= 0xDFFF or code > 0xFFFF:
            continue
        if (large.getmask(letter).getbbox(), large.getlength(letter)) != empty:
            stack += _field(3, _glyph(large, code))
    return _field(1, stack)


def _glyph(font: ImageFont.FreeTypeFont, code: int) -> bytes:
    letter = chr(code)
    left, top, right, bottom = (round(edge / _FINER) for edge in _box(font, letter))
    width, height = right - left, bottom - top
    ascent, _ = font.getmetrics()
    parts = [_number(1, code)]
    if width > 0 and height > 0:
        parts.append(_field(2, _distances(font, letter, (left, top, width, height)).tobytes()))
    parts += [
        _number(3, max(width, 0)),
        _number(4, max(height, 0)),
        _number(5, _zigzag(left)),
        _number(6, _zigzag(round(ascent / _FINER) - _ASCENDER - top)),
        _number(7, round(font.getlength(letter) / _FINER)),
    ]
    return b"".join(parts)


def _box(font: ImageFont.FreeTypeFont, letter: str) -> tuple[float, float, float, float]:
    left, top, right, bottom = font.getbbox(letter)
    return (
        np.floor(left / _FINER) * _FINER,
        np.floor(top / _FINER) * _FINER,
        np.ceil(right / _FINER) * _FINER,
        np.ceil(bottom / _FINER) * _FINER,
    )


def _distances(
    font: ImageFont.FreeTypeFont, letter: str, box: tuple[int, int, int, int]
) -> npt.NDArray[np.uint8]:
    """How far each pixel is from the outline: 192 on it, more inside, less outside."""
    left, top, width, height = box
    size = ((width + 2 * _MARGIN) * _FINER, (height + 2 * _MARGIN) * _FINER)
    image = Image.new("L", size)
    place = ((_MARGIN - left) * _FINER, (_MARGIN - top) * _FINER)
    ImageDraw.Draw(image).text(place, letter, font=font, fill=255)
    inside = (np.asarray(image) > 127).astype(np.uint8)
    outside, within = (
        np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
        for mask in (1 - inside, inside)
    )
    fine = (outside - within) / _FINER
    coarse = cv2.resize(fine, None, fx=1 / _FINER, fy=1 / _FINER, interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(255 - 255 * (coarse / _RADIUS + _CUT)), 0, 255).astype(np.uint8)


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _varint(value: int) -> Iterator[int]:
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3, *_varint(value)])


def _field(field: int, body: bytes) -> bytes:
    return bytes([field << 3 | 2, *_varint(len(body))]) + body
