"""Documents of many parcels as one job: whole, resumed where it was left, called off."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pikepdf
import psycopg
import pypdfium2
from starlette.testclient import TestClient

from pipeline.answers import bundles
from pipeline.answers.bundles import Binder
from pipeline.answers.worker import Worker
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from tests.answers import verapdf

BLOCK = {"document": "location-sheet", "block_code": "1-12-45", "language": "en"}


def blank(path: Path) -> None:
    """A PDF of one empty page."""
    with pikepdf.new() as made:
        made.add_blank_page()
        made.save(path)


def begin(client: TestClient, **inputs: Any) -> str:
    response = client.post(
        "/processes/document-batch/execution",
        json={"inputs": inputs},
        headers={"Prefer": "respond-async"},
    )
    assert response.status_code == 201, response.text
    job: str = response.json()["jobID"]
    return job


def work(database: Database, schemas: Schemas, binder: Binder) -> None:
    worker = Worker(database, schemas, schemas.audience("staff"), binder)
    asyncio.run(worker.run(asyncio.Event(), until_idle=True))


def test_a_block_is_one_file_with_a_list_and_goes_on_where_it_was_left(
    staff: TestClient, sampled: Database, schemas: Schemas, binder: Binder, ask: Any
) -> None:
    listed = ask(staff, "document-batch", **BLOCK)
    codes = [one["nosazi"] for one in listed["parcels"]]
    assert codes == sorted(codes, key=lambda code: [int(part) for part in code.split("-")])
    assert "file" not in listed
    job, made = begin(staff, **BLOCK), []
    # A worker that died has left all but two: only those are made.
    folder = bundles.place(sampled.settings.home, job).with_suffix("")
    folder.mkdir(parents=True)
    for number, code in enumerate(codes[2:], start=3):
        blank(folder / f"{number:05}-{code}.pdf")

    async def make(*given: Any) -> bytes:
        made.append(given)
        return await binder.make(*given)

    work(sampled, schemas, replace(binder, make=make))
    assert len(made) == 2
    told = staff.get(f"/jobs/{job}/results").json()
    assert told["file"]["documents"] == len(codes)
    assert told["file"]["failed"] == []
    answer = staff.get(f"/jobs/{job}/results?f=zip")
    assert answer.headers["content-type"] == "application/zip"
    assert hashlib.sha256(answer.content).hexdigest() == told["file"]["sha256"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        assert found.testzip() is None
        text = found.read(bundles.LISTED).decode().removeprefix("\ufeff")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["nosazi"] for row in rows] == codes
        assert sorted(found.namelist()) == sorted([bundles.LISTED, *(r["file"] for r in rows)])
        sheet = pypdfium2.PdfDocument(found.read(rows[0]["file"]))
        assert codes[0] in sheet[0].get_textpage().get_text_range()
    assert not folder.exists()
    page = staff.get(f"/jobs/{job}?f=html&lang=fa").text
    assert f"/jobs/{job}/results?f=zip" in page
    # What it says is genuine.
    attached = sheet.get_attachment(0)
    document = bytes(attached.get_data()).decode()
    receipt = ask(staff, "verify", document=json.loads(document))
    assert receipt["verdict"] == "current"


def test_a_block_is_one_pdf_too(
    staff: TestClient, sampled: Database, schemas: Schemas, binder: Binder, tmp_path: Path
) -> None:
    """All sheets in order with their outline and their data; PDF/A as each of them."""
    job = begin(staff, document="location-sheet", block_code="1-12-45", language="fa")
    work(sampled, schemas, binder)
    told = staff.get(f"/jobs/{job}/results").json()
    codes = [one["nosazi"] for one in told["parcels"]]
    answer = staff.get(f"/jobs/{job}/results?f=pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert hashlib.sha256(answer.content).hexdigest() == told["file"]["merged"]["sha256"]
    found = pypdfium2.PdfDocument(answer.content)
    assert len(found) == told["file"]["merged"]["pages"] >= len(codes)
    assert found.count_attachments() == len(codes)
    toc = list(found.get_toc())
    assert [one.get_title() for one in toc] == codes
    for one, code in zip(toc, codes, strict=True):
        assert code in found[one.get_dest().get_index()].get_textpage().get_text_range()
    document = json.loads(bytes(found.get_attachment(3).get_data()))
    verified = {"inputs": {"document": document}}
    verdict = staff.post("/processes/verify/execution", json=verified).json()
    assert verdict["verdict"] == "current"
    path = tmp_path / "merged.pdf"
    path.write_bytes(answer.content)
    with pikepdf.open(path) as merged:
        said = merged.open_metadata()
        assert (said["pdfaid:part"], said["pdfaid:conformance"]) == ("3", "B")
    if verapdf.at_hand():
        assert verapdf.verdicts([path]) == ["good 3b"]
    page = staff.get(f"/jobs/{job}?f=html&lang=fa").text
    assert f"/jobs/{job}/results?f=pdf" in page


def test_more_than_one_pdf_holds_are_volumes_with_a_list(
    staff: TestClient, sampled: Database, schemas: Schemas, binder: Binder, ask: Any, tmp_path: Path
) -> None:
    """NOS-5: whole runs with their maps; the list says where each bill is; a worker that died has
    left the first volume, which is not made again."""
    blocks = _small_blocks(staff)
    walk = ask(staff, "delivery-sequence", blocks=list(blocks))["parcels"]
    ids = [one["parcel_id"] for one in walk]
    most = max(blocks.values()) + 1  # a block with its map
    asked = {"document": "levy-bill", "parcels": ids, "order": "delivery", "year": 1404}
    job = begin(staff, **asked)
    made: list[str] = []

    async def make(process: Any, *given: Any) -> bytes:
        made.append(process.id)
        if len(made) == most + 4:
            raise psycopg.OperationalError("the server closed the connection unexpectedly")
        return await binder.make(process, *given)

    small = replace(binder, most=most)
    work(sampled, schemas, replace(small, make=make))
    assert staff.get(f"/jobs/{job}").json()["status"] == "running"
    folder = bundles.place(sampled.settings.home, job).with_suffix("")
    assert (folder / "volume-001.pdf").is_file()
    assert len(list(folder.glob("0*.pdf"))) < 4  # the single bills of the first are gone
    with sampled.connect("owner") as connection:
        connection.execute("UPDATE ops.job SET seen = seen - interval '1 hour'")
    work(sampled, schemas, small)
    told = staff.get(f"/jobs/{job}/results").json()
    schema = staff.get("/processes/document-batch/answer-schema").json()
    jsonschema.Draft202012Validator(schema).validate(told)
    file = told["file"]
    assert (file["merged"], file["documents"], file["covers"]) == (None, len(ids), len(blocks))
    assert staff.get(f"/jobs/{job}/results?f=pdf").status_code == 404
    content = staff.get(f"/jobs/{job}/results?f=zip").content
    assert hashlib.sha256(content).hexdigest() == file["sha256"]
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        names = [one["name"] for one in file["volumes"]]
        assert sorted(found.namelist()) == sorted([bundles.LISTED, *names])
        rows = list(csv.DictReader(io.StringIO(found.read(bundles.LISTED).decode("utf-8-sig"))))
        volumes = {name: pypdfium2.PdfDocument(found.read(name)) for name in names}
        for one in file["volumes"]:
            assert hashlib.sha256(found.read(one["name"])).hexdigest() == one["sha256"]
            assert len(volumes[one["name"]]) == one["pages"]
            (first, *_) = (row for row in rows if row["file"] == one["name"])
            assert first["number"] == ""  # a map comes first
        path = tmp_path / "volume.pdf"
        path.write_bytes(found.read(names[-1]))
    assert len(names) > 1
    assert [int(row["number"]) for row in rows if row["number"]] == list(range(1, len(ids) + 1))
    for row in rows:
        page = volumes[row["file"]][int(row["page"]) - 1]
        assert row["nosazi"] in page.get_textpage().get_text_range()
    assert not folder.exists()
    if verapdf.at_hand():
        assert verapdf.verdicts([path]) == ["good 3b"]


def _small_blocks(staff: TestClient) -> dict[str, int]:
    """The three blocks of the fewest parcels, with their numbers, in the order of their codes."""
    listed = staff.get("/collections/parcels/items?limit=1000&f=json").json()["features"]
    number = Counter(one["properties"]["block_code"] for one in listed)
    found = sorted((many, code) for code, many in number.items() if code)[:3]
    codes = sorted((code for _, code in found), key=lambda one: [int(p) for p in one.split("-")])
    return {code: number[code] for code in codes}


def test_a_batch_that_is_called_off_leaves_nothing(
    staff: TestClient, sampled: Database, schemas: Schemas, binder: Binder
) -> None:
    job = begin(staff, document="bar-o-kaf", block_code="1-12-45")
    made: list[Any] = []

    async def slowly(*given: Any) -> bytes:
        made.append(given)
        if len(made) == 2:
            assert await asyncio.to_thread(staff.delete, f"/jobs/{job}")
        await asyncio.sleep(1.2)
        return b"%PDF-1.7"

    work(sampled, schemas, replace(binder, make=slowly))
    assert staff.get(f"/jobs/{job}").json()["status"] == "dismissed"
    assert 2 <= len(made) < 9
    path = bundles.place(sampled.settings.home, job)
    assert not path.exists()
    assert not path.with_suffix("").exists()
    assert staff.get(f"/jobs/{job}/results?f=zip").status_code in (404, 410)


def test_ids_that_are_nothing_are_told(
    staff: TestClient, sampled: Database, schemas: Schemas, binder: Binder, query: Any
) -> None:
    ((first,), (second,)) = query("SELECT id FROM data.parcel ORDER BY id LIMIT 2")
    job = begin(staff, document="bar-o-kaf", parcels=[first, second, 987_654_321])

    async def make(*given: Any) -> bytes:
        return b"%PDF-1.7"

    work(sampled, schemas, replace(binder, make=make, merge=None))
    told = staff.get(f"/jobs/{job}/results").json()
    assert told["file"]["merged"] is None
    assert staff.get(f"/jobs/{job}/results?f=pdf").status_code == 404
    assert (told["number"], told["missing"]) == (2, [987_654_321])
    assert told["file"]["documents"] == 2
    assert staff.get(f"/jobs/{job}/results?f=csv").status_code == 400
    # Who dismisses it when it has ended takes its files away, too.
    path = bundles.place(sampled.settings.home, job)
    assert path.is_file()
    assert staff.delete(f"/jobs/{job}").json()["status"] == "dismissed"
    assert not path.exists()
    assert staff.get(f"/jobs/{job}/results?f=zip").status_code == 404
