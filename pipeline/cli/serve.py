"""``makan serve``: the city's services until Ctrl-C."""

from __future__ import annotations

import click

from pipeline.cli.options import audience_option, for_audience, schemas
from pipeline.serve import server
from pipeline.settings import Settings


@click.command()
@audience_option
@click.option("--host", help="Address to listen on (MAKAN_HOST).")
@click.option("--port", type=click.IntRange(1, 65535), help="Port (MAKAN_PORT).")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes (MAKAN_WORKERS).")
@click.pass_obj
def serve(
    settings: Settings,
    audience: str | None = None,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
) -> None:
    """Publish and serve; prints one line `ready http://HOST:PORT/` when every worker is warm.

    Each audience has a server of its own, which logs in as that audience's role; that of staff
    listens on the port after MAKAN_PORT and asks for a key (`makan access add`).
    """
    settings = settings.with_options(host=host, workers=workers)
    found = schemas(settings)
    server.serve(for_audience(settings, found, audience, port), found)
