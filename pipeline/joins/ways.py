"""Ways: which street the edge of an area lies along."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.geo import Floats, Geometries
from pipeline.joins.side import Ints


def beside(edges: Geometries, axes: Geometries, half: Floats, margin: float) -> Ints:
    """The axis (index) of the street along each edge (n,), -1 for none.

    ``half`` (m,): how far the street's edge lies from its axis; the middle of an edge may lie
    ``margin`` farther. An axis counts where it lies to the left of the edge, whose area is to its
    right; of several the one whose street comes nearest. All in units of the CRS.
    """
    found = np.full(len(edges), -1, dtype=np.int64)
    if not len(edges) or not len(axes):
        return found
    middle = shapely.line_interpolate_point(edges, 0.5, normalized=True)
    axis, edge = shapely.STRtree(middle).query(axes, predicate="dwithin", distance=half + margin)
    link = shapely.get_coordinates(shapely.shortest_line(middle[edge], axes[axis])).reshape(-1, 4)
    ends = [shapely.get_point(edges[edge], place) for place in (0, -1)]
    run = shapely.get_coordinates(ends[1]) - shapely.get_coordinates(ends[0])
    away = link[:, 2:] - link[:, :2]
    outside = run[:, 0] * away[:, 1] - run[:, 1] * away[:, 0] > 0
    axis, edge, away = axis[outside], edge[outside], away[outside]
    clear = np.hypot(away[:, 0], away[:, 1]) - half[axis]
    order = np.lexsort((axis, clear, edge))
    met, at = np.unique(edge[order], return_index=True)
    found[met] = axis[order][at]
    return found
