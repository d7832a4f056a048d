"""Named SQL: schemas/sql/<file>.sql holds queries, each headed by its name and purpose.

Identifiers of tables and columns are filled in by psycopg's ``sql`` composition ({table}), values
by parameters (%(name)s): no query is ever put together from text.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

from pipeline import paths

_HEAD = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\n", re.MULTILINE)


@cache
def load(file: str) -> dict[str, LiteralString]:
    """All queries of schemas/sql/``file``.sql by name."""
    return read(paths.schemas() / "sql" / f"{file}.sql")


@cache
def read(path: Path) -> dict[str, LiteralString]:
    """All queries of the file ``path`` by name."""
    text = path.read_text(encoding="utf-8")
    pieces = _HEAD.split(text)[1:]
    return {
        name: cast("LiteralString", body.strip())
        for name, body in zip(pieces[::2], pieces[1::2], strict=True)
    }
