"""Keys that open the server of an audience: made here, shown once, kept as a hash."""

from __future__ import annotations

import getpass
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from pipeline.contracts.audience import Audience
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.errors import GuardError, SettingsError

_NAME = re.compile(r"[^\s:]{1,60}")  # a colon ends the name where a client sends it
_PREFIX = "makan_"
#: In place of layers: every layer that the audience may write.
EVERYTHING = "*"
_BYTES = 32


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key that was given; not the key."""

    name: str
    audience: str
    created: datetime
    created_by: str
    writes: list[str]
    area: str | None
    expires: datetime | None
    revoked: datetime | None
    revoked_by: str | None
    in_force: bool


def digest(key: str) -> bytes:
    """What is kept of a key. It holds 256 random bits, so that no slow hash is needed."""
    return hashlib.sha256(key.encode()).digest()


def add(
    connection: Connection,
    name: str,
    audience: Audience,
    *,
    days: int | None,
    writes: Sequence[str] = (),
    area: str | None = None,
) -> str:
    """A new key for ``name``, valid for ``days``; the caller shows it, nobody ever can again.
    ``writes`` are layers whose rows it may write, ``EVERYTHING`` all that its audience may.
    ``area`` is what its lists begin with, as collection/key.

    Raises SettingsError for a name that no client can send or an audience without keys,
    GuardError when the name has a key already.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no name of a key", todo="No blank, no colon, at most 60.")
    if not audience.needs_key:
        raise SettingsError(f"the audience {audience.id} needs no key")
    key = _PREFIX + secrets.token_urlsafe(_BYTES)
    values = {
        "name": name,
        "audience": audience.id,
        "digest": digest(key),
        "who": getpass.getuser(),
        "days": days,
        "writes": list(writes),
        "area": area,
    }
    try:
        connection.execute(queries.load("access")["add"], values)
    except psycopg.errors.UniqueViolation:
        raise GuardError(
            f"{name} has a key of {audience.id} already",
            todo=f"`makan access revoke {name} --audience {audience.id}` first.",
        ) from None
    return key


def revoke(connection: Connection, name: str, audience: Audience) -> None:
    """The key of ``name`` opens nothing any more; raises SettingsError when there is none."""
    values = {"name": name, "audience": audience.id, "who": getpass.getuser()}
    if not connection.execute(queries.load("access")["revoke"], values).rowcount:
        raise SettingsError(
            f"{name} has no key of {audience.id}", todo="`makan access list` shows all."
        )


def keys(connection: Connection) -> list[Key]:
    """Every key that was ever given."""
    with connection.cursor(row_factory=class_row(Key)) as cursor:
        return cursor.execute(queries.load("access")["list"]).fetchall()
