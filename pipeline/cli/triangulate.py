"""``makan frames adjust`` and ``triangulated``: a block adjusted, a contractor's result stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import orjson
from pyproj import CRS

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.cli.raster_files import declared_crs
from pipeline.db.arrival import fingerprint
from pipeline.db.engine import Database
from pipeline.photogrammetry import camera, orientation, rotation, rows, store, triangulation
from pipeline.photogrammetry.adjust import Adjusted, Precision
from pipeline.photogrammetry.collinear import Pose
from pipeline.photogrammetry.triangulation import ENOUGH, Result
from pipeline.rasters import disk
from pipeline.settings import Settings

_FILE = click.Path(path_type=Path)
_WORST = 10


@click.command()
@click.option("--eo", type=_FILE, required=True, help="Orientation to begin with.")
@click.option("--camera", "cameras", type=_FILE, required=True, help="The camera, YAML.")
@click.option("--angles", type=click.Choice(["deg", "grad", "rad"]), help="Their unit.")
@click.option("--crs", help="The CRS of positions and points, if the file names none.")
@click.option("--measurements", type=_FILE, required=True, help="frame, point, column, row; CSV.")
@click.option("--control", type=_FILE, required=True, help="point, x, y, z, kind; CSV.")
@click.option("--sigma-image", default=0.5, help="Of a measurement, pixels.")
@click.option("--sigma-xy", default=0.03, help="Of control points, m, where the file tells none.")
@click.option("--sigma-z", default=0.05, help="Of their heights, m.")
@click.option("--sigma-centre", type=float, help="Of the given projection centres, m.")
@click.option("--sigma-angle", type=float, help="Of the given angles, degrees.")
@click.option("--out", type=_FILE, help="Write the adjusted orientation there, CSV.")
@click.option("--block", "name", help="Publish the result as this block's.")
@click.option("--report", type=_FILE, help="Write the report as JSON there.")
@as_json
@click.pass_obj
def adjust(settings: Settings, /, **given: Any) -> None:
    """Adjust a block of frames by image measurements and control points.

    Check points (kind "check") take no part and tell how good it is. Without --sigma-centre the
    orientation of --eo is a start only, and three control points must hold the block.
    """
    schemas = options.schemas(settings)
    eo = orientation.read(given["eo"], given["angles"], declared_crs(given["crs"]))
    crs = eo.crs or schemas.city.crs
    cameras = camera.read(given["cameras"])
    poses = {
        name: Pose(centre, turned, cameras.get(str(own), next(iter(cameras.values()))), crs)
        for name, centre, turned, own in zip(
            eo.names, eo.centres, eo.rotations, eo.cameras, strict=True
        )
    }
    precision = Precision(given["sigma_image"], given["sigma_centre"], given["sigma_angle"])
    sigma = given["sigma_xy"], given["sigma_z"]
    found, adjusted = triangulation.solve(
        poses, given["measurements"], given["control"], precision, sigma
    )
    if given["out"]:
        with disk.writing(given["out"]):
            disk.write_text(given["out"], _orientation(list(poses), adjusted))
    _finish(settings, given, found, crs, given["measurements"])


@click.command()
@click.argument("points", type=_FILE)
@click.option("--block", "name", required=True, help="The block it is of.")
@click.option("--program", default="", help="By which it was adjusted.")
@click.option("--sigma0", type=float, help="In the image, micrometres.")
@click.option("--listing", type=_FILE, help="The program's listing, to find sigma 0 in.")
@click.option("--crs", help="The CRS of the points; the city's if left out.")
@click.option("--report", type=_FILE, help="Write the report as JSON there.")
@as_json
@click.pass_obj
def triangulated(settings: Settings, /, points: Path, **given: Any) -> None:
    """Publish a contractor's triangulation: POINTS is a CSV of point, kind, x, y, z, vx, vy, vz."""
    found = triangulation.delivered(points, given["listing"], given["program"], given["sigma0"])
    crs = declared_crs(given["crs"]) or options.schemas(settings).city.crs
    _finish(settings, given, found, crs, points)


def _finish(
    settings: Settings, given: dict[str, Any], found: Result, crs: CRS, source: Path
) -> None:
    report = _report(found)
    if given["name"]:
        schemas, database = options.schemas(settings), Database(settings)
        arrived = fingerprint(source)
        report["run"] = store.save_triangulation(
            database, schemas, given["name"], found, crs, arrived
        )
    if given["report"]:
        with disk.writing(given["report"]):
            text = orjson.dumps(report, option=orjson.OPT_INDENT_2).decode()
            disk.write_text(given["report"], text)
    if given["as_json"]:
        options.emit(report)
        return
    _print(report)


def _report(found: Result) -> dict[str, Any]:
    told = rows.triangulation("", found)
    points = [
        {"point": name, "kind": kind, "rays": rays, "residual_m": apart}
        for name, kind, rays, apart in zip(
            found.points, found.kinds, found.rays, _plain(found), strict=True
        )
        if kind != "tie"
    ]
    return {
        "program": told.software,
        "sigma0": {"micrometres": told.sigma0_um},
        "frames": told.frame_count,
        "tie_points": told.tie_count,
        "gross_errors": told.gross_count,
        "control": {
            "points": told.control_count,
            "rmse_m": [told.control_rmse_x_m, told.control_rmse_y_m, told.control_rmse_z_m],
        },
        "check": {
            "points": told.check_count,
            "rmse_m": [told.check_rmse_x_m, told.check_rmse_y_m, told.check_rmse_z_m],
            "enough_for_asprs_2023": told.asprs_2023,
        },
        "points": points,
    }


def _plain(found: Result) -> list[list[float | None]]:
    return [
        [None if not np.isfinite(v) else round(float(v), 4) for v in apart]
        for apart in found.residuals
    ]


def _print(report: dict[str, Any]) -> None:
    sigma = report["sigma0"]["micrometres"]
    frames = "" if report["frames"] is None else f"{report['frames']} frames, "
    options.out(f"{frames}{report['tie_points']} tie points, sigma 0 {_number(sigma)} um")
    if report["gross_errors"]:
        options.out(f"  {report['gross_errors']} measurements left out as gross errors")
    for kind in ("control", "check"):
        rmse = " ".join(_number(value) for value in report[kind]["rmse_m"])
        options.out(f"  {report[kind]['points']} {kind} points, RMSE x y z: {rmse} m")
    if not report["check"]["enough_for_asprs_2023"]:
        options.out(f"  fewer than {ENOUGH} check points: not to ASPRS 2023")
    far = sorted(report["points"], key=lambda p: -max(abs(v or 0) for v in p["residual_m"]))
    for point in far[:_WORST]:
        apart = " ".join(_number(value) for value in point["residual_m"])
        options.out(f"  {point['kind']:<7} {point['point']}: {apart}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _orientation(names: list[str], found: Adjusted) -> str:
    """The adjusted orientation as `makan frames` reads it."""
    lines = ["frame,x,y,z,omega,phi,kappa"]
    angles = np.degrees(rotation.angles(np.array([pose.rotation for pose in found.poses])))
    for name, pose, turned in zip(names, found.poses, angles, strict=True):
        place = ",".join(f"{value:.4f}" for value in pose.centre)
        lines.append(f"{name},{place},{','.join(f'{value:.7f}' for value in turned)}")
    return "\n".join(lines) + "\n"
