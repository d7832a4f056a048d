"""``makan jobs``: work at questions that were asked in the background."""

from __future__ import annotations

import asyncio

import click

from pipeline.answers import workforce
from pipeline.answers.worker import Worker
from pipeline.cli import options
from pipeline.cli.options import audience_option, for_audience
from pipeline.db.engine import Database
from pipeline.settings import Settings


@click.group()
def jobs() -> None:
    """Work at what is asked in the background.

    `makan serve` begins workers beside it (MAKAN_JOB_WORKERS); more of them, on this machine or
    another, are begun here. A job whose worker dies is taken again after ten seconds.
    """


@jobs.command()
@audience_option
@click.option("--workers", type=click.IntRange(1, 64), help="Processes (MAKAN_JOB_WORKERS).")
@click.option("--until-idle", is_flag=True, help="End when no job waits.")
@click.pass_obj
def work(
    settings: Settings, audience: str | None, workers: int | None, *, until_idle: bool
) -> None:
    """Work at jobs of an audience until Ctrl-C; a worker that dies is replaced."""
    schemas = options.schemas(settings)
    settings = for_audience(settings.with_options(job_workers=workers), schemas, audience, None)
    # Brings pages and papers along: only where jobs are worked at.
    from pipeline.serve.binding import binder

    if until_idle:
        made = binder(settings, schemas)
        worker = Worker(Database(settings), schemas, schemas.audience(settings.audience), made)
        try:
            done = asyncio.run(worker.run(asyncio.Event(), until_idle=True))
        finally:
            made.close()
        options.out(f"{done} jobs")
        return
    workforce.supervise(settings, schemas, binder)
