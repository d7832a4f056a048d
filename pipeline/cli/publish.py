"""``makan publish``: render the server's configuration and its OpenAPI document."""

from __future__ import annotations

import click

from pipeline.cli.options import (
    as_json,
    audience_option,
    console,
    emit,
    for_audience,
    schemas,
)
from pipeline.db.engine import Database
from pipeline.serve import downloads, running
from pipeline.serve import publish as publishing
from pipeline.serve.tile_seed import Offline
from pipeline.settings import Settings


@click.command()
@audience_option
@click.option("--files/--no-files", default=True, help="Make a file of each collection, too.")
@as_json
@click.pass_obj
def publish(
    settings: Settings, as_json: bool, files: bool = True, audience: str | None = None
) -> None:
    """Render the server's configuration and OpenAPI document from contracts and loaded data, and
    make the files that are offered for download of what has changed since."""
    found = schemas(settings)
    settings = for_audience(settings, found, audience)
    place = publishing.publish(settings, found, Database(settings))
    made = []
    if files:
        made = downloads.refresh(settings, Offline(settings, found), lambda _: None)
    told = running.tell(settings.home)
    if as_json:
        emit({"config": str(place.config), "openapi": str(place.openapi), "servers_told": told,
              "files": [one.name for one in made]})  # fmt: skip
    else:
        console().print(f"published {place.config} and {place.openapi.name}")
        if made:
            console().print(f"{len(made)} files made for download")
        if told:
            console().print("the running server takes it up now")
