"""``makan accuracy``: a product against check points, as a document."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from pipeline.accuracy import numbers, page, points
from pipeline.accuracy.points import Points
from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.errors import SettingsError
from pipeline.rasters import disk

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("product")
@click.option("--points", "table", required=True, type=_FILE, help="Check points, CSV.")
@click.option("--dem", "model", type=_FILE, help="A model whose heights are checked; else x and y.")
@click.option("--sigma-xy", default=0.0, help="Error of the check points in x and y, metres.")
@click.option("--sigma-z", default=0.0, help="Error of the check points in height, metres.")
@click.option("--limit", type=float, help="What the RMSE may be, metres.")
@click.option("--html", type=_FILE, help="Write the page there.")
@click.option("--language", type=click.Choice(["en", "fa"]), default="en", help="Of the page.")
@as_json
def accuracy(
    product: str, table: Path, model: Path | None, *, as_json: bool, **given: object
) -> None:
    """Tell how accurate PRODUCT (its name on the report) is, by ASPRS 2023 and NSSDA.

    Heights: points with x, y, z in the CRS of the model. Positions in an orthophoto or a map:
    points with x, y and x_measured, y_measured. Under 30 points nothing is passed.
    """
    sigma = float(str(given["sigma_xy"])), float(str(given["sigma_z"]))
    limit = None if given["limit"] is None else float(str(given["limit"]))
    if min(sigma) < 0 or (limit is not None and limit <= 0):
        raise SettingsError("an error or a limit is not above zero")
    read = points.vertical(table, model) if model else points.horizontal(table)
    found = numbers.judge(read.names, read.places, read.differences, sigma, limit)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    if given["html"]:
        target = Path(str(given["html"]))
        with disk.writing(target):
            disk.write_text(target, page.page(product, made, read, found, str(given["language"])))
    if as_json:
        options.emit({"product": product, "made": made, **asdict(found), **_rest(read)})
        return
    enough = "" if found.count >= numbers.ENOUGH else " (fewer than 30: no statement by ASPRS 2023)"
    options.out(f"{product}: {found.kind}, {found.count} check points{enough}")
    options.out(f"  RMSE {found.rmse:.3f} m, with their own error {found.rmse_with_points:.3f} m")
    nssda = "not defined" if found.nssda95 is None else f"{found.nssda95:.3f} m"
    options.out(f"  NSSDA 95 %: {nssda}; verdict: {found.verdict or 'no limit given'}")
    if found.outliers:
        options.out(f"  beyond three RMSE: {', '.join(found.outliers)}")


def _rest(read: Points) -> dict[str, object]:
    rows = zip(read.names, read.places.tolist(), read.differences.tolist(), strict=True)
    listed = [{"point": name, "at": at, "difference": apart} for name, at, apart in rows]
    return {"left_out": read.left_out, "points": listed}
