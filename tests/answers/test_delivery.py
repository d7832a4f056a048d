"""NOS-5, bulk bill printing: the bill of a parcel, the map of a bundle, bundles in the order of
delivery."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pypdfium2
import pytest
from starlette.testclient import TestClient

from pipeline.answers.bundles import Binder
from pipeline.answers.worker import Worker
from pipeline.contracts.city import Payee
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from tests import banks
from tests.answers import verapdf

Asked = Callable[..., Any]
BLOCK = "1-12-45"
DOTS = 10  # of a millimetre of paper


def paper(client: TestClient, process: str, form: str, **asked: Any) -> Any:
    response = client.get(f"/processes/{process}/execution", params={"f": form, **asked})
    assert response.status_code == 200, response.text
    return response


def opened(content: bytes) -> pypdfium2.PdfDocument:
    return pypdfium2.PdfDocument(io.BytesIO(content))


def text_of(content: bytes) -> str:
    return "\n".join(page.get_textpage().get_text_range() for page in opened(content))


def extent(mask: Any) -> tuple[float, float]:
    """Width and height in mm of what the mask shows."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (np.ptp(columns) / DOTS, np.ptp(rows) / DOTS)


def test_the_map_of_a_bundle_is_to_true_scale(public: TestClient) -> None:
    """NOS-5: 50 m by 40 m are 100 mm by 80 mm at 1:500; the way goes round 2 m outside."""
    content = paper(public, "delivery-sequence", "pdf", block_code=BLOCK, lang="fa").content
    image = opened(content)[0].render(scale=DOTS * 25.4 / 72).to_numpy()[..., :3]
    blue, green, red = (np.asarray(image[..., band], dtype=int) for band in range(3))
    ground = (abs(red - 255) < 4) & (abs(green - 242) < 4) & (abs(blue - 194) < 4)
    line = 0.3  # is drawn about the boundary
    assert extent(ground) == (pytest.approx(100 - line, abs=0.4), pytest.approx(80 - line, abs=0.4))
    way = (blue > 180) & (red < 60) & (green < 130)
    way[: 60 * DOTS] = way[200 * DOTS :] = False  # the legend's sign of it
    assert extent(way) == (pytest.approx(108.6, abs=1.2), pytest.approx(88.6, abs=1.2))


@pytest.mark.parametrize("language", ["fa", "en"])
def test_page_and_pdf_have_the_stops_of_the_sequence(
    staff: TestClient, ask: Asked, language: str
) -> None:
    found = ask(staff, "delivery-sequence", block_code=BLOCK, year=1404)
    asked = {"block_code": BLOCK, "year": 1404, "lang": language}
    page = paper(staff, "delivery-sequence", "html", **asked).text
    printed = text_of(paper(staff, "delivery-sequence", "pdf", **asked).content)
    for one in found["parcels"]:
        (address, *_) = one["addresses"]
        for text in (one["nosazi"], address["postcode"], f"{one['amount']:,}"):
            assert text in page
            assert text in printed
    assert f"{found['total_irr']:,}" in printed
    assert page.count('class="label stop"') == len(found["parcels"])
    # 3715613947 is the postcode of P7, whose levy is that of the fixture.
    (seven,) = (one for one in found["parcels"] if one["nosazi"] == "1-12-45-7-0-0-0")
    assert (seven["amount"], seven["addresses"][0]["postcode"]) == (2_958_000, "3715613947")
    assert found["total_irr"] == ask(staff, "levy", block_code=BLOCK, year=1404)["total_irr"]


def test_the_public_is_told_the_order_and_no_address_or_amount(
    public: TestClient, staff: TestClient, ask: Asked, refused: Asked
) -> None:
    found = ask(public, "delivery-sequence", block_code=BLOCK)
    assert all(one["addresses"] == [] and "amount" not in one for one in found["parcels"])
    wrong = refused(public, "delivery-sequence", block_code=BLOCK, year=1404)
    assert (wrong["status"], wrong["field"]) == (400, "year")
    assert refused(public, "levy-bill", nosazi="1-12-45-7", year=1404)["status"] == 404
    for client in (public, staff):
        schema = client.get("/processes/delivery-sequence/answer-schema").json()
        more = {"year": 1404} if client is staff else {}
        answer = ask(client, "delivery-sequence", block_code=BLOCK, **more)
        jsonschema.Draft202012Validator(schema).validate(answer)


