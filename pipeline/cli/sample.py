"""``makan sample``: a believable city, written as offices would send it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.cli import options
from pipeline.sample import city


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--parcels", default=2000, show_default=True, help="How many parcels, 50 or more.")
@click.option("--seed", default=1, show_default=True, help="Another number, another city.")
@click.option("--dirt", default=0.0, show_default=True, help="Share of rows with a planted fault.")
@click.option("--torn", default=0, show_default=True, help="Faults of each kind in the fabric.")
@click.option("--imagery/--no-imagery", default=True, help="Paint the orthophoto too.")
@options.as_json
def sample(
    out: Path,
    *,
    parcels: int,
    seed: int,
    dirt: float,
    torn: int = 0,
    imagery: bool = True,
    as_json: bool = False,
) -> None:
    """Write a believable city into OUT, with a list of every planted fault (truth.json)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=options.console(), transient=True) as bar:
        task = bar.add_task("sample")

        def tell(step: str, done: int, total: int) -> None:
            bar.update(task, description=step, completed=done, total=total)

        summary = city.write(
            out, parcels=parcels, seed=seed, dirt=dirt, torn=torn, progress=tell, imagery=imagery
        )
    if as_json:
        options.emit(summary)
        return
    for name, rows in summary["rows"].items():
        options.out(f"{name}: {rows:,} rows")
    options.out(f"planted faults: {sum(summary['faults'].values()):,} (truth.json)")
