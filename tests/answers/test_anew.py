"""Who asks while all facts are worked out anew gets an answer, and no 503."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.contracts import registry
from pipeline.db.engine import Database
from pipeline.joins import derive as joins
from pipeline.joins import keep

PASSPORT = "/processes/parcel-passport/execution"
ASKED = {"inputs": {"nosazi": "1-12-45-7"}}
EDGES = "/collections/parcel-edges/items?nosazi=1-12-45-7-0-0-0"


def test_questions_are_answered_while_all_facts_are_made_anew(
    sampled: Database, staff: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep, "_FEW", -1)
    first, edges = staff.post(PASSPORT, json=ASKED), staff.get(EDGES)
    assert (first.status_code, edges.status_code) == (200, 200)
    assert len(edges.json()["features"]) == 4
    schemas = registry.load("qom")
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(joins.derive, sampled, schemas, anew=True)
        asked = 0
        while not running.done():
            _same(staff.post(PASSPORT, json=ASKED), first)
            again = staff.get(EDGES)
            assert again.status_code == 200
            assert len(again.json()["features"]) == 4
            asked += 1
        running.result()
    assert asked > 3
    _same(staff.post(PASSPORT, json=ASKED), first)


def _same(answer: Any, first: Any) -> None:
    """The same facts; each answer has a receipt of its own."""
    assert answer.status_code == 200, answer.text
    one, other = answer.json(), first.json()
    assert one["edges"] == other["edges"]
    assert one["neighbours"] == other["neighbours"]
    assert "stale" not in one
