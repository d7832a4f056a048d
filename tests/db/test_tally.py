"""How far layers are, counted as it happens, is what counting all runs gives; at the same cost."""

from __future__ import annotations

import random
from typing import Any

from pipeline.db.engine import Connection, Database

_COUNTED = """
SELECT layer, max(id) FILTER (WHERE status = 'done'),
    count(*) + count(*) FILTER (WHERE status = 'undone'),
    max(finished) FILTER (WHERE status = 'done')
FROM ops.run
WHERE kind IN ('load', 'derive', 'edit') AND status IN ('done', 'undone')
    AND inserted + updated + removed > 0 AND layer IN ('parcel', 'poi')
GROUP BY layer ORDER BY layer
"""
_ALL = """
SELECT count(*) + count(*) FILTER (WHERE status = 'undone') + count(resubmits)
FROM ops.run WHERE status IN ('done', 'undone')
"""
_TOLD = """
SELECT layer, run, changes, finished FROM api.makan_version
WHERE layer IN ('parcel', 'poi') ORDER BY layer
"""
_RUN = """
INSERT INTO ops.run (
    kind, layer, status, file, file_sha256, file_bytes, contract_sha256, code_version, who,
    finished, arrived, inserted, resubmits
) VALUES (%s, %s, %s, '', '', 0, '', '', '', clock_timestamp(), %s, %s, %s) RETURNING id
"""
#: What stands once ends as undone, never as if it had not been.
_ENDS = """
UPDATE ops.run SET status = %(status)s, inserted = arrived
WHERE id = %(run)s AND (status = 'running' OR status = 'done' AND %(status)s = 'undone')
"""
_EDITS = """
INSERT INTO ops.run (
    kind, layer, status, file, file_sha256, file_bytes, contract_sha256, code_version, who,
    finished, arrived, updated
) SELECT 'edit', 'parcel', 'done', '', '', 0, '', '', '', now(), 1, 1 FROM generate_series(1, 20000)
"""


def _rows(connection: Connection, query: str, values: Any = None) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), values).fetchall()


def test_the_state_of_layers_is_what_counting_all_runs_gives(database: Database) -> None:
    chance = random.Random(7)
    runs: list[int] = []
    with database.connect("owner") as connection:
        for _ in range(120):
            if runs and chance.random() < 0.5:
                status = chance.choice(["done", "undone", "refused"])
                values = {"status": status, "run": chance.choice(runs)}
                connection.execute(_ENDS.encode(), values)
            else:
                kind = chance.choice(["load", "edit", "derive", "fabric", "undo"])
                layer = chance.choice(["parcel", "poi", "facts"])
                status, rows = chance.choice(["running", "done", "failed"]), chance.choice([0, 1])
                inserted, resubmits = rows * (status == "done"), chance.choice([None, *runs[:1]])
                asked = (kind, layer, status, rows, inserted, resubmits)
                runs += [row[0] for row in _rows(connection, _RUN, asked)]
            assert _rows(connection, _TOLD) == _rows(connection, _COUNTED)
        assert _rows(connection, "SELECT sum(told) FROM ops.tally") == _rows(connection, _ALL)
        connection.rollback()


def test_it_costs_the_same_whatever_was_edited(database: Database) -> None:
    """Every worker asks once a second; with 100,000 edits behind it took 0.2 s."""
    with database.connect("owner") as connection:
        # In one transaction the versions of its one row would pile up, as they never do otherwise.
        connection.execute("ALTER TABLE ops.run DISABLE TRIGGER keep_tally")
        connection.execute("INSERT INTO ops.tally VALUES ('parcel', 20000, 20000)")
        connection.execute(_EDITS.encode())
        connection.execute("ANALYZE ops.run")
        ((pages,),) = _rows(connection, "SELECT pg_relation_size('ops.run') / 8192")
        assert pages > 250
        asked = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM api.makan_version"
        ((made,),) = _rows(connection, asked)
        read = made[0]["Plan"]["Shared Hit Blocks"] + made[0]["Plan"]["Shared Read Blocks"]
        assert read < 200
        connection.rollback()
