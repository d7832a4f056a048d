"""Exterior orientation in the forms that contractors send, and what must not be taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.imagery import flight
from pipeline.errors import ArrivalError
from pipeline.photogrammetry import camera, orientation, rotation
from tests.photogrammetry.conftest import Ngi

# A flight of two strips, flown east and back, as a contractor would print it in degrees.
FLIGHT = [
    ("1001", 488000.0, 3832000.0, 1930.0, 0.31, -0.42, 0.85),
    ("1002", 488080.0, 3832001.0, 1931.0, -0.22, 0.35, -0.77),
    ("2001", 488082.0, 3832110.0, 1929.0, 0.55, 0.12, 179.3),
    ("2002", 488003.0, 3832109.0, 1930.5, -0.4, -0.2, -179.6),
]


def columns(path: Path, unit: str = "deg") -> Path:
    factor = {"deg": 1.0, "grad": 10 / 9, "rad": np.pi / 180}[unit]
    rows = [
        f"{name} {x:.3f} {y:.3f} {z:.3f} {o * factor:.9f} {p * factor:.9f} {k * factor:.9f}"
        for name, x, y, z, o, p, k in FLIGHT
    ]
    path.write_text("# photo X Y Z omega phi kappa\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def patb(path: Path, spoil: int | None = None) -> Path:
    """I16,16x,3F16.5 / 5F16.12 / 4F16.12, one photo after the other."""
    lines = []
    for number, (name, x, y, z, *angles) in enumerate(FLIGHT):
        terms = flight.rotation((angles[0], angles[1], angles[2])).ravel()
        if number == spoil:
            terms[0] += 1e-5
        lines.append(f"{name:>16}{'':16}{x:16.5f}{y:16.5f}{z:16.5f}")
        lines.append("".join(f"{term:16.12f}" for term in terms[:5]))
        lines.append("".join(f"{term:16.12f}" for term in terms[5:]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("unit", ["deg", "grad", "rad"])
def test_columns_in_each_unit_mean_the_same(tmp_path: Path, unit: rotation.Unit) -> None:
    found = orientation.read(columns(tmp_path / "eo.txt", unit), unit, None)
    assert found.names == ("1001", "1002", "2001", "2002")
    for row, turn, centre in zip(FLIGHT, found.rotations, found.centres, strict=True):
        assert centre.tolist() == list(row[1:4])
        assert turn == pytest.approx(flight.rotation((row[4], row[5], row[6])), abs=1e-9)


def test_patb_gives_the_matrices_as_they_are(tmp_path: Path) -> None:
    found = orientation.read(patb(tmp_path / "block.pat"), None, None)
    assert found.form == "patb"
    assert found.lines == (1, 4, 7, 10)
    back = np.degrees(rotation.angles(found.rotations))
    assert back == pytest.approx(np.array([row[4:7] for row in FLIGHT]), abs=1e-9)


def test_a_matrix_that_is_no_rotation_refuses_the_batch_with_frame_and_line(
    tmp_path: Path,
) -> None:
    """SDB-1.2: a matrix off by more than 1e-6 rejects the batch with its frame and line."""
    with pytest.raises(ArrivalError, match="frame 2001, line 7: the matrix is no rotation"):
        orientation.read(patb(tmp_path / "block.pat", spoil=2), None, None)


def test_a_reflection_is_no_rotation() -> None:
    turns = np.stack([np.eye(3), np.diag([1.0, 1.0, -1.0])])
    assert rotation.apart_from_orthonormal(turns).tolist() == [0.0, 2.0]


@pytest.mark.parametrize(
    ("written", "declared"), [("grad", "deg"), ("deg", "grad"), ("deg", "rad")]
)
def test_angles_in_another_unit_than_declared_are_refused(
    tmp_path: Path, written: str, declared: rotation.Unit
) -> None:
    with pytest.raises(ArrivalError, match=f"look like {written}"):
        orientation.read(columns(tmp_path / "eo.txt", written), declared, None)


def test_a_unit_must_be_declared_and_is_proposed(tmp_path: Path) -> None:
    with pytest.raises(ArrivalError, match="not declared; they look like grad"):
        orientation.read(columns(tmp_path / "eo.txt", "grad"), None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1001 1 2 3 0.1 0.2\n", "line 1 has 6 columns"),
        ("1001 1 2 x 0.1 0.2 0.3\n", "frame 1001, line 1"),
        ("1001 1 2 nan 0.1 0.2 0.3\n", "not finite"),
        ("id,x,y,omega,phi,kappa\n1,1,2,0,0,0\n", "no column for z"),
        ("id,x,y,z,omega,phi,kappa\n", "holds no frame"),
        ('{"features": [{}]}\n', "is no GeoJSON of exterior orientation"),
        ("  \n", "holds no frame"),
    ],
)
def test_what_cannot_be_taken_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "eo.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArrivalError, match=said):
        orientation.read(path, "deg", None)


def test_persian_digits_and_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "eo.csv"
    path.write_text(
        "Photo;X;Y;Z;Omega;Phi;Kappa\n۱۰۰۱;488000.5;2;3;0.1;0.2;۹۰.۵\n", encoding="utf-8"
    )
    found = orientation.read(path, "deg", None)
    assert found.names == ("1001",)
    assert np.degrees(rotation.angles(found.rotations))[0, 2] == pytest.approx(90.5)


def test_the_real_forms_of_one_flight_agree(ngi: Ngi) -> None:
    table = orientation.read(ngi.folder / "ngi_xyz_opk.csv", "deg", None)
    blank = orientation.read(ngi.folder / "camera_pos_ori.txt", "deg", ngi.crs)
    shapes = orientation.read(ngi.folder / "ngi_ext_param.geojson", None, None)
    assert table.names == blank.names == shapes.names
    assert table.crs is not None
    assert shapes.crs is not None
    assert shapes.cameras[0] == "Integraph DMC"
    assert np.abs(table.centres - shapes.centres).max() < 0.001
    assert np.abs(blank.rotations - shapes.rotations).max() < 1e-7
    assert np.abs(table.rotations - shapes.rotations).max() < 2e-5  # three decimals of a degree


small = st.floats(-4.9, 4.9, allow_nan=False)
turn = st.floats(-179.9, 179.9, allow_nan=False)


@given(st.lists(st.tuples(small, small, turn), min_size=1, max_size=8))
def test_matrices_and_angles_are_each_others_inverse(
    rows: list[tuple[float, float, float]],
) -> None:
    written = np.radians(np.array(rows))
    turns = rotation.matrices(written)
    assert rotation.apart_from_orthonormal(turns).max() < 1e-12
    assert rotation.angles(turns) == pytest.approx(written, abs=1e-12)
    assert turns[0] == pytest.approx(flight.rotation(rows[0]), abs=1e-12)


def test_the_real_camera(ngi: Ngi) -> None:
    (found,) = camera.read(ngi.folder / "ngi_int_param.yaml").values()
    assert found.name == "Integraph DMC"
    assert (found.columns, found.rows) == (640, 1152)
    assert found.pitch == pytest.approx((0.144, 0.144))
    assert found.focal_pixels[0] == pytest.approx(120 / 0.144)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("im_size: [10, 10]\nfocal_len: 120\n", "sensor_size"),
        ("im_size: [10, 10]\nfocal_len: 0\nsensor_size: [1, 1]\n", "not above zero"),
        ("im_size: [10, 10]\nfocal_len: 1\nsensor_size: [1, 1]\ntype: fisheye\n", "is a fisheye"),
        ("- 1\n", "no names in it"),
        ("a: [\n", "no camera file"),
    ],
)
def test_a_camera_that_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArrivalError, match=said):
        camera.read(path)
