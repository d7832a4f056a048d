"""What stands for all that decides an answer but the rows: whatever is kept names it."""

from __future__ import annotations

import hashlib

from pipeline.contracts.registry import Schemas
from pipeline.settings import Settings


def made_by(settings: Settings, schemas: Schemas, *more: object) -> str:
    """SHA-256 of the database (one home may have had several), the contracts, the queries and
    whatever else (``more``) the keeper's answers depend on."""
    told = " ".join(map(str, (settings.database_url, settings.database, *more)))
    digest = hashlib.sha256(told.encode())
    for path in sorted(schemas.root.rglob("*")):
        if path.suffix in (".toml", ".sql"):
            digest.update(path.read_bytes())
    return digest.hexdigest()