def test_a_route_takes_its_blocks_in_the_order_given(
    public: TestClient, ask: Asked, query: Asked
) -> None:
    """Each block with a map of its own behind that of all; a list by the codes of its blocks."""
    chosen = query(
        "SELECT block_code, count(*) FROM data.parcel GROUP BY 1 HAVING count(*) > 3 ORDER BY 1"
    )[:3]
    blocks = [code for code, _ in chosen][::-1]
    found = ask(public, "delivery-sequence", blocks=[*blocks, "9-9-9"])
    assert [one["block_code"] for one in found["blocks"]] == blocks
    assert found["blocks_missing"] == ["9-9-9"]
    assert [one["place"] for one in found["parcels"]] == list(range(1, found["number"] + 1))
    assert found["number"] == sum(number for _, number in chosen)
    for block in found["blocks"]:
        places = range(block["place_from"] - 1, block["place_to"])
        assert {found["parcels"][at]["block_code"] for at in places} == {block["block_code"]}
    page = paper(public, "delivery-sequence", "html", blocks=json.dumps(blocks), lang="en").text
    assert page.count('<figure class="map"') == 1 + len(blocks)
    assert page.count('class="label stop"') == found["number"]
    assert page.count('class="label block"') == len(blocks)
    ids = [one["parcel_id"] for one in found["parcels"]][::-1]
    listed = ask(public, "delivery-sequence", parcels=[*ids, 987_654_321])
    assert [one["block_code"] for one in listed["blocks"]] == blocks[::-1]
    assert {one["parcel_id"] for one in listed["parcels"]} == set(ids)
    assert listed["missing"] == [987_654_321]


@pytest.mark.parametrize("language", ["fa", "en"])
def test_a_bill_is_one_page_that_explains_each_line(
    staff: TestClient, ask: Asked, language: str
) -> None:
    asked = {"nosazi": "1-12-45-7", "year": 1404, "lang": language}
    printed = paper(staff, "levy-bill", "pdf", **asked).content
    said = text_of(printed)
    assert len(opened(printed)) == 1
    for text in ("1-12-45-7-0-0-0", "3715613947", "2,958,000", "197,200,000", "0.015"):
        assert text in said, text
    page = paper(staff, "levy-bill", "html", **asked).text
    assert "200 × 500,000" in page
    assert "324 × 300,000" in page
    assert "PB-3" in page
    if language == "fa":
        assert "دو میلیون و نهصد و پنجاه و هشت هزار" in said
    answer = ask(staff, "levy-bill", nosazi="1-12-45-7", year=1404)
    schema = staff.get("/processes/levy-bill/answer-schema").json()
    jsonschema.Draft202012Validator(schema).validate(answer)
    (item,) = answer["items"]
    assert item == ask(staff, "levy", nosazi="1-12-45-7", year=1404)["items"][0]
    assert ask(staff, "verify", receipt=answer["receipt"]["token"])["verdict"] == "current"


