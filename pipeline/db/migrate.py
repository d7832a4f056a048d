"""Brings a database to what the contracts say: roles, migrations, then the derived objects."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
from alembic import command, op
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Connection as EngineConnection
from sqlalchemy import create_engine

from pipeline import paths
from pipeline.contracts.audience import Audience
from pipeline.contracts.registry import Schemas
from pipeline.db import deferred, queries, statements
from pipeline.db.city import check_city as check_city
from pipeline.db.cluster import SUPERUSER, Cluster, roles
from pipeline.db.engine import Connection, Database, unreachable
from pipeline.derive import facts, generalised
from pipeline.errors import ContractError, DatabaseError

_MINIMUM_POSTGIS = (3, 3)
_PRIVATE_ROLE = "makan_private"
#: Of all servers of an audience together: edits are short, and those of a layer take turns.
WRITER_CONNECTIONS = 20


def run_sql(file: str) -> None:
    """Runs schemas/migrations/sql/``file``; ``:srid`` is the city's. Called by revisions."""
    text = (paths.schemas() / "migrations" / "sql" / file).read_text(encoding="utf-8")
    srid = op.get_context().config.attributes["srid"]  # type: ignore[union-attr]
    connection: Connection = op.get_bind().connection.driver_connection  # type: ignore[assignment]
    connection.execute(text.replace(":srid", str(int(srid))).encode())


def migrate(database: Database, schemas: Schemas) -> None:
    """Roles, schemas, migrations and derived objects; safe to run again at any time.

    Raises DatabaseError when the database is another city's or lacks PostGIS, ContractError when
    data that are loaded contradict a changed contract.
    """
    if database.is_private:
        try:
            _bootstrap_private(database, schemas)
        except psycopg.OperationalError as error:  # such as one that is being stopped
            raise unreachable(error, private=True) from None
    else:
        _bootstrap_shared(database, schemas)
    _upgrade(database, schemas)
    with database.connect("owner") as connection:
        _own_city(connection, schemas)
        _make_facts(connection, schemas)
        _make_generalised(connection, schemas)
        _derive(connection, schemas)
    with database.connect("loader", autocommit=True) as connection:
        deferred.make(database, connection)


def _make_facts(connection: Connection, schemas: Schemas) -> None:
    """Tables of facts: made anew, empty, where the contract has changed; they can be worked out."""
    named = queries.load("facts")
    rows = connection.execute(named["known"]).fetchall()
    known = {str(name): str(digest) for name, digest, _ in rows}
    kept = {str(name): f"{name}.{generation}" for name, _, generation in rows}
    wanted = {fact.id: facts.digest(schemas, fact) for fact in schemas.fact_order}
    stale = [name for name in known.keys() | wanted.keys() if known.get(name) != wanted.get(name)]
    for name in stale:
        if name in known:
            relation = sql.Identifier(facts.KEPT, kept[name])
            connection.execute(sql.SQL(named["drop"]).format(table=relation))
            connection.execute(named["forget"], {"fact": name})
        if name in wanted:
            connection.execute(facts.table(schemas.facts[name], schemas.city.srid))
            connection.execute(named["enter"], {"fact": name, "digest": wanted[name]})
    connection.execute(named["grants"])
    if stale:  # the views over them went with them
        connection.execute(queries.load("bootstrap")["remember_digest"], [None])


def _make_generalised(connection: Connection, schemas: Schemas) -> None:
    """Tables of layers seen from afar, as those of facts."""
    named = queries.load("generalised")
    rows = connection.execute(named["known"]).fetchall()
    known = {str(name): str(digest) for name, digest in rows}
    wanted = {one.id: generalised.digest(schemas, one) for one in generalised.layers(schemas)}
    stale = [name for name in known.keys() | wanted.keys() if known.get(name) != wanted.get(name)]
    for name in stale:
        relation = sql.Identifier(generalised.GENERALISED, name)
        connection.execute(sql.SQL(named["drop"]).format(table=relation))
        connection.execute(named["forget"], {"layer": name})
        if name in wanted:
            connection.execute(generalised.table(schemas, schemas.layers[name]))
            connection.execute(named["enter"], {"layer": name, "digest": wanted[name]})
    connection.execute(named["grants"])
    if stale:  # the views over them went with them
        connection.execute(queries.load("bootstrap")["remember_digest"], [None])


def prepare(database: Database, schemas: Schemas) -> None:
    """Logins, extensions and empty schemas of a private database, before its tables."""
    _bootstrap_private(database, schemas)


def _bootstrap_private(database: Database, schemas: Schemas) -> None:
    cluster, name = database.cluster, database.settings.database
    named = queries.load("bootstrap")
    with psycopg.connect(cluster.uri(SUPERUSER, "postgres"), autocommit=True) as connection:
        _make_logins(connection, cluster, schemas)
        fresh = not connection.execute(named["database_exists"], [name]).fetchone()
        if fresh:
            connection.execute(sql.SQL(named["create_database"]).format(name=sql.Identifier(name)))
    with psycopg.connect(cluster.uri(SUPERUSER, name)) as connection:
        if fresh:
            connection.execute(named["create_extensions"])
        connection.execute(named["create_schemas"])
        if fresh:
            connection.execute(named["close_public"])
        _make_rooms(connection, schemas)


