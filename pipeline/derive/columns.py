"""Names of schemas and of the columns that every layer table has, whatever its contract says.

Apart from ``tables``, so that who only needs the names does not wait for SQLAlchemy.
"""

from __future__ import annotations

DATA = "data"
HISTORY = "history"
GEOMETRY = "geom"
ID = "id"
RUN = "run_id"
LINE = "source_line"
ENDED = "ended_by"
SYSTEM_COLUMNS = (ID, RUN, LINE)