def test_a_bill_can_be_paid_at_any_bank_where_the_city_has_a_payee(
    staff: TestClient, sampled: Database, schemas: Schemas, served: Any, ask: Asked
) -> None:
    """Of a city that has none, no number is printed: nobody pays to a stranger."""
    assert schemas.city.payee is None
    (plain,) = ask(staff, "levy-bill", nosazi="1-12-45-7", year=1404)["items"]
    assert "payment" not in plain
    paid = replace(schemas, city=schemas.city.model_copy(update={"payee": Payee(company="705")}))
    with served(sampled, "staff", paid) as bank:
        seven: dict[str, Any] = {"nosazi": "1-12-45-7", "year": 1404, "stop": 7}
        answer = ask(bank, "levy-bill", **seven)
        (item,) = answer["items"]
        numbers = item["payment"]
        assert banks.takes(numbers["bill_id"], numbers["payment_id"])
        assert numbers["bill_id"][:-1] == f"{answer['parcel']['parcel_id']}7056"
        assert numbers["payment_id"][:-2] == "2958401"  # 2,958 thousand of 1404, the only period
        assert (numbers["amount_irr"], numbers["rest_irr"]) == (2_958_000, 0)
        schema = bank.get("/processes/levy-bill/answer-schema").json()
        jsonschema.Draft202012Validator(schema).validate(answer)
        assert item == ask(bank, "levy", nosazi="1-12-45-7", year=1404)["items"][0]
        printed = paper(bank, "levy-bill", "pdf", **seven, lang="fa").content
        for text in (numbers["bill_id"], numbers["payment_id"], "2,958,000"):
            assert text in text_of(printed)
        assert len(opened(printed)) == 1
        levies = paper(bank, "levy", "csv", block_code=BLOCK, year=1404).text
        table = list(csv.DictReader(io.StringIO(levies.removeprefix("\ufeff"))))
        assert all(banks.takes(row["payment.bill_id"], row["payment.payment_id"]) for row in table)
        assert len({row["payment.bill_id"] for row in table}) == len(table) == 9
        receipt = answer["receipt"]["token"]
        assert ask(bank, "verify", receipt=receipt)["verdict"] == "current"


def test_a_bill_of_a_year_without_formulas_says_so(staff: TestClient) -> None:
    page = paper(staff, "levy-bill", "html", nosazi="1-12-45-7", year=1399, lang="en").text
    assert "The levy cannot be reckoned" in page
    assert "IRR" not in page.partition('<div class="due">')[2].partition("</div>")[0]


def test_bills_of_a_block_are_one_pdf_behind_their_map(
    staff: TestClient,
    sampled: Database,
    schemas: Schemas,
    binder: Binder,
    ask: Asked,
    refused: Asked,
    tmp_path: Any,
) -> None:
    """NOS-5: in the order in which they are delivered; a bill without a year is refused at once."""
    walk = ask(staff, "delivery-sequence", block_code=BLOCK, year=1404)["parcels"][4:7]
    codes, ids = ([one[name] for one in walk] for name in ("nosazi", "parcel_id"))
    batch = {"document": "levy-bill", "parcels": sorted(ids), "order": "delivery"}
    assert refused(staff, "document-batch", **batch)["field"] == "year"
    response = staff.post(
        "/processes/document-batch/execution",
        json={"inputs": {**batch, "year": 1404}},
        headers={"Prefer": "respond-async"},
    )
    job = response.json()["jobID"]
    worker = Worker(sampled, schemas, schemas.audience("staff"), binder)
    asyncio.run(worker.run(asyncio.Event(), until_idle=True))
    told = staff.get(f"/jobs/{job}/results").json()
    assert [one["nosazi"] for one in told["parcels"]] == codes != sorted(codes)
    assert (told["file"]["documents"], told["file"]["covers"]) == (len(codes), 1)
    content = staff.get(f"/jobs/{job}/results?f=pdf").content
    made = opened(content)
    toc = list(made.get_toc())
    assert [one.get_title() for one in toc] == [BLOCK, *codes]
    starts = [one.get_dest().get_index() for one in toc]
    cover = ask(staff, "delivery-sequence", parcels=ids, year=1404)["parcels"]
    for start, stop, drawn in zip(starts[1:], walk, cover, strict=True):
        said = made[start].get_textpage().get_text_range()
        assert f"{stop['amount']:,}" in said
        # The number is that of the map before it.
        assert f"ایستگاه {drawn['place']} " in unicodedata.normalize("NFKC", said)
        assert drawn["nosazi"] == stop["nosazi"]
    assert len(made) == starts[1] + len(codes)  # a bill a page
    if verapdf.at_hand():
        path = tmp_path / "bills.pdf"
        path.write_bytes(content)
        assert verapdf.verdicts([path]) == ["good 3b"]
