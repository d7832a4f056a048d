"""Tiles: rows in compact pieces of about equal number, so that memory holds a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.fabric.part import Floats, Ints


@dataclass(frozen=True)
class Asked:
    """The rows of one layer that are to be checked: ids and boxes (n, 4) in the city's CRS."""

    layer: str
    ids: Ints
    boxes: Floats

    def take(self, places: Ints) -> Asked:
        """Some of them."""
        return Asked(self.layer, self.ids[places], self.boxes[places])

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """The box around all boxes."""
        low, high = self.boxes[:, :2].min(axis=0), self.boxes[:, 2:].max(axis=0)
        return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def tiles(layers: list[Asked], rows: int) -> Iterator[list[Asked]]:
    """Divides all rows at the median of their lower left corners, until a piece has <= ``rows``."""
    corners = [asked.boxes[:, :2] for asked in layers]
    whose = np.repeat(np.arange(len(layers)), [len(one) for one in corners])
    place = np.concatenate([np.arange(len(one)) for one in corners] or [np.zeros(0, np.int64)])
    points = np.vstack([*corners, np.zeros((0, 2))])
    for piece in _halved(points, np.arange(len(points)), rows):
        made = [
            asked.take(np.sort(place[piece[whose[piece] == number]]))
            for number, asked in enumerate(layers)
        ]
        yield [asked for asked in made if len(asked.ids)]


def _halved(points: Floats, places: Ints, rows: int) -> Iterator[Ints]:
    if len(places) <= rows:
        if len(places):
            yield places
        return
    here = points[places]
    axis = int(np.argmax(np.ptp(here, axis=0)))
    order = np.argsort(here[:, axis], kind="stable")
    middle = len(places) // 2
    yield from _halved(points, places[order[:middle]], rows)
    yield from _halved(points, places[order[middle:]], rows)
