"""``makan raster quality``: how sheets look and fit, without any ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.rasters import appearance
from pipeline.rasters.seams import between
from pipeline.rasters.seams import told as in_words


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@as_json
def quality(files: tuple[Path, ...], as_json: bool) -> None:
    """Tell how FILES (sheets of one block) look and fit, without any ground truth.

    Of each: size of a pixel, sharpness, clipped tones, holes. Of each two that overlap: how far
    one is displaced against the other, and how far their values are apart; of two that touch: the
    step at the seam.
    """
    found = [appearance.of(path) for path in files]
    blurred, seams = appearance.blurred(found), between(list(files))
    if as_json:
        told = {"files": [asdict(one) for one in found], "blurred": blurred}
        options.emit({**told, "seams": [asdict(seam) for seam in seams]})
        return
    for one in found:
        options.out(f"{one.file}: {', '.join(_told(one, blurred))}")
    for seam in seams:
        options.out(f"{seam.one} and {seam.other}: {'; '.join(in_words(seam))}")


def _told(one: appearance.Appearance, blurred: list[str]) -> Iterator[str]:
    yield f"pixel {one.pixel_m:.3g} m"
    if one.dark_share is not None and one.bright_share is not None:
        less = ", less sharp than the others" if one.file in blurred else ""
        yield f"sharpness {'-' if one.sharpness is None else f'{one.sharpness:.2f}'}{less}"
        yield f"dark {one.dark_share:.2%}, bright {one.bright_share:.2%}"
    yield f"{one.holes} hole(s) of {one.hole_m2:,.0f} m2"
