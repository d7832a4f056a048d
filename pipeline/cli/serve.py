"""``makan serve``: the city's services until Ctrl-C."""

from __future__ import annotations

import click

from pipeline.cli.options import schemas
from pipeline.serve import server
from pipeline.settings import Settings


@click.command()
@click.option("--host", help="Address to listen on (MAKAN_HOST).")
@click.option("--port", type=click.IntRange(1, 65535), help="Port (MAKAN_PORT).")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes (MAKAN_WORKERS).")
@click.pass_obj
def serve(settings: Settings, host: str | None, port: int | None, workers: int | None) -> None:
    """Publish and serve; prints one line `ready http://HOST:PORT/` when every worker is warm."""
    settings = settings.with_options(host=host, port=port, workers=workers)
    server.serve(settings, schemas(settings))
