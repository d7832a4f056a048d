"""Connections by role, to the private cluster or to the server that MAKAN_DATABASE_URL names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipeline.contracts import audience
from pipeline.db.cluster import WRITERS, Cluster, editors
from pipeline.errors import DatabaseError, ResourceError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

Connection = psycopg.Connection[tuple[object, ...]]
#: ``owner`` and ``loader`` write, an audience's writer writes single rows; any other role reads.
Role = str
_CONNECT_TIMEOUT_S = 3
#: A server that has gone without a word is noticed within a minute, not after the two hours that
#: the system allows; on a socket of this machine it says nothing.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
#: How long a pool goes on trying on its own, at ever longer intervals; after that whatever is asked
#: tries anew, so that a database is found at once when it is back, however long it was away.
RECONNECT_S = 2.0
#: How long an edit waits for its layer, which a load may hold.
EDIT_WAITS_MS = 3000


class Database:
    """Where the city's data are, and how each role gets there.

    On a server of others, Makan logs in as MAKAN_DATABASE_URL says and takes the role; a server
    process may have a login of its own for its audience's role (MAKAN_READER_URL), which is the
    safer way in production.
    """

    def __init__(self, settings: Settings) -> None:
        """For the settings of this process; nothing is connected yet."""
        self.settings = settings

    @property
    def is_private(self) -> bool:
        """Whether the private cluster is used."""
        return not self.settings.database_url

    @property
    def cluster(self) -> Cluster:
        """The private cluster of these settings."""
        return Cluster(self.settings.home)

    def uri(self, role: Role) -> str:
        """libpq connection string for ``role``, with its session settings. Holds a password."""
        options = _session_options(role, self.settings.statement_timeout_s)
        if self.is_private:
            base = self.cluster.uri(f"makan_{role}", self.settings.database)
        elif own := self._own_login(role):
            base = own
        else:
            base = self.settings.database_url
            options = f"-c role=makan_{role} {options}"
        try:
            given = str(conninfo_to_dict(base).get("options") or "")
            return make_conninfo(
                base,
                options=f"{given} {options}".strip(),
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name=f"makan-{role}",
                tcp_user_timeout=10_000,
                **_KEEPALIVE,
            )
        except psycopg.ProgrammingError:
            raise DatabaseError(
                "MAKAN_DATABASE_URL is not a PostgreSQL address",
                todo="It looks like postgresql://user:password@host:5432/database.",
            ) from None

    def _own_login(self, role: Role) -> str:
        """The address by which a server reads or writes in production, if it is told one."""
        if role in WRITERS:
            return ""
        return self.settings.writer_url if role in editors() else self.settings.reader_url

    @contextmanager
    def connect(
        self, role: Role, *, autocommit: bool = False
    ) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """A connection that commits at the end of the block, or rolls back.

        Raises DatabaseError when the server cannot be reached or goes away, ResourceError when
        its disk is full; messages never hold the address.
        """
        try:
            connection = psycopg.connect(self.uri(role), autocommit=autocommit)
        except psycopg.OperationalError as error:
            raise unreachable(error, private=self.is_private) from None
        with translated(private=self.is_private), connection:
            yield connection

    def pool(self, role: Role, *, size: int, timeout_s: float = 2.0) -> ConnectionPool:
        """A pool of up to ``size`` checked connections; opened by its first use as context."""
        # Only here: servers have pools, and commands do without the time it takes to import them.
        from psycopg_pool import ConnectionPool

        return ConnectionPool(
            self.uri(role),
            min_size=1,
            max_size=size,
            timeout=timeout_s,
            reconnect_timeout=RECONNECT_S,
            open=False,
            check=ConnectionPool.check_connection,
            kwargs={"autocommit": True},
        )


def _session_options(role: Role, timeout_s: int) -> str:
    if role in WRITERS:
        return "-c lock_timeout=120s"
    if role in editors():
        return (
            f"-c statement_timeout={timeout_s * 1000} -c lock_timeout={EDIT_WAITS_MS} "
            "-c search_path=public -c idle_in_transaction_session_timeout=30s"
        )
    path = ",".join(found.schema_name for found in audience.table().values() if found.role == role)
    return (
        f"-c statement_timeout={timeout_s * 1000} -c default_transaction_read_only=on "
        f"-c search_path={path},public -c idle_in_transaction_session_timeout=30s"
    )


def unreachable(error: Exception, *, private: bool) -> DatabaseError:
    """The error for a server that does not take the connection, without its address."""
    reason = str(error)
    if "password authentication failed" in reason or "does not exist" in reason:
        said = reason.rsplit("FATAL:", 1)[-1].strip()
        return DatabaseError(
            f"the database refuses the login ({said})",
            todo="Run `makan db migrate` first, or check MAKAN_DATABASE_URL.",
        )
    if "connection slots" in reason or "too many c" in reason:
        return DatabaseError(
            "the database has no connection left",
            todo="Wait until some program ends, or raise max_connections.",
        )
    if "is starting up" in reason or "is shutting down" in reason:
        return DatabaseError("the database starts or stops at the moment", todo="Ask again.")
    todo = (
        "Run `makan db start`." if private else "Check that the server of MAKAN_DATABASE_URL runs."
    )
    return DatabaseError("the database does not answer", todo=todo)


@contextmanager
def translated(*, private: bool) -> Iterator[None]:
    """Turns the driver's errors about the server (not about data) into ours."""
    try:
        yield
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as error:
        raise ResourceError(
            f"the database server is out of room ({error.diag.message_primary})",
            todo="Free disk space and run the command again; nothing was half-loaded.",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseError(
            f"the login may not do this ({error.diag.message_primary})",
            todo="Run `makan db migrate` as a user who may create roles and extensions.",
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise DatabaseError(
            "another load holds the layer", todo="Wait until it ends, see `makan runs`."
        ) from error
    except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
        raise DatabaseError(
            "facts that are worked out anew were in the way", todo="Ask again."
        ) from error
    except psycopg.errors.QueryCanceled as error:
        raise DatabaseError(
            f"the database stopped a question ({error.diag.message_primary})",
            todo="Ask again when it is less busy, or set MAKAN_STATEMENT_TIMEOUT_S higher.",
        ) from error
    except psycopg.OperationalError as error:  # a pool that has none in time as well
        raise unreachable(error, private=private) from error
