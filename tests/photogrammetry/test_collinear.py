"""The collinearity equations against what is known otherwise: by hand, and by OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pyproj import CRS

from benchmarks.imagery import flight
from pipeline.photogrammetry import ground
from pipeline.photogrammetry.camera import Camera
from pipeline.photogrammetry.collinear import Pose

UTM = CRS.from_epsg(32639)
CENTRE = np.array([flight.EAST, flight.NORTH, 1930.0])
PINHOLE = Camera("c", 1000, 800, 120.0, (0.012, 0.012))
BROWN = Camera(
    "b", 1000, 800, 120.0, (0.012, 0.012), (3.0, -2.0), (-0.08, 0.03, 0.001, -0.002, 0.01)
)


def test_a_frame_taken_straight_down_is_a_map() -> None:
    """f = 10,000 pixels, 1000 m up: a metre is ten pixels; north is up, so rows fall northwards."""
    pose = Pose(CENTRE, np.eye(3), PINHOLE, UTM)
    points = CENTRE + np.array([[0, 0, -1000], [10, 0, -1000], [0, 10, -1000], [10, 0, -500]])
    assert pose.pixels(points).tolist() == [
        [499.5, 399.5],
        [599.5, 399.5],
        [499.5, 299.5],
        [699.5, 399.5],
    ]


def test_a_heading_of_90_degrees_turns_the_picture_left() -> None:
    """The image's x axis then points north."""
    pose = Pose(CENTRE, flight.rotation((0.0, 0.0, 90.0)), PINHOLE, UTM)
    north = CENTRE + np.array([[0, 10, -1000]])
    assert pose.pixels(north)[0] == pytest.approx([599.5, 399.5])


def test_what_is_behind_the_camera_is_nowhere() -> None:
    pose = Pose(CENTRE, np.eye(3), PINHOLE, UTM)
    assert np.isnan(pose.pixels(CENTRE[None] + [[0.0, 0.0, 5.0]])).all()


@pytest.mark.parametrize("camera", [PINHOLE, BROWN])
def test_pixels_are_what_opencv_says(camera: Camera) -> None:
    turn = flight.rotation((1.2, -2.1, 33.0))
    pose = Pose(CENTRE, turn, camera, UTM)
    rng = np.random.default_rng(2)
    points = CENTRE + np.column_stack([rng.uniform(-40, 40, (50, 2)), rng.uniform(-1050, -950, 50)])
    # OpenCV's camera looks along +z with y down.
    flip = np.diag([1.0, -1.0, -1.0])
    vector, _ = cv2.Rodrigues(flip @ turn.T)
    lens = np.array(camera.distortion)
    there = (points - CENTRE).reshape(-1, 1, 3)
    seen, _ = cv2.projectPoints(there, vector, np.zeros(3), camera.matrix, lens)
    assert pose.pixels(points) == pytest.approx(seen.reshape(-1, 2), abs=1e-6)


@pytest.mark.parametrize("camera", [PINHOLE, BROWN])
def test_directions_undo_pixels(camera: Camera) -> None:
    direction = np.random.default_rng(3).uniform(-0.045, 0.045, (200, 2))
    assert camera.directions(camera.pixels(direction)) == pytest.approx(direction, abs=1e-9)


def test_rays_meet_the_ground(tmp_path: Path) -> None:
    model = flight.write_model(tmp_path / "ground.tif", 1.0, 300.0)
    pose = Pose(CENTRE, flight.rotation((2.0, -1.0, 140.0)), BROWN, UTM)
    pixels = np.random.default_rng(4).uniform(0, 800, (100, 2))
    with ground.opened(model) as below:
        met = pose.onto(pixels, below, 1e-4)
    assert met[:, 2] == pytest.approx(flight.ground(met[:, 0], met[:, 1]), abs=0.01)
    assert pose.pixels(met) == pytest.approx(pixels, abs=1e-6)


def test_rays_that_miss_the_model_meet_nothing(tmp_path: Path) -> None:
    model = flight.write_model(tmp_path / "ground.tif", 1.0, 40.0)
    pose = Pose(CENTRE, np.eye(3), PINHOLE, UTM)
    with ground.opened(model) as below:
        met = pose.onto(pose.border(4), below, 0.01)
    assert np.isnan(met).any(axis=1).sum() > 0
    inside = np.abs(met[:, :2] - CENTRE[:2]).max(axis=1) < 39
    assert np.isfinite(met[inside]).all()
