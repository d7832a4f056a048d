"""Processes as a service: described, asked in every way, refused with what helps."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

from pipeline.answers import statement
from pipeline.contracts import registry
from pipeline.contracts.process import Process
from pipeline.derive import processes as derived

SCHEMAS = registry.load("qom")
PROCESSES = list(SCHEMAS.processes.values())
#: What the database alone answers; the sample of these tests has no elevation model.
LOADED = [one for one in PROCESSES if one.heights is None]
EVERYBODY = [one for one in PROCESSES if one.privacy == "P0"]


def answered(client: TestClient, process: Process, asked: dict[str, Any]) -> Any:
    response = client.post(f"/processes/{process.id}/execution", json={"inputs": asked})
    assert response.status_code == 200, response.text
    return response.json()


def example(process: Process, audience: str) -> dict[str, Any]:
    """The inputs of the contract's example, as the audience is offered them."""
    found = derived.offered(SCHEMAS.city, SCHEMAS.audiences[audience], process)
    return derived.example(SCHEMAS.city, process, found)


def _reads(process: Process) -> set[str]:
    """What of the data the process reads, by its query."""
    text = SCHEMAS.process_file(process, "sql").read_text(encoding="utf-8")
    return set(statement.names(text)) - {"srid", "unit"}


def test_the_list_and_the_landing_page_lead_to_every_process(public: TestClient) -> None:
    rels = {link["rel"]: link["href"] for link in public.get("/").json()["links"]}
    listed = public.get(rels["http://www.opengis.net/def/rel/ogc/1.0/processes"]).json()
    assert {one["id"] for one in listed["processes"]} == {one.id for one in EVERYBODY}
    core = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/core"
    assert core in public.get("/conformance").json()["conformsTo"]


def test_what_is_for_staff_is_not_there_for_the_public(
    public: TestClient, staff: TestClient
) -> None:
    for process in PROCESSES:
        expected = 200 if process.privacy == "P0" else 404
        assert public.get(f"/processes/{process.id}").status_code == expected
        assert staff.get(f"/processes/{process.id}").status_code == 200
    offered = public.get("/processes/find-property?f=json").json()["inputs"]
    assert "registration_plate" not in offered


@pytest.mark.parametrize("process", LOADED, ids=lambda one: one.id)
def test_the_example_is_answered_as_the_published_schema_says(
    staff: TestClient, process: Process
) -> None:
    schema = staff.get(f"/processes/{process.id}/answer-schema").json()
    jsonschema.Draft202012Validator.check_schema(schema)
    asked = example(process, "staff")
    answer = answered(staff, process, asked)
    jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)
    assert process.verifies or answer["sources"] or not _reads(process)
    for source in answer.get("sources", {}).values():
        assert source["file"] or source["feed"] is None
        assert source["loaded"].endswith("Z")


@pytest.mark.parametrize(
    "process", [one for one in EVERYBODY if one in LOADED], ids=lambda one: one.id
)
@pytest.mark.parametrize("language", ["fa", "en"])
def test_the_page_has_a_form_whose_answer_is_a_page(
    public: TestClient, process: Process, language: str
) -> None:
    page = public.get(f"/processes/{process.id}?f=html&lang={language}")
    assert page.status_code == 200
    assert f'action="/processes/{process.id}/execution"' in page.text
    assert process.title.of(language) in page.text
    asked = example(process, "public")
    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in asked.items()
    }
    answer = public.get(
        f"/processes/{process.id}/execution", params={**texts, "f": "html", "lang": language}
    )
    assert answer.status_code == 200, answer.text
    assert f'lang="{language}"' in answer.text


@pytest.mark.parametrize(("language", "said"), [("fa", "نظافت معبر"), ("en", "Street cleaning")])
def test_values_to_choose_from_have_their_words(
    public: TestClient, language: str, said: str
) -> None:
    page = public.get(f"/processes/route-report?f=html&lang={language}").text
    assert f'<option value="street_cleaning">{said}</option>' in page
    assert 'formmethod="post"' in page
    counted = public.get(f"/processes/aggregate?f=html&lang={language}").text
    assert '<option value="neighbourhood">' in counted


def test_a_question_in_the_address_gives_the_same_answer(public: TestClient) -> None:
    asked = public.get("/processes/find-property/execution?nosazi=1-12-45-7&f=json")
    posted = public.post(
        "/processes/find-property/execution", json={"inputs": {"nosazi": {"value": "1-12-45-7"}}}
    )
    assert asked.json() == posted.json()
    assert asked.headers["cache-control"] == "no-store"


def test_a_document_has_the_answer_as_its_output(public: TestClient) -> None:
    asked = {"inputs": {"nosazi": "1-12-45-7"}, "response": "document"}
    answer = public.post("/processes/find-property/execution", json=asked).json()
    assert answer["answer"]["parcel"]["nosazi"] == "1-12-45-7-0-0-0"


