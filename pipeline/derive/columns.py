"""Names of schemas and of the columns that every layer table has, whatever its contract says.

Apart from ``tables``, so that who only needs the names does not wait for SQLAlchemy.
"""

from __future__ import annotations

from pipeline.contracts.feed import SINCE as SINCE
from pipeline.contracts.feed import UNTIL as UNTIL
from pipeline.contracts.layer import LayerContract

DATA = "data"
DERIVED = "derived"
HISTORY = "history"
PRIVATE = "private"
#: Functions of the house.
OWN = "makan"
GEOMETRY = "geom"
ID = "id"
RUN = "run_id"
LINE = "source_line"
ENDED = "ended_by"
#: When a row holds in the real world by the data themselves (empty: as its load says), and the undo
#: that has put it in force again.
BEGUN = "begun_by"
VALIDITY = (SINCE, UNTIL, BEGUN)
#: Of a former version: when it held as is known today, and the undo after which it never did.
VALID = "valid"
WITHDRAWN = "withdrawn_by"
SYSTEM_COLUMNS = (ID, RUN, LINE)
#: The folded form of a text by which it is searched stands in a column called so.
KEY_ENDING = "_key"


def home(layer: LayerContract) -> str:
    """The schema of the layer's own table or view."""
    return DATA if layer.source == "feed" else DERIVED
