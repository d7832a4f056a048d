"""``makan db``: the private cluster, and bringing any database to what the contracts say."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli import fresh
from pipeline.cli.options import as_json, console, emit, out, schemas
from pipeline.db import backup as saving
from pipeline.db import migrate as migration
from pipeline.db.engine import Database
from pipeline.errors import SettingsError
from pipeline.settings import Settings


@click.group()
def db() -> None:
    """Start, stop and prepare the database."""


@db.command()
@click.pass_obj
def start(settings: Settings) -> None:
    """Start the private PostgreSQL (made at the first call) and bring it up to the contracts."""
    database = Database(settings)
    if database.is_private:
        started = database.cluster.start()
        console().print("database started" if started else "database runs already")
    migration.migrate(database, schemas(settings))
    fresh.after_migration(settings, schemas(settings), derive=True)


@db.command()
@click.option("--no-derive", is_flag=True, help="Leave facts that are made anew to `makan derive`.")
@click.pass_obj
def migrate(settings: Settings, no_derive: bool) -> None:
    """Bring the database to what the contracts say; safe to repeat.

    Facts whose contract has changed are worked out again, as are layers seen from afar.
    """
    migration.migrate(Database(settings), schemas(settings))
    fresh.after_migration(settings, schemas(settings), derive=not no_derive)
    console().print(f"database is ready for the city {settings.city}")


@db.command()
@click.pass_obj
def stop(settings: Settings) -> None:
    """Stop the private PostgreSQL."""
    stopped = _private(settings).cluster.stop()
    console().print("database stopped" if stopped else "database does not run")


@db.command()
@as_json
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """Say which database is used and whether it answers."""
    database = Database(settings)
    private = database.is_private
    facts: dict[str, object] = {
        "kind": "private" if private else "MAKAN_DATABASE_URL",
        "running": database.cluster.is_running() if private else None,
    }
    if not private or facts["running"]:
        with database.connect("loader") as connection:
            migration.check_city(connection, schemas(settings))
            version = connection.execute("SELECT version(), postgis_version()").fetchone()
        facts |= {"running": True, "city": settings.city, "server": version}
    if as_json:
        emit(facts)
    else:
        for name, value in facts.items():
            out(f"{name}: {value}")


@db.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.pass_obj
def backup(settings: Settings, folder: Path) -> None:
    """Write a backup to the new FOLDER: the private database as of now, and the files below
    MAKAN_HOME. Servers and loads may go on. It holds secrets."""
    size = saving.save(_private(settings), folder)
    console().print(f"backup written to {folder}, {size / 1e6:,.1f} MB")


@db.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.pass_obj
def restore(settings: Settings, folder: Path) -> None:
    """Make an empty MAKAN_HOME, its database and files, of the backup FOLDER, and bring it up to
    the contracts."""
    saving.restore(_private(settings), schemas(settings), folder)
    fresh.after_migration(settings, schemas(settings), derive=True)
    console().print(f"restored to {settings.home}; publish and serve it")


@db.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(settings: Settings, yes: bool) -> None:
    """Remove the private database with all that is loaded."""
    database = _private(settings)
    if not yes:
        click.confirm(f"Remove everything in {database.cluster.folder}?", abort=True)
    database.cluster.destroy()
    console().print("database removed")


def _private(settings: Settings) -> Database:
    database = Database(settings)
    if not database.is_private:
        raise SettingsError(
            "MAKAN_DATABASE_URL is set: that server is not Makan's to stop or remove",
            todo="Unset it to manage the private database.",
        )
    return database
