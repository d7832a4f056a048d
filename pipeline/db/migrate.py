"""Brings a database to what the contracts say: roles, migrations, then the derived objects."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import LiteralString

import psycopg
from alembic import command, op
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Connection, create_engine

from pipeline import paths
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.city import check_city as check_city
from pipeline.db.cluster import ROLES, SUPERUSER
from pipeline.db.engine import Database, unreachable
from pipeline.derive import tables, views
from pipeline.derive.ddl import DIALECT
from pipeline.errors import ContractError, DatabaseError

_MINIMUM_POSTGIS = (3, 3)


def run_sql(file: str) -> None:
    """Runs schemas/migrations/sql/``file``; ``:srid`` is the city's. Called by revisions."""
    text = (paths.schemas() / "migrations" / "sql" / file).read_text(encoding="utf-8")
    srid = op.get_context().config.attributes["srid"]  # type: ignore[union-attr]
    connection: psycopg.Connection[tuple[object, ...]] = op.get_bind().connection.driver_connection  # type: ignore[assignment]
    connection.execute(text.replace(":srid", str(int(srid))).encode())


def migrate(database: Database, schemas: Schemas) -> None:
    """Roles, schemas, migrations and derived objects; safe to run again at any time.

    Raises DatabaseError when the database is another city's or lacks PostGIS, ContractError when
    data that are loaded contradict a changed contract.
    """
    if database.is_private:
        _bootstrap_private(database)
    else:
        _bootstrap_shared(database)
    _upgrade(database, schemas)
    with database.connect("owner") as connection:
        _own_city(connection, schemas)
        _derive(connection, schemas)


def _bootstrap_private(database: Database) -> None:
    cluster, name = database.cluster, database.settings.database
    state = cluster.state()
    named = queries.load("bootstrap")
    with psycopg.connect(cluster.uri(SUPERUSER, "postgres"), autocommit=True) as connection:
        if connection.execute(named["database_exists"], [name]).fetchone():
            return
        for role in ROLES:
            login = f"makan_{role}"
            if not connection.execute(named["role_exists"], [login]).fetchone():
                connection.execute(
                    sql.SQL(named["create_login"]).format(
                        name=sql.Identifier(login), password=sql.Literal(state[f"password_{login}"])
                    )
                )
        connection.execute(sql.SQL(named["create_database"]).format(name=sql.Identifier(name)))
    with psycopg.connect(cluster.uri(SUPERUSER, name)) as connection:
        connection.execute(named["create_extensions"])
        connection.execute(named["create_schemas"])
        connection.execute(named["close_public"])


def _bootstrap_shared(database: Database) -> None:
    named = queries.load("bootstrap")
    try:
        connection = psycopg.connect(database.settings.database_url, connect_timeout=3)
    except psycopg.ProgrammingError:
        database.uri("owner")
        raise
    except psycopg.OperationalError as error:
        raise unreachable(error, private=False) from None
    with connection:
        try:
            _make_shared(connection, named)
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                f"the login may not prepare the database ({error.diag.message_primary})",
                todo="Let an administrator run schemas/sql/bootstrap.sql: roles makan_owner, "
                "makan_loader, makan_reader granted to this login, extension postgis.",
            ) from None
        found = connection.execute(named["postgis_version"]).fetchone()
        version = tuple(int(part) for part in str(found[0]).split(".")[:2]) if found else (0, 0)
        if version < _MINIMUM_POSTGIS:
            raise DatabaseError("PostGIS is older than 3.3", todo="Update the server's PostGIS.")


def _make_shared(
    connection: psycopg.Connection[tuple[object, ...]], named: dict[str, LiteralString]
) -> None:
    for role in ROLES:
        name = f"makan_{role}"
        if not connection.execute(named["role_exists"], [name]).fetchone():
            connection.execute(sql.SQL(named["create_role"]).format(name=sql.Identifier(name)))
        connection.execute(sql.SQL(named["grant_role"]).format(name=sql.Identifier(name)))
    if not connection.execute(named["postgis_exists"]).fetchone():
        connection.execute(named["create_extensions"])
    connection.execute(named["create_schemas"])


def _upgrade(database: Database, schemas: Schemas) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database.uri("owner"))
    )
    config = Config()
    config.set_main_option("script_location", str(schemas.root / "migrations"))
    config.attributes["srid"] = schemas.city.srid
    try:
        with engine.connect() as connection, connection.begin():
            config.attributes["connection"] = connection
            _lock(connection)
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _lock(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('makan migrate'))")


def _own_city(connection: psycopg.Connection[tuple[object, ...]], schemas: Schemas) -> None:
    city = schemas.city
    connection.execute(queries.load("bootstrap")["claim_city"], [city.id, city.srid])
    check_city(connection, schemas)


def _derive(connection: psycopg.Connection[tuple[object, ...]], schemas: Schemas) -> None:
    """City checks, views and grants; skipped where contracts and profile are as they were."""
    statements = derived_statements(schemas)
    digest = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    named = queries.load("bootstrap")
    known = connection.execute(named["read_city"]).fetchone()
    if known and known[2] == digest:
        return
    connection.execute(named["drop_derived"])
    for statement in statements:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.CheckViolation as error:
            raise ContractError(
                f"rows that are loaded contradict {error.diag.constraint_name}",
                where=str(Path("schemas") / "layers" / f"{error.diag.table_name}.toml"),
                todo="Load a corrected delivery first, or take the code back into the list.",
            ) from None
    connection.execute(named["grants"])
    connection.execute(named["remember_digest"], [digest])


def derived_statements(schemas: Schemas) -> list[str]:
    """All statements that make the city's checks and the api views, in order."""
    made = tables.metadata(schemas)
    statements = []
    for name in schemas.load_order:
        layer = schemas.layers[name]
        table = made.tables[f"{tables.DATA}.{name}"]
        for constraint, condition in tables.city_checks(schemas, layer, table).items():
            text = condition.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
            head = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ").format(
                sql.Identifier(tables.DATA, name), sql.Identifier(constraint)
            )
            statements.append(f"{head.as_string(None)}({str(text).replace('%%', '%')})")
        if layer.is_public:
            statements.append(views.view(schemas, layer).as_string(None))
    layers = (schemas.layers[name] for name in schemas.load_order)
    made_version = views.version(queries.load("serve")["version_view"], layers)
    statements.append(made_version.as_string(None))
    return statements