def _make_logins(connection: Connection, cluster: Cluster, schemas: Schemas) -> None:
    named = queries.load("bootstrap")
    for login, password in cluster.passwords().items():
        if not connection.execute(named["role_exists"], [login]).fetchone():
            parts = {"name": sql.Identifier(login), "password": sql.Literal(password)}
            connection.execute(sql.SQL(named["create_login"]).format(**parts))
    _make_private(connection)
    for audience in schemas.audiences.values():
        known = connection.execute(named["connection_limit"], [audience.login]).fetchone()
        if known and known[0] != audience.connections:
            bound = sql.SQL(named["bind_login"]).format(
                name=sql.Identifier(audience.login), connections=sql.Literal(audience.connections)
            )
            connection.execute(bound)
        if audience.writer_login:
            _bind_writer(connection, audience)


def _bind_writer(connection: Connection, audience: Audience) -> None:
    named = queries.load("bootstrap")
    known = connection.execute(named["connection_limit"], [audience.writer_login]).fetchone()
    if known and known[0] != WRITER_CONNECTIONS:
        parts = {
            "name": sql.Identifier(str(audience.writer_login)),
            "connections": sql.Literal(WRITER_CONNECTIONS),
        }
        connection.execute(sql.SQL(named["bind_writer"]).format(**parts))


def _make_private(connection: Connection) -> None:
    """The role that reads what is personal; nobody has it until an administrator grants it."""
    named = queries.load("bootstrap")
    if not connection.execute(named["role_exists"], [_PRIVATE_ROLE]).fetchone():
        made = sql.SQL(named["create_role"]).format(name=sql.Identifier(_PRIVATE_ROLE))
        connection.execute(made)


def _make_rooms(connection: Connection, schemas: Schemas) -> None:
    """The schema of each audience, and the way of its role to PostGIS."""
    named = queries.load("bootstrap")
    for audience in schemas.audiences.values():
        made = sql.SQL(named["create_audience_schema"])
        connection.execute(made.format(schema=sql.Identifier(audience.schema_name)))
        for login in filter(None, (audience.login, audience.writer_login)):
            allowed = connection.execute(named["may_use_public"], [login]).fetchone()
            if allowed and not allowed[0]:
                opened = sql.SQL(named["open_public"])
                connection.execute(opened.format(name=sql.Identifier(login)))


def _bootstrap_shared(database: Database, schemas: Schemas) -> None:
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
            _make_shared(connection, schemas)
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                f"the login may not prepare the database ({error.diag.message_primary})",
                todo="Let an administrator do what schemas/sql/bootstrap.sql does: roles "
                f"{', '.join(f'makan_{role}' for role in roles())} granted to this login, "
                "extension postgis.",
            ) from None
        found = connection.execute(named["postgis_version"]).fetchone()
        version = tuple(int(part) for part in str(found[0]).split(".")[:2]) if found else (0, 0)
        if version < _MINIMUM_POSTGIS:
            raise DatabaseError("PostGIS is older than 3.3", todo="Update the server's PostGIS.")


def _make_shared(connection: Connection, schemas: Schemas) -> None:
    named = queries.load("bootstrap")
    for role in roles():
        name = f"makan_{role}"
        if not connection.execute(named["role_exists"], [name]).fetchone():
            connection.execute(sql.SQL(named["create_role"]).format(name=sql.Identifier(name)))
        connection.execute(sql.SQL(named["grant_role"]).format(name=sql.Identifier(name)))
    _make_private(connection)
    if connection.execute(named["extensions_exist"]).fetchone() != (True,):
        connection.execute(named["create_extensions"])
    connection.execute(named["create_schemas"])
    _make_rooms(connection, schemas)


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


def _lock(connection: EngineConnection) -> None:
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('makan migrate'))")


def _own_city(connection: Connection, schemas: Schemas) -> None:
    city = schemas.city
    connection.execute(queries.load("bootstrap")["claim_city"], [city.id, city.srid])
    check_city(connection, schemas)


def _derive(connection: Connection, schemas: Schemas) -> None:
    """City checks, views and grants; skipped where contracts, profile and tables are as they were.

    Of the tables, and the functions that go with them, the revision tells: what one has made anew
    nobody has been granted yet.
    """
    made, writing = statements.remade(schemas), statements.writing(schemas)
    named = queries.load("bootstrap")
    revision = str(connection.execute(named["revision"]).fetchone())
    digest = hashlib.sha256("\n".join([*made, *writing, revision]).encode()).hexdigest()
    known = connection.execute(named["read_city"]).fetchone()
    if known and known[2] == digest:
        return
    connection.execute(named["drop_derived"])
    for statement in made:
        _make(connection, statement)
    connection.execute(named["grants"])
    for audience in schemas.audiences.values():
        parts = {
            "schema": sql.Identifier(audience.schema_name),
            "role": sql.Identifier(audience.login),
        }
        connection.execute(sql.SQL(named["grant_audience"]).format(**parts))
    # Last of all: what is granted on all tables has been granted then.
    for statement in writing:
        _make(connection, statement)
    connection.execute(named["remember_digest"], [digest])


def _make(connection: Connection, statement: str) -> None:
    try:
        connection.execute(statement.encode())
    except psycopg.errors.CheckViolation as error:
        raise ContractError(
            f"rows that are loaded contradict {error.diag.constraint_name}",
            where=str(Path("schemas") / "layers" / f"{error.diag.table_name}.toml"),
            todo="Load a corrected delivery first, or take the code back into the list.",
        ) from None
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable) as error:
        raise ContractError(
            f"contracts and tables differ ({error.diag.message_primary})",
            where=statement.split(" AS ", 1)[0],
            todo="A new column needs a migration (`makan schema ddl`), or belongs into the view.",
        ) from None
