"""Numbers of the standards against values worked out by hand; the report as JSON and pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from pipeline.accuracy import numbers
from pipeline.cli.main import cli
from pipeline.errors import ArrivalError


def _judge(differences: list[list[float]], **more: Any) -> numbers.Accuracy:
    count = len(differences)
    places = np.column_stack([np.arange(count) % 2, np.arange(count) // 2 % 2]).astype(float)
    names = [f"p{n}" for n in range(count)]
    values = {"sigma": (0.0, 0.0), "limit": None, **more}
    return numbers.judge(names, places, np.array(differences), values["sigma"], values["limit"])


def test_horizontal_numbers() -> None:
    """3 and 4 cm everywhere: RMSE_x 3, RMSE_y 4, RMSE_H 5 cm; NSSDA 2.4477 * 0.5 * 7 cm."""
    found = _judge([[0.03, 0.04], [-0.03, -0.04]] * 20, sigma=(0.04, 0.0), limit=0.08)
    assert [axis.rmse for axis in found.axes] == pytest.approx([0.03, 0.04])
    assert found.rmse == pytest.approx(0.05)
    assert found.axes[0].rmse_with_points == pytest.approx(0.05)
    assert found.rmse_with_points == pytest.approx(np.sqrt(0.03**2 + 0.04**2 + 2 * 0.04**2))
    assert found.nssda95 == pytest.approx(2.4477 * 0.035)
    assert found.verdict == "pass"
    assert found.quadrants == (10, 10, 10, 10)


def test_like_axes_take_the_other_formula_and_unlike_ones_none() -> None:
    assert _judge([[0.1, -0.1]] * 30).nssda95 == pytest.approx(1.7308 * np.sqrt(0.02))
    assert _judge([[0.1, 0.01]] * 30).nssda95 is None


def test_vertical_numbers() -> None:
    found = _judge([[0.1], [-0.1]] * 15, sigma=(0.0, 0.02), limit=0.1)
    assert found.nssda95 == pytest.approx(0.196)
    assert found.rmse_with_points == pytest.approx(np.hypot(0.1, 0.02))
    assert found.verdict == "fail"


def test_under_thirty_points_nothing_passes() -> None:
    assert _judge([[0.001]] * 29, limit=1.0).verdict == "too_few"
    assert _judge([[0.001]] * 30, limit=1.0).verdict == "pass"


def test_outliers_are_named() -> None:
    assert _judge([[0.01]] * 40 + [[0.5]]).outliers == ("p40",)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """900 + 0.01 (E - 488600) in cells of 2 m."""
    z = np.broadcast_to(900 + 0.01 * (np.arange(200) * 2 + 1.0), (150, 200)).astype(np.float32)
    path = tmp_path / "dem.tif"
    place = {"crs": "EPSG:32639", "transform": rasterio.Affine(2, 0, 488600, 0, -2, 3833300)}
    profile = {"driver": "GTiff", "count": 1, "height": 150, "width": 200, "dtype": "float32"}
    with rasterio.open(path, "w", **profile, **place) as written:
        written.write(z, 1)
    return path


def _run(*words: str | Path) -> Any:
    result = CliRunner(env={"MAKAN_CITY": "qom"}).invoke(cli, ["accuracy", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_a_model_against_points(model: Path, tmp_path: Path) -> None:
    """Points 5 cm above the plane: the model is 5 cm too low at each."""
    rng = np.random.default_rng(1)
    rows = [
        f"q{n};{488600 + e:.3f};{3833000 + u:.3f};{900 + 0.01 * e + 0.05:.4f}"
        for n, (e, u) in enumerate(rng.uniform(10, 280, (40, 2)))
    ]
    table = tmp_path / "points.csv"
    table.write_text("name;x;y;z\n" + "\n".join([*rows, "off;1;2;3"]), encoding="utf-8")
    page = tmp_path / "report.html"
    words = ("dem", "--points", table, "--dem", model, "--limit", "0.1", "--sigma-z", "0.02")
    told = json.loads(_run(*words, "--html", page, "--json"))
    assert told["count"] == 40
    assert told["left_out"] == 1
    assert told["axes"][0]["mean"] == pytest.approx(-0.05, abs=1e-3)
    assert told["rmse"] == pytest.approx(0.05, abs=1e-3)
    assert told["verdict"] == "pass"
    text = page.read_text(encoding="utf-8")
    assert "Passes" in text
    assert text.count("<circle") == 40
    _run(*words, "--html", page, "--language", "fa")
    text = page.read_text(encoding="utf-8")
    assert 'dir="rtl"' in text
    assert "قبول" in text


def test_too_few_points_say_so_on_the_page(tmp_path: Path) -> None:
    table = tmp_path / "points.csv"
    table.write_text("name,x,y,x_measured,y_measured\n<b>,0,0,0.1,0.1\nc,9,9,9.1,9\n", "utf-8")
    page = tmp_path / "report.html"
    said = _run("ortho", "--points", table, "--limit", "1", "--html", page)
    assert "fewer than 30" in said
    assert "too_few" in said
    assert "no statement of accuracy" in page.read_text(encoding="utf-8")
    assert "Passes" not in page.read_text(encoding="utf-8")


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "points.csv"
    table.write_text("name,x,y\na,1,2\n", encoding="utf-8")
    with pytest.raises(ArrivalError, match="x_measured"):
        _run("ortho", "--points", table)
