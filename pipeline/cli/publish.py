"""``makan publish``: render the server's configuration and its OpenAPI document."""

from __future__ import annotations

import click

from pipeline.cli.options import as_json, console, emit, schemas
from pipeline.db.engine import Database
from pipeline.serve import publish as publishing
from pipeline.serve import running
from pipeline.settings import Settings


@click.command()
@as_json
@click.pass_obj
def publish(settings: Settings, as_json: bool) -> None:
    """Render the server's configuration and OpenAPI document from contracts and loaded data."""
    place = publishing.publish(settings, schemas(settings), Database(settings))
    told = running.tell(settings.home)
    if as_json:
        emit({"config": str(place.config), "openapi": str(place.openapi), "servers_told": told})
    else:
        console().print(f"published {place.config} and {place.openapi.name}")
        if told:
            console().print("the running server takes it up now")
