"""``makan schema``: what derives from the contracts, as files and as SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel

from pipeline import paths
from pipeline.answers.formulas import Formulas
from pipeline.cli import options
from pipeline.contracts.audience import Audiences
from pipeline.contracts.city import City
from pipeline.contracts.fact import FactContract
from pipeline.contracts.feed import Feed
from pipeline.contracts.group import Groups
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.process import Process
from pipeline.contracts.raster import RasterContract
from pipeline.contracts.registry import Schemas
from pipeline.derive import ddl, dictionary, processes
from pipeline.errors import ContractError
from pipeline.findings import Catalog
from pipeline.settings import Settings

_MODELS: dict[str, type[BaseModel]] = {
    "layer": LayerContract,
    "feed": Feed,
    "city": City,
    "raster": RasterContract,
    "fact": FactContract,
    "audiences": Audiences,
    "groups": Groups,
    "process": Process,
    "formulas": Formulas,
}
_REVISION = '''"""{title}."""

from pipeline.db.migrate import run_sql

revision = "{number}"
down_revision = "{last}"


def upgrade() -> None:
    """Forward only: a database goes back by its backup, not by guessing."""
    run_sql("{number}_{name}.sql")
'''
_CLI_HEAD = "# Commands\n\nMade by `makan schema generate` from the commands' own help.\n"


@click.group()
def schema() -> None:
    """Derive SQL, JSON Schema and documentation from the contracts."""


@schema.command("ddl")
@click.argument("layers", nargs=-1)
@click.pass_obj
def show_ddl(settings: Settings, layers: tuple[str, ...]) -> None:
    """Print the SQL that makes the tables of LAYERS (all if none), for a new migration."""
    for statement in ddl.create_statements(options.schemas(settings), *layers):
        options.out(statement)


@schema.command()
@click.argument("name")
@click.argument("layers", nargs=-1, required=True)
@click.pass_obj
def migration(settings: Settings, name: str, layers: tuple[str, ...]) -> None:
    """Write the migration NAME, which makes the tables of new LAYERS: a revision and its SQL."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise click.BadParameter("small letters, digits and _", param_hint="NAME")
    statements = ddl.create_statements(options.schemas(settings), *layers)
    folder = paths.schemas() / "migrations"
    _refuse_made(folder / "sql", layers)
    last = max(path.stem[:4] for path in (folder / "versions").glob("[0-9]*.py"))
    number = f"{int(last) + 1:04}"
    written = {
        folder / "sql" / f"{number}_{name}.sql": "\n".join(statements) + "\n",
        folder / "versions" / f"{number}_{name}.py": _REVISION.format(
            title=f"Tables of {', '.join(layers)}", number=number, last=last, name=name
        ),
    }
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
        options.out(str(path))


def _refuse_made(folder: Path, layers: tuple[str, ...]) -> None:
    """A layer that has its table needs what has changed, which only its writer knows."""
    made = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.sql"))
    for layer in layers:
        if re.search(rf"CREATE TABLE data\.{re.escape(layer)}\b", made):
            raise ContractError(
                f"the layer {layer} has its table",
                todo="Write what changes in it by hand; `makan schema ddl` prints how it is to be.",
            )


@schema.command()
@click.option("--check", is_flag=True, help="Change nothing; fail if a file is not fresh.")
@click.pass_context
def generate(context: click.Context, check: bool) -> None:
    """Write the files that derive from the contracts: dictionary, schemas, command list."""
    root = paths.schemas().parent
    schemas = options.schemas(Settings())
    stale = []
    for name, text in _files(schemas, context.find_root().command):
        path = root / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if check and stale:
        raise ContractError(
            f"not fresh: {', '.join(map(str, stale))}",
            todo="Run `makan schema generate` and commit.",
        )
    options.console().print(f"{len(stale)} files written" if stale else "all files are fresh")


def _files(schemas: Schemas, root: click.Command) -> Iterator[tuple[Path, str]]:
    yield Path("docs/data-dictionary.md"), dictionary.markdown(schemas)
    yield Path("docs/findings.md"), dictionary.findings_markdown(Catalog.load())
    yield Path("docs/processes.md"), processes.markdown(schemas)
    yield Path("docs/commands.md"), _CLI_HEAD + "\n".join(_help(root, "makan"))
    for name, model in _MODELS.items():
        text = json.dumps(model.model_json_schema(), indent=1, ensure_ascii=False)
        yield Path(f"schemas/json/{name}.schema.json"), text + "\n"


def _help(command: click.Command, name: str) -> Iterator[str]:
    """The help of a command and all below it, as Markdown; width fixed so that it is the same
    everywhere."""
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    yield f"## {name}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in sorted(command.list_commands(context)):
            found = command.get_command(context, child)
            if found is not None:
                yield from _help(found, f"{name} {child}")