@pytest.mark.parametrize(
    ("process", "inputs", "field", "rule"),
    [
        ("find-property", {"nosazy": "1"}, "nosazy", "unknown"),
        ("find-property", {}, "nosazi", "one of"),
        ("find-property", {"nosazi": "1", "postcode": "3715613947"}, "nosazi", "one of"),
        ("find-property", {"nosazi": ""}, "nosazi", "minLength 1"),
        ("find-property", {"nosazi": 7}, "nosazi", 'type "string"'),
        ("find-property", {"postcode": "37156"}, "postcode", 'pattern "^[0-9۰-۹٠-٩]{10}$"'),
        ("find-property", {"point": "POINT(50"}, "point", "geometry"),
        ("search", {}, "q", "required"),
        ("search", {"q": "کوچه", "limit": 51}, "limit", "maximum 50"),
    ],
)
def test_a_wrong_input_is_told_by_field_rule_and_example(
    public: TestClient, process: str, inputs: dict[str, Any], field: str, rule: str
) -> None:
    response = public.post(f"/processes/{process}/execution", json={"inputs": inputs})
    assert response.status_code == 400
    told = response.json()
    assert (told["field"], told["rule"]) == (field, rule)
    assert told["example"]


#: A question of each process about what is not there. Far is in the city's extent, without data.
FAR = "POINT(51.2 34.9)"
NOBODY = {"nosazi": "1-12-45-777"}
SQUARE = "POLYGON((51.2 34.9,51.201 34.9,51.201 34.901,51.2 34.901,51.2 34.9))"
NOTHING: dict[str, dict[str, Any]] = {
    "find-property": NOBODY,
    "geocode": {"postcode": "1111111111"},
    "reverse-geocode": {"point": FAR},
    "search": {"q": "ضضضضغغغ"},
    "project-impact": {"project_no": "PR-none"},
    "population-in-area": {"area": SQUARE},
    "delivery-sequence": {"block_code": "1-12-none"},
    "plan-rehearsal": {"draft": "none"},
    "aggregate": {"of": "buildings", "by": "region", "from_year": 1499},
    "route-report": {"postcode": "1111111111", "report_category": "waste"},
    "levy-bill": NOBODY | {"year": 1404},
    "document-batch": {"document": "bar-o-kaf", "block_code": "1-12-none"},
    "nearest-office": {"postcode": "1111111111"},
    "hot-spots": {"properties": ["1-12-45-777-0-0-0"]},
    "case-status": {"case_no": "none", "postcode": "1111111111"},
    "elevation-profile": {"line": "LINESTRING(51.2 34.9,51.201 34.901)"},
    "line-of-sight": {"line": "LINESTRING(51.2 34.9,51.201 34.901)"},
}


@pytest.mark.parametrize(
    "process",
    [one for one in PROCESSES if not one.verifies and _reads(one)],
    ids=lambda one: one.id,
)
def test_what_is_not_there_is_404_with_near_matches(staff: TestClient, process: Process) -> None:
    asked = dict(example(process, "staff"))
    asked = NOTHING.get(process.id) or asked | NOBODY
    response = staff.post(f"/processes/{process.id}/execution", json={"inputs": asked})
    assert response.status_code == 404, response.text
    told = response.json()
    assert told["message"] == process.nothing.model_dump()
    assert isinstance(told["near"], list)
    if "nosazi" in asked or process.id in ("project-impact", "delivery-sequence"):
        assert told["near"]


@pytest.mark.parametrize("process", [one for one in PROCESSES if one.limit], ids=lambda one: one.id)
def test_what_is_over_the_limit_is_413_with_both_numbers(
    staff: TestClient, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    answerer = staff.app.state.site.answerer  # type: ignore[attr-defined]
    assert process.limit
    none = process.limit.model_copy(update={"most": 0, "most_in_background": 0})
    monkeypatch.setitem(answerer.processes, process.id, process.model_copy(update={"limit": none}))
    block = {"block_code": "1-12-45", "year": 1404}
    large: dict[str, dict[str, Any]] = {"levy": block, "levy-basis": block}
    others = {"project-impact": {"project_no": "PR-1"}, "echo": {"text": "a", "pause": 1}}
    asked = (large | others).get(process.id) or example(process, "staff")
    response = staff.post(f"/processes/{process.id}/execution", json={"inputs": asked})
    assert response.status_code == 413, response.text
    assert response.json()["found"] > response.json()["most"] == 0


def test_the_model_citys_forms_are_about_its_own_parcel(staff: TestClient, ask: Any) -> None:
    """Codes as the contracts have them; the ids are those of this database."""
    described = staff.get("/processes/parcel-passport?f=json").json()
    assert described["example"]["inputs"] == {"nosazi": "1-12-45-7"}
    shown = described["inputs"]["parcel_id"]["schema"]["example"]
    assert ask(staff, "find-property", nosazi="1-12-45-7")["parcel"]["parcel_id"] == shown


@pytest.mark.parametrize("process", PROCESSES, ids=lambda one: one.id)
@pytest.mark.defect("1.3-inputs")
def test_every_input_is_refused_by_its_own_rule(staff: TestClient, process: Process) -> None:
    audience = SCHEMAS.audiences["staff"]
    asked = example(process, audience.id)
    described = staff.get(f"/processes/{process.id}?f=json").json()["inputs"]
    path = f"/processes/{process.id}/execution"
    unknown = staff.post(path, json={"inputs": {**asked, "nothing": 1}})
    assert (unknown.status_code, unknown.json()["field"]) == (400, "nothing")
    for name, one in derived.offered(SCHEMAS.city, audience, process).items():
        wrong = staff.post(path, json={"inputs": {**asked, name: None}})
        assert wrong.status_code == 400
        told = wrong.json()
        assert (told["field"], told["example"]) == (name, described[name]["schema"]["example"])
        assert told["rule"]
        if one.required:
            rest = {key: value for key, value in asked.items() if key != name}
            missing = staff.post(path, json={"inputs": rest}).json()
            assert (missing["field"], missing["rule"]) == (name, "required")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"inputs": []}', "application/json", 400),
        (b'{"inputs": {}, "ouputs": {}}', "application/json", 400),
        (b'{"inputs": {}, "outputs": {"pdf": {}}}', "application/json", 400),
        (b"q=1", "text/plain", 415),
        (b" " * 1_100_000, "application/json", 413),
    ],
)
def test_a_body_that_is_no_question_is_refused(
    public: TestClient, body: bytes, kind: str, status: int
) -> None:
    response = public.post(
        "/processes/search/execution", content=body, headers={"Content-Type": kind}
    )
    assert response.status_code == status


