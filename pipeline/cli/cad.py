"""``makan cad``: drawn sheets as areas, through all stages."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import click

from pipeline.cli import load as loaded
from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.db.arrival import fingerprint
from pipeline.errors import ResourceError, SettingsError
from pipeline.settings import Settings


@click.group()
def cad() -> None:
    """Make numbered areas of drawn lines and texts."""


@cad.command()
@click.argument("sheets", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--feed", required=True, help="A feed with a [cad] section.")
@click.option("--check", "only_check", is_flag=True, help="Load nothing: needs no database.")
@as_json
@click.pass_context
def build(
    context: click.Context, sheets: tuple[Path, ...], feed: str, only_check: bool, as_json: bool
) -> None:
    """Make the areas of SHEETS (drawings, or a folder of them) and load them as FEED says.

    The sheets are one delivery: lines are joined across their edges. Several files are copied to
    a folder below MAKAN_HOME first, so that the ledger can name it.
    """
    settings: Settings = context.obj
    rules = options.schemas(settings).feed(feed).cad
    if rules is None:
        raise SettingsError(
            f"the feed {feed} has no [cad] section", todo="It says what each drawing layer is."
        )
    place = sheets[0] if len(sheets) == 1 else _together(sheets, settings.home / "sheets")
    command = loaded.check if only_check else loaded.load
    context.invoke(command, feed=feed, paths=(place,), as_json=as_json)


def _together(sheets: tuple[Path, ...], home: Path) -> Path:
    """One folder of all sheets, named by what is in them: the same sheets are the same folder."""
    names = [one.name for one in sheets]
    if len(set(names)) < len(names):
        raise SettingsError("two sheets have the same name", todo="Rename one of them.")
    digests = "".join(sorted(fingerprint(one).sha256 for one in sheets))
    folder = home / hashlib.sha256(digests.encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in sheets:
            shutil.copyfile(one, folder / one.name)
    except OSError as error:
        raise ResourceError(
            f"cannot be written ({error.strerror})", where=str(folder), todo="Free disk space."
        ) from None
    return folder
