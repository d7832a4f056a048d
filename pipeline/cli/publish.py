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
from pipeline.serve import publish as publishing
from pipeline.serve import running
from pipeline.settings import Settings


@click.command()
@audience_option
@as_json
@click.pass_obj
def publish(settings: Settings, as_json: bool, audience: str | None = None) -> None:
    """Render the server's configuration and OpenAPI document from contracts and loaded data."""
    found = schemas(settings)
    settings = for_audience(settings, found, audience)
    place = publishing.publish(settings, found, Database(settings))
    told = running.tell(settings.home)
    if as_json:
        emit({"config": str(place.config), "openapi": str(place.openapi), "servers_told": told})
    else:
        console().print(f"published {place.config} and {place.openapi.name}")
        if told:
            console().print("the running server takes it up now")
