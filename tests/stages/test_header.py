"""What the first bytes of WKB tell is what shapely says of the whole."""

from __future__ import annotations

import pyarrow as pa
import pytest
import shapely

from pipeline.stages.header import first_points, with_heights

SHAPES = [
    shapely.Point(1, 2), shapely.LineString([(3, 4), (5, 6)]), shapely.box(7, 8, 9, 10),
    shapely.MultiPoint([(11, 12), (0, 0)]), shapely.MultiLineString([[(13, 14), (0, 0)]]),
    shapely.MultiPolygon([shapely.box(15, 16, 17, 18)]),
]  # fmt: skip


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("large", [False, True])
def test_points_and_heights_are_read_from_the_header(order: int, flavor: str, large: bool) -> None:
    shapes = [*SHAPES, *(shapely.force_3d(one, 5.0) for one in SHAPES)]
    wkb = [shapely.to_wkb(one, byte_order=order, flavor=flavor) for one in shapes]
    empty = [shapely.to_wkb(shapely.Polygon()), None, b"", b"\x01\x02"]
    mixed = shapely.to_wkb(shapely.GeometryCollection([shapely.Point(0, 0)]))
    values = pa.array([None, *wkb, *empty, mixed], type=pa.large_binary() if large else pa.binary())
    # A slice begins within the buffer.
    for cut in (values, values[1:], pa.concat_arrays([values, values])[len(values) :]):
        assert with_heights(cut) == len(SHAPES)
        found = sorted(map(tuple, first_points(cut).tolist()))
        expected = sorted(tuple(shapely.get_coordinates(one)[0].tolist()) for one in shapes)
        assert found == expected


def test_nothing_has_neither() -> None:
    for values in (pa.array([], type=pa.binary()), pa.nulls(3, pa.binary())):
        assert with_heights(values) == 0
        assert len(first_points(values)) == 0
