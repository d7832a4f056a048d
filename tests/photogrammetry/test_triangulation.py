"""A block with exact truth: orientation is found again, gross errors are named, results stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pyproj import CRS

from pipeline.cli.frames import frames
from pipeline.contracts.city import City
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError
from pipeline.photogrammetry import camera, orientation, rotation, triangulation
from pipeline.photogrammetry.camera import Camera
from pipeline.photogrammetry.collinear import Pose
from pipeline.settings import Settings

UTM = CRS.from_epsg(32639)
CAMERA = Camera("c", 7680, 13824, 120.0, (0.012, 0.012), distortion=(-0.05, 0.02, 1e-4, -1e-4, 0))
YAML = """im_size: [7680, 13824]
focal_len: 120.0
sensor_size: [92.16, 165.888]
k1: -0.05
k2: 0.02
p1: 0.0001
p2: -0.0001
"""


@dataclass
class Made:
    """True poses and points, and the files of a block that is not quite there yet."""

    folder: Path
    poses: list[Pose]
    places: Any
    rays: list[tuple[int, int, Any]]

    def words(self, *more: str) -> list[str]:
        files = {"--eo": "eo.csv", "--camera": "camera.yaml", "--measurements": "image.csv",
                 "--control": "control.csv"}  # fmt: skip
        given = [word for name, file in files.items() for word in (name, str(self.folder / file))]
        return ["adjust", *given, "--angles", "deg", "--crs", "EPSG:32639", "--json", *more]

    def write_rays(self, changed: dict[int, Any] | None = None) -> None:
        lines = ["frame,point,column,row"]
        for n, (frame, point, pixel) in enumerate(self.rays):
            column, row = pixel + (changed or {}).get(n, 0)
            lines.append(f"f{frame},p{point},{column:.4f},{row:.4f}")
        (self.folder / "image.csv").write_text("\n".join(lines))

    def write_control(self, checks: int) -> None:
        lines = ["point;x;y;z;kind"]
        for n in (*range(12), *range(12, 12 + checks)):
            kind = "control" if n < 12 else "check"
            lines.append(f"p{n};" + ";".join(f"{v:.4f}" for v in self.places[n]) + f";{kind}")
        (self.folder / "control.csv").write_text("\n".join(lines))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Two strips of five frames; the orientation to begin with is 5 m and 0.3 degrees off."""
    rng = np.random.default_rng(11)
    spots = [(488_600 + 550 * k, 3_833_000 + 600 * s, 1930) for s in range(2) for k in range(5)]
    centres = np.array(spots, float) + rng.normal(0, 3, (10, 3))
    angles = rng.normal(0, 0.6, (10, 3)) + [[0, 0, 90 if n < 5 else -90] for n in range(10)]
    turned = rotation.matrices(np.radians(angles))
    poses = [Pose(c, r, CAMERA, UTM) for c, r in zip(centres, turned, strict=True)]
    margin = np.array([100, 300, 0])
    low, high = centres.min(axis=0) - margin, centres.max(axis=0) + margin
    places = np.column_stack([rng.uniform(low[:2], high[:2], (220, 2)), rng.uniform(890, 970, 220)])
    seen = [pose.pixels(places) for pose in poses]
    size = np.array([CAMERA.columns, CAMERA.rows])
    shown = np.array([((u > 0) & (u < size)).all(axis=1) for u in seen])
    kept = np.flatnonzero(shown.sum(axis=0) >= 3)
    places, shown = places[kept], shown[:, kept]
    rays = [(f, p, seen[f][kept[p]]) for f in range(10) for p in np.flatnonzero(shown[f])]
    block = Made(tmp_path, poses, places, rays)
    block.write_rays()
    block.write_control(checks=40)
    (tmp_path / "camera.yaml").write_text(YAML)
    lines = ["frame,x,y,z,omega,phi,kappa"]
    start = zip(
        centres + rng.normal(0, 5, (10, 3)), angles + rng.normal(0, 0.3, (10, 3)), strict=True
    )
    for n, (centre, angle) in enumerate(start):
        lines.append(f"f{n}," + ",".join(map(str, (*centre, *angle))))
    (tmp_path / "eo.csv").write_text("\n".join(lines))
    return block


def _run(words: list[str], settings: Settings | None = None) -> Any:
    result = CliRunner().invoke(frames, words, obj=settings or Settings())
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def test_exact_measurements_give_the_true_orientation(made: Made) -> None:
    out = made.folder / "adjusted.csv"
    told = _run(made.words("--out", str(out)))
    assert told["sigma0"]["micrometres"] < 0.01
    assert max(told["check"]["rmse_m"]) < 0.001
    found = orientation.read(out, "deg", UTM)
    true = np.array([pose.centre for pose in made.poses])
    assert np.abs(found.centres - true).max() < 0.002
    turned = np.array([pose.rotation for pose in made.poses])
    away = np.einsum("nij,nij->n", found.rotations, turned)
    assert np.degrees(np.arccos(np.clip((away - 1) / 2, -1, 1))).max() < 0.001


def test_noise_and_gross_errors(made: Made) -> None:
    rng = np.random.default_rng(2)
    noise = {n: rng.normal(0, 0.4, 2) for n in range(len(made.rays))}
    wrong = rng.permutation(len(made.rays))[:4]
    for n in wrong:
        noise[int(n)] = np.array([60.0, -45.0])
    made.write_rays(noise)
    told = _run(made.words())
    # 0.4 px of 12 um.
    assert told["sigma0"]["micrometres"] == pytest.approx(4.8, rel=0.1)
    assert 4 <= told["gross_errors"] <= 12
    x, y, z = told["check"]["rmse_m"]
    assert max(x, y) < 0.1
    assert z < 0.2
    assert told["check"]["points"] == 40
    assert told["check"]["enough_for_asprs_2023"]


