"""Names of schemas and of the columns that every layer table has, whatever its contract says.

Apart from ``tables``, so that who only needs the names does not wait for SQLAlchemy.
"""

from __future__ import annotations

from pipeline.contracts.layer import LayerContract

DATA = "data"
DERIVED = "derived"
HISTORY = "history"
PRIVATE = "private"
GEOMETRY = "geom"
ID = "id"
RUN = "run_id"
LINE = "source_line"
ENDED = "ended_by"
SYSTEM_COLUMNS = (ID, RUN, LINE)
#: The folded form of a text by which it is searched stands in a column called so.
KEY_ENDING = "_key"


def home(layer: LayerContract) -> str:
    """The schema of the layer's own table or view."""
    return DATA if layer.source == "feed" else DERIVED