def test_no_such_process_and_no_such_method(public: TestClient) -> None:
    assert public.get("/processes/nothing").json()["code"] == "NoSuchProcess"
    assert public.post("/processes/nothing/execution", json={}).status_code == 404
    assert public.delete("/processes/search/execution").status_code == 405


class _Fields(HTMLParser):
    """The attributes of every text area of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "textarea":
            self.found.append(dict(attrs))


def test_examples_of_lists_stand_whole_in_the_form(staff: TestClient) -> None:
    """JSON is full of quotation marks: none of them may end the attribute."""
    seen = 0
    for process in PROCESSES:
        read = _Fields()
        read.feed(staff.get(f"/processes/{process.id}?f=html&lang=fa").text)
        named = staff.get(f"/processes/{process.id}?f=json").json()["inputs"]
        for area in read.found:
            example = named[area["name"] or ""]["schema"]["example"]
            shown = area["placeholder"] or ""
            assert set(area) <= {
                "id", "name", "dir", "rows", "spellcheck", "required", "placeholder", "data-shape",
                "data-instead",
            }, process.id  # fmt: skip
            assert shown == example if isinstance(example, str) else json.loads(shown) == example
            seen += not isinstance(example, str)
    assert seen > 5


def test_a_page_of_nothing_found_leads_on(public: TestClient) -> None:
    """In Persian: what may have been meant, each a link that asks for it; the way to the form."""
    asked = {"f": "html", "lang": "fa", "nosazi": "1-12-45-77"}
    answer = public.get("/processes/find-property/execution", params=asked)
    assert answer.status_code == 404
    persian = answer.text.partition('lang="fa" dir="rtl">')[2].partition("</section>")[0]
    assert "ملکی پیدا نشد" in persian or "چنین" in persian
    assert '<a href="/processes/find-property?lang=fa">' in persian
    near = re.findall(r'href="(/processes/find-property/execution[^"]+)"', persian)
    assert near
    meant = public.get(html.unescape(near[0]))
    assert meant.status_code == 200
    assert "1-12-45-" in meant.text
    wrong = public.get("/processes/search/execution", params={"f": "html", "lang": "fa", "q": "x"})
    persian = wrong.text.partition('lang="fa" dir="rtl">')[2].partition("</section>")[0]
    assert wrong.status_code == 400
    assert "minLength 2" in persian
    assert "نمونه" in persian


def test_a_shape_can_be_drawn_or_taken_from_a_file(staff: TestClient) -> None:
    """Of each process that asks for one shape the page has the map, in the field's own kind; the
    scripts are this server's."""
    audience = SCHEMAS.audiences["staff"]
    seen = set()
    for process in PROCESSES:
        page = staff.get(f"/processes/{process.id}?f=html&lang=fa").text
        offered = derived.offered(SCHEMAS.city, audience, process)
        field = next((n for n, one in offered.items() if one.meaning == "geometry"), None)
        assert page.count(" data-shape ") == page.count('id="shape-file"') == (field is not None)
        if field is not None:
            told = page.partition('id="map-data">')[2].partition("</script>")[0]
            assert json.loads(told)["draw"] == offered[field].shape
            assert f'name="{field}" data-shape data-instead="' in page
            if process.id == "project-impact":
                assert 'data-instead="project_no"' in page
            seen.add(offered[field].shape)
    assert seen == {"point", "line", "area"}
    for name in ("map", "ask"):
        assert staff.get(f"/static/js/{name}.js").status_code == 200