def test_fewer_than_thirty_check_points_are_said_to_be_few(made: Made) -> None:
    """SDB-2.4: RMSE at check points; fewer than 30 are "not to ASPRS 2023"."""
    made.write_control(checks=29)
    words = [word for word in made.words() if word != "--json"]
    result = CliRunner().invoke(frames, words, obj=Settings())
    assert "fewer than 30 check points: not to ASPRS 2023" in result.stdout
    assert "29 check points, RMSE x y z: 0.00" in result.stdout


def test_given_orientation_holds_a_block_without_control(made: Made) -> None:
    known = (made.folder / "control.csv").read_text().replace("control", "check")
    (made.folder / "control.csv").write_text(known)
    with pytest.raises(ArrivalError, match="0 control points hold the block, 3 are needed"):
        _run(made.words())
    told = _run(made.words("--sigma-centre", "5", "--sigma-angle", "0.3"))
    # Ten centres that are 5 m off each, averaged.
    assert max(told["check"]["rmse_m"]) < 8
    assert told["control"]["points"] == 0


def test_photo_coordinates_are_millimetres_from_the_principal_point(tmp_path: Path) -> None:
    (tmp_path / "camera.yaml").write_text(YAML)
    cameras = camera.read(tmp_path / "camera.yaml")
    (tmp_path / "m.csv").write_text("photo;point;x_mm;y_mm\n7;a;0;0\n7;b;۱٫۲;0.6\n")
    _, points, pixels = triangulation.measured(tmp_path / "m.csv", cameras)
    assert points == ["a", "b"]
    # The middle of 7680 x 13824 pixels; 100 to the right and 50 up.
    assert np.allclose(pixels, [[3839.5, 6911.5], [3939.5, 6861.5]])


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("image.csv", "frame,point,column\nf1,p1,3", "has neither pixels"),
        ("image.csv", "frame,point,column,row\nf1,p1,3,", "line 2: a measurement is missing"),
        ("image.csv", "frame,point,column,row\nx,p1,3,4", "frames without orientation: x"),
        ("control.csv", "point,x,y\np1,1,2", "has no column for z"),
        ("control.csv", "point,x,y,z\np1,1,2,a", "line 2: 'a' is no number"),
        ("control.csv", "point,x,y,z,kind\np1,1,2,3,odd", "'odd' is none of tie, control, check"),
        ("control.csv", "point,x,y,z", "holds no row"),
    ],
)
def test_files_that_cannot_be_used(made: Made, file: str, text: str, said: str) -> None:
    (made.folder / file).write_text(text)
    with pytest.raises(ArrivalError, match=said):
        _run(made.words())


LISTING = """MATCH-AT adjustment
 iteration 1   sigma naught 4.21 [micron]
 iteration 2   sigma naught 2.87 [micron]
"""
POINTS = """point,kind,x,y,z,vx,vy,vz,rays
C1,control,488600.0,3833000.0,930.0,0.03,-0.04,0.05,6
C2,control,488700.0,3833000.0,931.0,-0.03,0.04,-0.05,4
H1,check,488650.0,3833050.0,929.0,0.10,0.10,-0.20,3
H2,check,488660.0,3833060.0,929.5,-0.10,0.10,0.10,3
T1,tie,488610.0,3833010.0,928.0,,,,2
"""


def test_a_contractors_result_is_stored(tmp_path: Path, database: Database, qom: City) -> None:
    (tmp_path / "p.csv").write_text(POINTS)
    (tmp_path / "l.txt").write_text(LISTING)
    words = ["triangulated", str(tmp_path / "p.csv"), "--block", "b1", "--program", "Match-AT",
             "--listing", str(tmp_path / "l.txt"), "--json"]  # fmt: skip
    for _ in range(2):
        told = _run(words, database.settings)
    assert told["sigma0"]["micrometres"] == 2.87
    assert told["control"]["rmse_m"] == [0.03, 0.04, 0.05]
    assert told["check"]["rmse_m"] == [0.1, 0.1, pytest.approx(0.1581, abs=1e-4)]
    assert not told["check"]["enough_for_asprs_2023"]
    with database.connect("reader") as connection:
        row = connection.execute(
            "SELECT block_name, software, sigma0_um::float8, tie_count, check_count, "
            "check_rmse_x_m::float8, asprs_2023 FROM api.triangulation"
        ).fetchall()
    assert row == [("b1", "Match-AT", 2.87, 1, 2, 0.1, False)]
    with database.connect("staff") as connection:
        points = connection.execute(
            "SELECT point_name, triangulation_use, ray_count, residual_z_m::float8, "
            "round(ST_X(geom)::numeric)::int FROM api_staff.triangulation_point ORDER BY 1"
        ).fetchall()
    assert points[0] == ("C1", "control", 6, 0.05, 488600)
    assert points[-1] == ("T1", "tie", 2, None, 488610)
    (tmp_path / "l.txt").write_text("no number here")
    with pytest.raises(ArrivalError, match="tells no sigma 0"):
        _run(words, database.settings)


def test_an_adjusted_block_is_published(made: Made, database: Database) -> None:
    """SDB-2.4: sigma0, control, check and tie points as a collection."""
    _run(made.words("--block", "qom-1"), database.settings)
    with database.connect("reader") as connection:
        row = connection.execute(
            "SELECT frame_count, control_count, check_count, asprs_2023 FROM api.triangulation"
        ).fetchall()
    assert row == [(10, 12, 40, True)]
