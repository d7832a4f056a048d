"""Quality as data: findings, quarantine and ISO 19157 results of what is in force."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import psycopg
import pytest
import shapely
from sqlalchemy.dialects import postgresql

from pipeline import testing
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db import migrate as migration
from pipeline.db import quality
from pipeline.db.engine import Database
from pipeline.derive.tables import column_type
from pipeline.errors import GuardError, SettingsError
from pipeline.findings import Catalog
from pipeline.report import export, resubmit
from pipeline.report.origin import origin
from pipeline.stages import history

from .conftest import EVIL, regions, square

Load = Callable[..., Any]


def ask(database: Database, statement: str, *values: Any) -> list[Any]:
    """Rows as staff sees them."""
    with database.connect("staff") as connection:
        return connection.execute(statement.encode(), values or None).fetchall()


def states(database: Database) -> dict[str, int]:
    return dict(
        ask(database, "SELECT finding_state, count(*) FROM api_staff.quality_quarantine GROUP BY 1")
    )


def test_every_fault_is_told_with_its_place(faulty: tuple[Database, int]) -> None:
    database, run = faulty
    found = ask(
        database,
        "SELECT row_line, finding_code, finding_severity, quality_element, explanation_en, "
        "explanation_fa, ST_AsText(geom), ST_SRID(geom), finding_state, file_name, run_number "
        "FROM api_staff.quality_finding ORDER BY row_line, id",
    )
    told = {(row[0], row[1]) for row in found}
    assert told >= {
        (3, "geometry.repaired"), (4, "value.missing"), (5, "geometry.unrepairable"),
        (6, "geometry.missing"), (7, "key.duplicate"), (8, "key.duplicate"),
    }  # fmt: skip
    kinds = Catalog.load().kinds
    for row in found:
        assert row[3] == kinds[row[1]].quality
        assert "{" not in row[4]
        assert "{" not in row[5]
        assert row[8:] == ("open", "manategh.gpkg", run)
        if row[1] == "geometry.missing":
            assert row[6] is None
        elif row[0]:
            # On the shape that arrived; row 6 has none.
            place = row[0] - (1 if row[0] < 6 else 2)
            assert row[7] == 32639
            assert shapely.from_wkt(row[6]).within(square(place).buffer(1.5)), row
    (missing,) = [row for row in found if row[1] == "value.missing"]
    assert missing[4] == "Region number is required and has no value"


def test_quarantine_tells_why_in_both_languages_and_no_raw_value(
    faulty: tuple[Database, int],
) -> None:
    database, _ = faulty
    found = ask(
        database,
        "SELECT row_line, reason_codes, reasons_en, reasons_fa, finding_state, geom IS NULL, "
        "v::text FROM api_staff.quality_quarantine v ORDER BY row_line",
    )
    assert [row[0] for row in found] == [4, 5, 6, 7, 8]
    assert [row[5] for row in found] == [False, False, True, False, False]
    assert {row[4] for row in found} == {"open"}
    assert found[2][2:4] == ("the row has no geometry", "ردیف هندسه ندارد")
    assert not [row for row in found if EVIL in row[6]]


def test_results_count_rows_and_rates(faulty: tuple[Database, int]) -> None:
    database, run = faulty
    found = {
        (measure, field): (value, unit, rows, errors, passed)
        for measure, field, value, unit, rows, errors, passed in ask(
            database,
            "SELECT quality_measure, field_id, measured_value, measured_unit, checked_rows, "
            "error_rows, conformant FROM api_staff.quality_result WHERE in_force",
        )
    }
    # 8 rows: 2 doubled; one without key, one without geometry; one unrepairable and one repaired.
    assert found["excess_number", None] == (2, "rows", 8, 2, False)
    assert found["excess_rate", None] == (25, "%", 8, 2, False)
    assert found["missing_number", None] == (2, "rows", 8, 2, False)
    assert found["missing_number", "region_code"] == (1, "rows", 8, 1, False)
    assert found["topological_number", None] == (2, "rows", 8, 1, False)
    assert found["topological_rate", None] == (25, "%", 8, 1, False)
    assert found["domain_number", None] == (0, "rows", 8, 0, True)
    assert found["no_longer_delivered", None] == (0, "rows", 8, 0, True)
    measured = ask(database, "SELECT DISTINCT run_number FROM api_staff.quality_result")
    assert measured == [(run,)]


def test_what_is_accepted_by_name_no_longer_hinders(faulty: tuple[Database, int]) -> None:
    database, run = faulty

    def conformant(element: str) -> set[bool]:
        rows = ask(
            database,
            "SELECT DISTINCT conformant FROM api_staff.quality_result WHERE quality_element = %s",
            element,
        )
        return {row[0] for row in rows}

    commission = Catalog.load().kinds["key.duplicate"].quality
    version = ask(database, "SELECT changes FROM api_staff.makan_version WHERE layer LIKE 'qual%'")
    with database.connect("loader") as connection:
        assert quality.accept(connection, run, "key.duplicate", "two offices, settled in May") == 2
    assert conformant(commission) == {True}
    accepted = ask(
        database,
        "SELECT accepted_because, accepted_by <> '' FROM api_staff.quality_finding "
        "WHERE finding_state = 'accepted'",
    )
    assert accepted == [("two offices, settled in May", True)] * 2
    assert states(database) == {"open": 3, "accepted": 2}
    after = ask(database, "SELECT changes FROM api_staff.makan_version WHERE layer LIKE 'qual%'")
    assert after != version
    for code, reason, kind in (
        ("key.duplicate", "again", GuardError),
        ("value.range", "not there", SettingsError),
        ("value.missing", " ", SettingsError),
    ):
        with pytest.raises(kind), database.connect("loader") as connection:
            quality.accept(connection, run, code, reason)
    with database.connect("loader") as connection:
        quality.withdraw(connection, run, "key.duplicate")
    assert conformant(commission) == {False}
    assert states(database) == {"open": 5}
    with pytest.raises(SettingsError), database.connect("loader") as connection:
        quality.withdraw(connection, run, "key.duplicate")


def test_the_next_delivery_is_in_force_and_undo_brings_the_former_back(
    faulty: tuple[Database, int], tmp_path: Path, load: Load, schemas: Schemas
) -> None:
    database, run = faulty
    clean = regions(tmp_path / "later.gpkg", [(str(n), "نام", square(n)) for n in range(1, 9)])
    later = load(database, clean)
    assert ask(database, "SELECT count(*) FROM api_staff.quality_quarantine") == [(0,)]
    codes = ask(database, "SELECT DISTINCT run_number FROM api_staff.quality_finding")
    assert codes in ([], [(later.run,)])
    kept = ask(
        database, "SELECT DISTINCT run_number, in_force FROM api_staff.quality_result ORDER BY 1"
    )
    assert kept == [(run, False), (later.run, True)]
    history.undo(database, schemas, later.run)
    assert states(database) == {"open": 5}
    left = ask(database, "SELECT DISTINCT run_number, in_force FROM api_staff.quality_result")
    assert left == [(run, True)]


def test_a_corrected_row_is_fixed(
    faulty: tuple[Database, int], tmp_path: Path, schemas: Schemas
) -> None:
    database, run = faulty
    out = tmp_path / "back.gpkg"
    with database.connect("loader") as connection:
        found = origin(connection, schemas, run)
        export.export(connection, found, out)
    frame = geopandas.read_file(out)
    key = found.context.feed.columns[0].sources[0]
    frame = frame[frame["makan_line"].astype(int).isin([4, 8])]
    frame[key] = ["4", "9"]
    frame.to_file(tmp_path / "right.gpkg", driver="GPKG", layer=found.context.feed.source.sheet)
    done = resubmit.resubmit(
        database, schemas, run, tmp_path / "right.gpkg", progress=lambda *_: None
    )
    assert done.closed == 2
    assert states(database) == {"open": 3, "fixed": 2}
    fixed = ask(
        database,
        "SELECT row_line FROM api_staff.quality_finding WHERE finding_state = 'fixed' ORDER BY 1",
    )
    assert fixed == [(4,), (8,)]
    history.undo(database, schemas, done.outcome.run or 0)
    assert states(database) == {"open": 5}


def test_results_are_written_with_the_load_or_not_at_all(
    database: Database, tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("gone")

    path = regions(tmp_path / "one.gpkg", [("1", "یک", square(0))])
    monkeypatch.setattr(quality, "measure", fail)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, nothing is published
        load(database, path)
    with database.connect("loader") as connection:
        for table in ("data.region", "ops.quality_result"):
            assert connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,)


def test_values_of_restricted_fields_are_left_out(
    qom_template: Any, schemas: Schemas, tmp_path: Path, load: Load
) -> None:
    """A finding tells that a P2 field is wrong, but not what stands in it."""
    contract = schemas.layer("region")
    fields = tuple(
        field.model_copy(update={"privacy": "P2"}) if field.name == "region_code" else field
        for field in contract.fields
    )
    changed = replace(
        schemas, layers={**schemas.layers, "region": contract.model_copy(update={"fields": fields})}
    )
    with testing.clone(qom_template) as cloned:
        migration.migrate(cloned, changed)
        rows = [("08", "یک", square(0)), ("08", "دو", square(1)), ("secret", "سه", square(2))]
        load(cloned, regions(tmp_path / "manategh.gpkg", [*rows, ("4", "چهار", square(3))]))
        found = ask(cloned, "SELECT v::text FROM api_staff.quality_finding v")
        found += ask(cloned, "SELECT v::text FROM api_staff.quality_quarantine v")
        assert len(found) == 4
        for (text,) in found:
            assert "secret" not in text
            assert "08" not in text.replace("EPSG", "")


def test_contracts_and_values_agree(faulty: tuple[Database, int], schemas: Schemas) -> None:
    """Views hold only codes of their lists, and the types their contracts say."""
    database, _ = faulty
    views = [layer for layer in schemas.layers.values() if layer.source == "view"]
    assert views
    with database.connect("owner") as connection:
        for layer in views:
            types = dict(
                connection.execute(
                    "SELECT column_name, data_type FROM information_schema.columns "
                    "WHERE table_schema = 'derived' AND table_name = %s",
                    [layer.id],
                ).fetchall()
            )
            for field in layer.fields:
                wanted = column_type(field).compile(postgresql.dialect())  # type: ignore[no-untyped-call]
                assert str(types[field.name]) == wanted.lower(), field
                codes = schemas.codes(field)
                if codes:
                    rows = connection.execute(
                        f'SELECT DISTINCT "{field.name}" FROM derived.{layer.id}'.encode()
                    ).fetchall()
                    assert {row[0] for row in rows} - {None} <= set(codes.codes)


def test_every_kind_of_finding_counts_towards_a_known_element() -> None:
    elements = registry.load("qom").codelists["quality_element"].codes
    for kind in Catalog.load().kinds.values():
        assert kind.quality in elements, kind.code


@pytest.mark.slow
def test_a_hundred_thousand_findings_answer_at_once(faulty: tuple[Database, int]) -> None:
    database, run = faulty
    with database.connect("owner") as connection:
        connection.execute(
            "INSERT INTO ops.finding (run_id, code, severity, layer, key, line, field, value, "
            "place) "
            "SELECT %s, 'value.range', 'warning', 'region', n::text, n, 'region_code', n::text, "
            "ST_SetSRID(ST_MakePoint(480000 + n %% 300 * 50, 3825000 + n / 300 * 50), 32639) "
            "FROM generate_series(1, 100000) n",
            [run],
        )
        connection.execute("ANALYZE ops.finding, ops.quarantine, ops.run")
    box = "ST_MakeEnvelope(485000, 3830000, 486000, 3831000, 32639)"
    questions = {
        "page": "SELECT * FROM api_staff.quality_finding v ORDER BY v.id LIMIT 1001",
        "count": "SELECT count(*) FROM api_staff.quality_finding v",
        "box": f"SELECT * FROM api_staff.quality_finding v WHERE v.geom && {box}",
        "filter": "SELECT * FROM api_staff.quality_finding v WHERE v.row_key = '77777'",
        "results": "SELECT * FROM api_staff.quality_result v ORDER BY v.id LIMIT 1001",
        "quarantine": "SELECT * FROM api_staff.quality_quarantine v ORDER BY v.id LIMIT 1001",
    }
    for name, question in questions.items():
        assert min(_seconds(database, question) for _ in range(3)) < 1.0, name


def _seconds(database: Database, question: str) -> float:
    begun = time.monotonic()
    assert ask(database, question), question
    return time.monotonic() - begun


def test_a_check_of_the_fabric_is_in_force_until_the_next(
    faulty: tuple[Database, int], schemas: Schemas
) -> None:
    """It takes nothing in: its findings have keys and no lines, and each row counts once."""
    database, run = faulty
    with database.connect("loader") as connection:
        for number, faults in ((1, 3), (2, 2)):
            row = connection.execute(
                "INSERT INTO ops.run (kind, layer, status, file, file_sha256, file_bytes, "
                "contract_sha256, code_version, who, arrived, unchanged, finished) VALUES "
                "('fabric', 'region', 'done', %s, '', 0, '', '', '', 8, 8, now()) RETURNING id",
                [str(number)],
            ).fetchone()
            check = int(str(row[0])) if row else 0
            connection.execute(
                "INSERT INTO ops.finding (run_id, code, severity, layer, key, field, place) "
                "SELECT %s, 'fabric.overlap', 'error', 'region', n::text, 'overlap', "
                "ST_SetSRID(ST_MakePoint(488000, 3833000), 32639) FROM generate_series(1, %s) n",
                [check, faults],
            )
            quality.measure(connection, check, schemas.layer("region"))
    found = ask(
        database,
        "SELECT count(*) FROM api_staff.quality_finding WHERE finding_code = 'fabric.overlap'",
    )
    assert found == [(2,)]
    results = ask(
        database,
        "SELECT quality_measure, measured_value, checked_rows FROM api_staff.quality_result "
        "WHERE in_force AND run_number = %s AND field_id IS NULL ORDER BY 1",
        check,
    )
    assert results == [("topological_number", 2, 8), ("topological_rate", 25, 8)]
    assert ask(
        database, "SELECT count(*) > 0 FROM api_staff.quality_finding WHERE run_number = %s", run
    ) == [(True,)]
