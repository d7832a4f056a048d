"""``makan accuracy``: a product against check points, as a document."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pipeline.accuracy import numbers, page, points, publish
from pipeline.accuracy.page import LANGUAGES, Report
from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.errors import SettingsError
from pipeline.rasters import appearance, disk, seams
from pipeline.rasters.shelf import Shelf
from pipeline.serve import running
from pipeline.settings import Settings

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("product")
@click.option("--points", "table", required=True, type=_FILE, help="Check points, CSV.")
@click.option("--dem", "model", type=_FILE, help="A model whose heights are checked; else x and y.")
@click.option("--sigma-xy", default=0.0, help="Error of the check points in x and y, metres.")
@click.option("--sigma-z", default=0.0, help="Error of the check points in height, metres.")
@click.option("--limit", type=float, help="What the RMSE may be, metres.")
@click.option("--raster", "sheets", multiple=True, type=_FILE, help="Its sheets, told of how they "
              "look and fit; several times for several.")  # fmt: skip
@click.option("--html", type=_FILE, help="Write the page there.")
@click.option("--pdf", type=_FILE, help="Write the report as PDF there.")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", help="Of page and PDF.")
@click.option("--publish", "layer", help="Serve the report beside this raster layer's file; its "
              "model is the one whose heights are checked.")  # fmt: skip
@click.option("--sheet", help="The report to be served is about this sheet alone.")
@as_json
@click.pass_obj
def accuracy(settings: Settings, /, as_json: bool, **given: Any) -> None:
    """Tell how accurate PRODUCT (its name on the report) is, by ASPRS 2023 and NSSDA.

    Heights: points with x, y, z in the CRS of the model. Positions in an orthophoto or a map:
    points with x, y and x_measured, y_measured. Under 30 points nothing is passed.
    """
    if min(given["sigma_xy"], given["sigma_z"]) < 0 or (given["limit"] or 1) <= 0:
        raise SettingsError("an error or a limit is not above zero")
    shelf, file = _place(settings, given)
    report = _report(file, given, options.schemas(settings).city.timezone)
    language = given["language"]
    if given["html"]:
        with disk.writing(given["html"]):
            disk.write_text(given["html"], page.page(report, language))
    if given["pdf"]:
        with disk.writing(given["pdf"]):
            disk.write_bytes(given["pdf"], page.printed(report, [language])[0])
    written: list[Path] = []
    if shelf is not None and file is not None:
        written = publish.publish(shelf, file, report)
        running.tell(settings.home)
    if as_json:
        options.emit(report.plain())
        return
    _tell(report)
    for path in written:
        options.out(f"  {path}")


def _place(settings: Settings, given: dict[str, Any]) -> tuple[Shelf | None, Path | None]:
    """The layer beside whose file the report is served, and the file that it is about."""
    if given["layer"] is None:
        return None, given["model"] or (given["sheets"][0] if len(given["sheets"]) == 1 else None)
    contract = options.schemas(settings).raster(given["layer"])
    shelf = Shelf(settings.home, contract.id)
    file = publish.about(shelf, given["sheet"])
    if contract.is_terrain and given["model"] is None:
        given["model"] = file
    return shelf, file


def _report(file: Path | None, given: dict[str, Any], zone: str) -> Report:
    model: Path | None = given["model"]
    read = points.vertical(given["table"], model) if model else points.horizontal(given["table"])
    sigma = given["sigma_xy"], given["sigma_z"]
    found = numbers.judge(read.names, read.places, read.differences, sigma, given["limit"])
    made = datetime.now(UTC).isoformat(timespec="seconds")
    sheets = list(given["sheets"]) or ([file] if file else [])
    looks = [appearance.of(sheet) for sheet in sheets]
    blurred, fit = appearance.blurred(looks), seams.between(sheets)
    above = points.heights_above(model) if model else None
    return Report(given["product"], made, read, found, looks, blurred, fit, file, above, zone)


def _tell(report: Report) -> None:
    found = report.found
    enough = "" if found.count >= numbers.ENOUGH else " (fewer than 30: no statement by ASPRS 2023)"
    options.out(f"{report.product}: {found.kind}, {found.count} check points{enough}")
    options.out(f"  RMSE {found.rmse:.3f} m, with their own error {found.rmse_with_points:.3f} m")
    nssda = "not defined" if found.nssda95 is None else f"{found.nssda95:.3f} m"
    options.out(f"  NSSDA 95 %: {nssda}; verdict: {found.verdict or 'no limit given'}")
    if found.outliers:
        options.out(f"  beyond three RMSE: {', '.join(found.outliers)}")
