"""Reports beside the raster that they are about, from where the server shows and links them."""

from __future__ import annotations

from pathlib import Path

import orjson

from pipeline.accuracy.page import LANGUAGES, Report, page, printed
from pipeline.contracts.raster import ServedRaster
from pipeline.errors import SettingsError
from pipeline.rasters import disk
from pipeline.rasters.shelf import Shelf


def about(shelf: Shelf, sheet: str | None) -> Path:
    """The COG that a report of the layer is about: what is served, or one sheet in force.

    Raises SettingsError where there is no such file.
    """
    served = shelf.served()
    if served is None:
        raise SettingsError(f"no file of {shelf.layer} is served", todo="`makan raster load` it.")
    if sheet is None:
        return shelf.absolute(served.path)
    known = {name: part.path for part in served.parts for name in (part.sheet, part.name)}
    if sheet not in known:
        raise SettingsError(
            f"no sheet {sheet} of {shelf.layer} is in force", todo="See `makan raster list`."
        )
    return shelf.absolute(known[sheet])


def publish(shelf: Shelf, file: Path, report: Report) -> list[Path]:
    """Writes the report about ``file`` as JSON, as pages and as PDFs, one a language."""
    name = file.name.removesuffix(".tif")
    made = {f"{language}.html": page(report, language).encode() for language in LANGUAGES}
    for language, content in zip(LANGUAGES, printed(report, LANGUAGES), strict=True):
        made[f"{language}.pdf"] = content
    # Last, since it is what the server looks for.
    made["json"] = orjson.dumps(report.plain(), option=orjson.OPT_SERIALIZE_NUMPY)
    written = []
    for ending, content in made.items():
        path = ServedRaster.report(shelf.home, shelf.layer, name, ending)
        with disk.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.write_bytes(path, content)
        written.append(path)
    return written
