"""Held: from when and until when a row holds, where the data themselves say so.

Such columns of a feed fill no field of the layer: they say when the whole row was true.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.feed import SINCE, UNTIL, Column
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.errors import GuardError
from pipeline.stages.batch import Found, Raw
from pipeline.stages.clean import lost, read_date
from pipeline.stages.context import Context
from pipeline.stages.map import arrived, as_text

BACKWARDS = "valid.backwards"


def held(raw: Raw, context: Context) -> tuple[dict[str, pa.Array], Found]:
    """The moments of each row by the name of their column, null where nothing is said.

    A date is midnight in the city; a row that ends before it begins is set aside.
    """
    found = Found()
    made = {column.to: _moments(raw, column, context, found) for column in context.dates}
    if SINCE in made and UNTIL in made:
        turned = pc.fill_null(pc.less_equal(made[UNTIL], made[SINCE]), fill_value=False)
        where = turned.to_numpy(zero_copy_only=False)
        shown = as_text(made[UNTIL].filter(turned)).to_pylist()
        found.mark("valid.reversed", raw.lines[where], field_name=UNTIL, values=shown)
    return made, found


def _moments(raw: Raw, column: Column, context: Context, found: Found) -> pa.Array:
    came = arrived(raw, column)
    days = read_date(came, column)
    unread = lost(came, days)
    if unread.any():
        shown = as_text(came.filter(pa.array(unread))).to_pylist()
        found.mark(
            "value.type", raw.lines[unread], field_name=column.to, values=shown, details="date"
        )
    local = days.cast(pa.timestamp("us"))
    zone = context.city.timezone
    return pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest").cast(
        pa.timestamp("us", tz="UTC")
    )


def not_backwards(connection: Connection, context: Context, where: str) -> Found:
    """What is told of a delivery that is older than what it would replace.

    What that brought would never have held: GuardError, unless it is accepted by name.
    """
    found = Found()
    if context.valid_from is None:
        return found
    values = {"layer": context.layer.id, "feed": context.feed.id}
    row = connection.execute(queries.load("history")["holds_from"], values).fetchone()
    latest = row[0] if row else None
    if not isinstance(latest, datetime) or latest <= context.valid_from:
        return found
    if BACKWARDS not in context.accept:
        raise GuardError(
            f"the delivery holds from {context.valid_from:%Y-%m-%d}, what it would replace from "
            f"{latest:%Y-%m-%d}",
            where=where,
            todo=f"Nothing was published. Load deliveries in their order (`makan undo`), or with "
            f"--accept {BACKWARDS}: then what was published since never held.",
        )
    detail = f"{latest:%Y-%m-%d}, accepted by name"
    found.whole(BACKWARDS, value=f"{context.valid_from:%Y-%m-%d}", detail=detail)
    return found
