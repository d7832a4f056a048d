"""``makan feed``: from a file nobody has described to a feed."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli import options
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from pipeline.stages.draft import Drafted, draft


@click.group()
def feed() -> None:
    """Propose a feed for an unknown file."""


@feed.command("draft")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--layer", required=True, help="The layer the file is for.")
@click.option("--id", "name", help="The feed's id; made of the file's name otherwise.")
@click.option("--sheet", help="The layer or sheet inside the file; the first otherwise.")
@click.option("--member", help="The file inside an archive that holds several (a pattern).")
@click.option(
    "--header", default=1, show_default=True, type=click.IntRange(1, 100),
    help="The line of a table that names its columns.",
)  # fmt: skip
@click.option("--write", is_flag=True, help="Write it to schemas/feeds/<city>/ as well.")
@click.pass_obj
def draft_command(
    settings: Settings, /, path: Path, layer: str, write: bool, header: int, **named: str | None
) -> None:
    """Look at FILE and print a feed as TOML: read it, finish it, then run `makan check`.

    Encoding, CRS, column mapping and keys are proposed on evidence that stands beside them as
    comments; what is not sure is commented out.
    """
    schemas = options.schemas(settings)
    drafted = draft(path, layer, schemas, header=header, **named)
    options.out(drafted.toml.rstrip("\n"))
    if write:
        written = _write(drafted, schemas.root / "feeds" / schemas.city.id)
        options.console().print(f"written to {written}", markup=False)
    if drafted.missing:
        options.console().print(
            f"nothing fills the required {', '.join(drafted.missing)} yet", markup=False
        )


def _write(drafted: Drafted, folder: Path) -> Path:
    """An unfinished feed would stop every command, so that its name does not end in .toml yet."""
    place = folder / f"{drafted.id}.toml"
    if place.exists():
        raise SettingsError(f"there is a feed {drafted.id} already", todo="Give another --id.")
    if drafted.missing:
        place = place.with_suffix(".toml.draft")
    folder.mkdir(parents=True, exist_ok=True)
    place.write_text(drafted.toml, encoding="utf-8")
    return place
