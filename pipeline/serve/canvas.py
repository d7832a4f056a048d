"""A picture that shapes are painted on, with smooth edges: numpy and OpenCV, letters by Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image, ImageDraw

from pipeline.derive.symbols import Symbol
from pipeline.geo import Geometries
from pipeline.serve import legend

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
_SHIFT = 4
_FAR = 30_000.0
_RADIUS = 4.0
_LETTERS = 13
_TEXT, _HALO = (22, 36, 43, 255), (255, 255, 255, 230)
_PAPER = 255


def rgb(colour: str) -> tuple[int, int, int]:
    """#rrggbb as numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


class Canvas:
    """Colours (h, w, 3) and how far each pixel is covered (h, w)."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Of ``size`` (width, height), empty."""
        width, height = size
        self.size = size
        self.colours = np.full((height, width, 3), _PAPER, np.uint8)
        self.cover = np.zeros((height, width), np.uint8)
        self._taken: list[tuple[float, float, float, float]] = []

    def picture(self, pixels: Pixels) -> None:
        """Lays ``pixels`` (h, w, 4: red, green, blue, cover) over what is there."""
        self._over(pixels[..., 3], pixels[..., :3], (slice(None), slice(None)))

    def areas(self, shapes: Geometries, symbol: Symbol, *, outlined: bool) -> None:
        """Areas (in pixels) of one class."""
        parts = shapely.get_parts(shapes)
        rings, owners = shapely.get_rings(parts, return_index=True)
        lines = _lines(rings)
        starts = np.flatnonzero(np.diff(owners, prepend=-1)).tolist()
        look = symbol.look
        if look.fill:
            mask = np.zeros_like(self.cover)
            for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True):
                cv2.fillPoly(mask, lines[begin:end], 255, cv2.LINE_AA, _SHIFT)
            self._paint(mask, look.fill, look.opacity)
        if outlined:
            self._stroke(lines, symbol, closed=True)

    def lines(self, shapes: Geometries, symbol: Symbol) -> None:
        """Lines (in pixels) of one class."""
        self._stroke(_lines(shapely.get_parts(shapes)), symbol, closed=False)

    def points(self, places: Points, symbol: Symbol) -> None:
        """Points (n, 2, in pixels) of one class."""
        look = symbol.look
        inside, ring = np.zeros_like(self.cover), np.zeros_like(self.cover)
        radius = round(_RADIUS * (1 << _SHIFT))
        for x, y in _fixed(places).tolist():
            cv2.circle(ring, (x, y), radius + (1 << _SHIFT), 255, -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(inside, (x, y), radius, 255, -1, cv2.LINE_AA, _SHIFT)
        self._paint(ring, look.stroke, look.opacity)
        self._paint(inside, look.fill or look.stroke, look.opacity)

    def words(self, texts: Sequence[tuple[str, float, float, float]], font: Path) -> None:
        """Each text at its x and y, turned by so many degrees; one that would lie on another, or
        leave the picture, is left out."""
        letters = legend.letters(font, _LETTERS)
        over = Image.new("RGBA", self.size)
        for text, x, y, angle in texts:
            left, top, right, bottom = letters.getbbox(text, stroke_width=2)
            word = Image.new("RGBA", (round(right - left) + 2, round(bottom - top) + 2))
            pen = ImageDraw.Draw(word)
            place = (1 - left, 1 - top)
            pen.text(place, text, font=letters, fill=_TEXT, stroke_width=2, stroke_fill=_HALO)
            if angle:
                word = word.rotate(angle, Image.Resampling.BICUBIC, expand=True)
            corner = (round(x - word.width / 2), round(y - word.height / 2))
            if self._free(corner, word.size):
                over.alpha_composite(word, corner)
        self.picture(np.asarray(over))

    def _free(self, corner: tuple[int, int], size: tuple[int, int]) -> bool:
        box = (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
        if box[0] < 0 or box[1] < 0 or box[2] > self.size[0] or box[3] > self.size[1]:
            return False
        if any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for other in self._taken
        ):
            return False
        self._taken.append(box)
        return True

    def _stroke(self, lines: list[npt.NDArray[np.int32]], symbol: Symbol, *, closed: bool) -> None:
        look = symbol.look
        mask = np.zeros_like(self.cover)
        wide = max(1, round(look.width))
        cv2.polylines(mask, lines, closed, 255, wide, cv2.LINE_AA, _SHIFT)
        # A line thinner than a pixel is a fainter one.
        self._paint(mask, look.stroke, look.opacity * min(1.0, max(look.width, 0.4)))

    def _paint(self, mask: Pixels, colour: str, opacity: float) -> None:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        cover = mask[part] if opacity >= 1 else (mask[part] * opacity).astype(np.uint8)
        self._over(cover, np.array(rgb(colour), np.uint8), part)

    def _over(self, cover: Pixels, colours: Pixels, part: tuple[slice, slice]) -> None:
        """Porter and Duff's over, with 255 for whole, where there is any cover at all."""
        here = cover > 0
        ground, below = self.colours[part], self.cover[part]
        share = cover[here].astype(np.float32) / 255
        left = below[here].astype(np.float32) / 255 * (1 - share)
        whole = share + left
        new = colours[here] if colours.ndim > 1 else colours
        mixed = new * (share / whole)[:, None] + ground[here] * (left / whole)[:, None]
        ground[here] = np.rint(mixed)
        below[here] = np.rint(whole * 255)

    def encoded(self, form: str, *, transparent: bool, paper: str = "#ffffff") -> bytes:
        """The picture as PNG or JPEG; what is not ``transparent`` lies on ``paper``."""
        if transparent and form == "png":
            image = Image.fromarray(np.dstack([self.colours, self.cover]))
        else:
            share = self.cover[..., None].astype(np.float32) / 255
            flat = self.colours * share + np.array(rgb(paper), np.float32) * (1 - share)
            image = Image.fromarray(np.rint(flat).astype(np.uint8))
        file = BytesIO()
        more = {"compress_level": 4} if form == "png" else {"quality": 88}
        image.save(file, form.upper(), **more)
        return file.getvalue()


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    """Fixed-point numbers as OpenCV takes them; the centre of a pixel is a whole number there."""
    near = np.clip(points, -_FAR, _FAR) - 0.5
    return np.rint(near * (1 << _SHIFT)).astype(np.int32)


def _lines(rings: Geometries) -> list[npt.NDArray[np.int32]]:
    """The points of each line."""
    points, owners = shapely.get_coordinates(rings, return_index=True)
    return np.split(_fixed(points), np.flatnonzero(np.diff(owners)) + 1) if len(points) else []
