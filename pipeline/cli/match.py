"""``makan match`` and ``makan population``: what the joined layers tell."""

from __future__ import annotations

from dataclasses import asdict

import click
import shapely

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.contracts.fact import FactContract
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.joins.population import By, population_in
from pipeline.joins.report import MatchReport, report
from pipeline.settings import Settings


@click.command()
@click.argument("name")
@click.option("--samples", default=20, show_default=True, help="How many of what is left over.")
@as_json
@click.pass_obj
def match(settings: Settings, name: str, samples: int, as_json: bool) -> None:
    """Report how a match went: NAME is audit, postcode, census ... (a fact of the kind match).

    Method by count, numbers without each other both ways, what is left over, and where the
    measures of both sides differ.
    """
    schemas = options.schemas(settings)
    found = report(Database(settings), schemas, _fact(schemas, name), samples=samples)
    if as_json:
        options.emit(asdict(found))
    else:
        _print(found)


def _fact(schemas: Schemas, name: str) -> FactContract:
    matches = [fact for fact in schemas.facts.values() if fact.kind == "match"]
    chosen = [fact for fact in matches if fact.id == name or fact.id.startswith(f"{name}_")]
    if len(chosen) != 1:
        known = ", ".join(fact.id for fact in matches)
        raise SettingsError(f"{name} is not one match", todo=f"Known are: {known}.")
    return chosen[0]


def _print(found: MatchReport) -> None:
    options.out(f"{found.fact}: {found.subjects} rows")
    for one in found.methods:
        share = one.subjects / max(found.subjects, 1)
        options.out(f"{one.subjects:>9} {share:7.2%} {one.method} ({one.quality}), "
                    f"{one.objects} objects")  # fmt: skip
    if found.numbers:
        n = found.numbers
        options.out(f"numbers: {n.objects} of objects ({n.aside} set aside), {n.subjects} in rows")
        options.out(
            f"{n.without_subject:>9} objects' numbers without a row ({n.aside_without} set aside)"
        )
        options.out(f"{n.without_object:>9} rows' numbers without an object")
        options.out(f"{n.several_subjects:>9} numbers with several rows")
        options.out(f"{n.waiting:>9} numbers whose object is set aside")
    options.out(f"{found.objects_without:>9} objects without a row, such as "
                f"{', '.join(found.objects_without_samples[:5]) or '-'}")  # fmt: skip
    for layer, without in found.laid.items():
        options.out(f"{without.count:>9} of them with a {layer}, such as "
                    f"{', '.join(without.samples[:5]) or '-'}")  # fmt: skip
    for limit, count in found.distances.items():
        options.out(f"{count:>9} within {limit} m")
    for compared in found.compared:
        options.out(f"{compared.id}: {compared.differing} of {compared.compared} differ")
        for ratio, count in compared.ratios.items():
            options.out(f"{count:>9} at {ratio} of what is measured")
    for left in found.left_over:
        options.out(f"  {left['method']}: {left['key']} says {left['said'] or 'nothing'}")


@click.command()
@click.argument("box", nargs=4, type=float)
@click.option("--year", type=int, help="Of which census; the latest if none is given.")
@click.option(
    "--by", type=click.Choice(["dwelling", "area"]), default="dwelling", help="How blocks are cut."
)
@as_json
@click.pass_obj
def population(
    settings: Settings,
    box: tuple[float, float, float, float],
    year: int | None,
    by: By,
    as_json: bool,
) -> None:
    """Estimate how many people live in BOX: west south east north in the city's CRS."""
    found = population_in(
        Database(settings), options.schemas(settings), shapely.box(*box), year=year, by=by
    )
    if found is None:
        raise SettingsError("no census is loaded", todo="Load census blocks and figures first.")
    if as_json:
        options.emit(asdict(found))
        return
    for name, value in asdict(found).items():
        options.out(f"{name}: {value}")
