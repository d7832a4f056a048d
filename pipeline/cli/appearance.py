"""``makan raster quality``: how pictures look, without any ground truth."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.rasters import appearance


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@as_json
def quality(files: tuple[Path, ...], as_json: bool) -> None:
    """Tell how FILES (pictures of one block) look: sharpness, clipped tones, holes."""
    found = [appearance.of(path) for path in files]
    blurred = appearance.blurred(found)
    if as_json:
        options.emit({"files": [asdict(one) for one in found], "blurred": blurred})
        return
    for one in found:
        sharp = "-" if one.sharpness is None else f"{one.sharpness:.2f}"
        tones = f"dark {one.dark_share:.2%}, bright {one.bright_share:.2%}"
        holes = f"{one.holes} hole(s) of {one.hole_m2:,.0f} m2"
        less = ", less sharp than the others" if one.file in blurred else ""
        options.out(f"{one.file}: sharpness {sharp}{less}, {tones}, {holes}")
