"""Brings a database to what the contracts say: roles, migrations, then the derived objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
from alembic import command, op
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Connection as EngineConnection
from sqlalchemy import create_engine

from pipeline import paths
from pipeline.contracts.audience import Audience
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import deferred, queries
from pipeline.db.city import check_city as check_city
from pipeline.db.cluster import SUPERUSER, Cluster, roles
from pipeline.db.engine import Connection, Database, unreachable
from pipeline.derive import facts, generalised, quality, tables, views
from pipeline.derive.ddl import DIALECT
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
        _bootstrap_private(database, schemas)
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
    known = {str(name): str(digest) for name, digest in rows}
    wanted = {fact.id: facts.digest(schemas, fact) for fact in schemas.fact_order}
    stale = [name for name in known.keys() | wanted.keys() if known.get(name) != wanted.get(name)]
    for name in stale:
        relation = sql.Identifier(facts.FACTS, name)
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
    """City checks, views and grants; skipped where contracts and profile are as they were."""
    statements = derived_statements(schemas)
    all_of_them = [*statements, *_writing(schemas)]
    digest = hashlib.sha256("\n".join(all_of_them).encode()).hexdigest()
    named = queries.load("bootstrap")
    known = connection.execute(named["read_city"]).fetchone()
    if known and known[2] == digest:
        return
    connection.execute(named["drop_derived"])
    for statement in statements:
        _make(connection, statement)
    connection.execute(named["grants"])
    for audience in schemas.audiences.values():
        parts = {
            "schema": sql.Identifier(audience.schema_name),
            "role": sql.Identifier(audience.login),
        }
        connection.execute(sql.SQL(named["grant_audience"]).format(**parts))
    # Last of all: what is granted on all tables has been granted then.
    for statement in _writing(schemas):
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


def derived_statements(schemas: Schemas) -> list[str]:
    """All statements that make the city's checks and the views, in order."""
    layers = [schemas.layers[name] for name in schemas.load_order]
    statements = list(_city_checks(schemas))
    statements += [
        made.as_string(None) for made in quality.statements(schemas, queries.load("quality"))
    ]
    statements += [
        views.own_view(schemas, layer).as_string(None) for layer in layers if layer.source == "view"
    ]
    statements += [
        views.filling(schemas, layer).as_string(None)
        for layer in layers
        if any(field.filled for field in layer.fields)
    ]
    kept = views.kept_names(queries.load("answers")["keep_names"], schemas)
    statements += [made.as_string(None) for made in kept]
    for audience in schemas.audiences.values():
        statements += [
            views.view(schemas, layer, audience).as_string(None)
            for layer in layers
            if audience.sees(layer) and layer.source != "log"
        ]
        statements += [made.as_string(None) for made in _tiling(layers, audience)]
        statements += [made.as_string(None) for made in _answering(schemas, layers, audience)]
        statements += [made.as_string(None) for made in _dated(schemas, layers, audience)]
        made = views.version(queries.load("serve")["version_view"], schemas, layers, audience)
        statements.append(made.as_string(None))
        made_of = views.jobs(queries.load("jobs"), audience)
        statements += [made.as_string(None) for made in made_of]
        if audience.needs_key:
            made = views.access(queries.load("access")["view"], audience)
            statements.append(made.as_string(None))
    return statements


def _writing(schemas: Schemas) -> list[str]:
    """What the roles that write single rows may do, layer by layer."""
    named = queries.load("bootstrap")
    found = []
    for audience in schemas.audiences.values():
        if not audience.writer_login:
            continue
        role = {"role": sql.Identifier(audience.writer_login)}
        schema = sql.Identifier(audience.schema_name)
        found.append(sql.SQL(named["grant_writer"]).format(schema=schema, **role))
        for layer in schemas.layers.values():
            if audience.may(layer):
                found += views.writable(named, layer, audience, role)
    return [made.as_string(None) for made in found]


def _tiling(layers: list[LayerContract], audience: Audience) -> Iterator[sql.Composed]:
    """What tiles read beside layers: their look from afar, and where loads have changed them."""
    for layer in layers:
        if generalised.shown(layer, audience):
            yield generalised.view(layer, audience)
        if audience.sees(layer) and generalised.has_moved(layer):
            yield generalised.moved(layer, audience)


def _answering(
    schemas: Schemas, layers: list[LayerContract], audience: Audience
) -> Iterator[sql.Composed]:
    """What processes read beside layers: facts, names, loads."""
    named = queries.load("answers")
    for fact in views.facts_of(schemas, audience):
        yield views.fact(fact, audience)
    yield views.places(named["place_branch"], schemas, layers, audience)
    yield views.names(named, schemas, audience)
    yield from views.told(named, schemas, audience)
    yield from views.receipts(queries.load("receipts"), schemas, audience)


def _dated(
    schemas: Schemas, layers: list[LayerContract], audience: Audience
) -> Iterator[sql.Composed]:
    """What was, and what has changed."""
    named = queries.load("history")
    for layer in layers:
        if audience.sees(layer) and layer.source == "feed":
            yield views.versions(named["versions_view"], schemas, layer, audience)
    yield views.publications(named["publication_view"], layers, audience)


def _city_checks(schemas: Schemas) -> Iterator[str]:
    made = tables.metadata(schemas)
    for name in schemas.load_order:
        layer = schemas.layers[name]
        table = made.tables.get(f"{tables.home(layer)}.{name}")
        if table is None:
            continue
        for constraint, condition in tables.city_checks(schemas, layer, table).items():
            text = condition.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
            head = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ").format(
                sql.Identifier(tables.home(layer), name), sql.Identifier(constraint)
            )
            yield f"{head.as_string(None)}({str(text).replace('%%', '%')})"
