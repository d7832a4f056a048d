"""World files: what they say, how they are spelt, and that nothing but six numbers is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from affine import Affine
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.rasters import worldfile

sizes = st.floats(0.01, 100)
places = st.floats(-1e7, 1e7)
slants = st.floats(-5, 5)


@given(a=sizes, e=sizes, b=slants, d=slants, x=places, y=places)
def test_a_world_file_says_what_its_transform_says(
    a: float, e: float, b: float, d: float, x: float, y: float
) -> None:
    transform = Affine(a, b, x, d, -e, y)
    assume(abs(a * -e - b * d) > 1e-6)
    read = worldfile.parse(worldfile.text_of(transform))
    for corner in ((0, 0), (1000, 0), (0, 1000), (1000, 1000)):
        assert read @ corner == pytest.approx(transform @ corner, abs=1e-6)


@given(st.text(max_size=60))
def test_any_text_is_a_transform_or_a_reason(text: str) -> None:
    try:
        found = worldfile.parse(text)
    except ValueError:
        return
    assert found.determinant != 0


def test_the_first_pixel_is_named_by_its_centre() -> None:
    read = worldfile.parse("2\n0\n0\n-2\n101\n199\n")
    assert read == Affine(2, 0, 100, 0, -2, 200)


def test_a_decimal_comma_is_read() -> None:
    assert worldfile.parse("0,5\n0\n0\n-0,5\n10,25\n19,75").c == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 lines"),
        ("1\n0\n0\n-1\n5", "5 lines"),
        ("1\n0\n0\nx\n5\n5", "line 4"),
        ("1\n0\n0\nnan\n5\n5", "line 4"),
        ("0\n0\n0\n0\n5\n5", "without area"),
    ],
)
def test_what_is_no_world_file_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        worldfile.parse(text)


@pytest.mark.parametrize(
    ("raster", "world"),
    [
        ("a.tif", "a.tfw"),
        ("a.tif", "A.TFW"),
        ("a.TIF", "a.tifw"),
        ("a.tiff", "a.tfw"),
        ("a.jpg", "a.jgw"),
        ("a.jpeg", "a.jpegw"),
        ("a.png", "a.pgw"),
        ("a.jp2", "a.j2w"),
        ("نقشه.tif", "نقشه.wld"),
    ],
)
def test_every_spelling_of_its_name_is_found(tmp_path: Path, raster: str, world: str) -> None:
    (tmp_path / raster).touch()
    (tmp_path / world).touch()
    (tmp_path / "b.tfw").touch()
    found = worldfile.find(tmp_path / raster)
    assert found is not None
    assert found.name == world
