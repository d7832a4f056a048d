"""What runs OGC's suites: their reports read as TestNG writes them, and absence said plainly."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from conformance import known, run, suites

REPORT = """<?xml version="1.0" encoding="UTF-8"?>
<testng-results ignored="0" total="4" passed="2" failed="1" skipped="1">
  <suite name="features"><test name="Core"><class name="org.opengis.cite.Core">
    <test-method is-config="true" status="FAIL" signature="setUp()" name="setUp"/>
    <test-method status="PASS" signature="landingPage()" name="landingPage"/>
    <test-method status="PASS" signature="conformance()" name="conformance"/>
    <test-method status="SKIP" signature="crs()" name="crs"/>
    <test-method status="FAIL" signature="limit(TestPoint)[x]" name="limit">
      <exception class="java.lang.AssertionError"><message><![CDATA[expected [10]
        but found [11]]]></message></exception>
    </test-method>
  </class></test></suite>
</testng-results>
"""


def test_a_report_of_testng(tmp_path: Path) -> None:
    path = tmp_path / "testng-results.xml"
    path.write_text(REPORT)
    found = suites.read("ets", path)
    assert (found.passed, found.skipped) == (2, 1)
    # What fails before a test leaves tests out: a failure too.
    assert found.failures == ["setUp: no message", "limit: expected [10] but found [11]"]


def test_a_failure_that_is_but_a_status_names_the_request(tmp_path: Path) -> None:
    path = tmp_path / "testng-results.xml"
    asked = "Request method:GET\nRequest URI:http://127.0.0.1/items?f=json\nProxy:none"
    path.write_text(
        REPORT.replace("expected [10]", "Expected status code").replace(
            "</exception>",
            f'</exception><attributes><attribute name="request">{asked}</attribute></attributes>',
        )
    )
    (_, failure) = suites.read("ets", path).failures
    assert (
        failure == "limit: Expected status code but found [11] (GET http://127.0.0.1/items?f=json)"
    )


def test_arguments_are_java_properties() -> None:
    text = suites.properties({"iut": "http://127.0.0.1/?a=1&b=2", "a&b": "1"})
    assert "DOCTYPE" not in text  # Java would fetch it
    entries = ET.fromstring(text).findall("entry")
    read = {one.get("key"): one.text for one in entries}
    assert read == {"iut": "http://127.0.0.1/?a=1&b=2", "a&b": "1"}


def test_a_suite_says_where_it_is_from(tmp_path: Path) -> None:
    jar = tmp_path / "1.9" / "ets-1.9.jar"
    jar.parent.mkdir()
    assert suites.version(jar) == "1.9"
    origin = jar.with_name("_remote.repositories")
    origin.write_text("#made by Maven\nets-1.9.jar>central=\n")
    assert suites.version(jar) == "1.9"
    origin.write_text("#made by Maven\nets-1.9.jar>=\n")
    assert suites.version(jar) == "1.9, built from source"


def test_without_maven_a_suite_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = suites.run("ets-ogcapi-features10", {"iut": "http://127.0.0.1/"}, tmp_path)
    assert "mvn" in found.why


def test_what_is_known_is_known_word_for_word() -> None:
    expected = [known.Known("ets", "jobs", r"no list at \S+", "needs a key")]
    said = ["jobs: no list at http://127.0.0.1/jobs", "jobs: no list at all, and 500", "tiles: no"]
    found = known.parted("ets", [*said, said[0]], expected)
    assert (found.new, found.known, found.unjudged) == (said[1:], ["jobs: needs a key"] * 2, [])
    assert known.parted("other", said, expected) == known.Parted(said)


def test_what_cannot_be_judged_is_no_failure_and_no_success() -> None:
    """Without the host of its schemas a test fails by its own words; with it they are a fault."""
    expected = [known.Known("ets", "jobs", "not valid by .*", "reads it there", "schemas.example")]
    said = ["jobs: not valid by http://schemas.example/jobs.yaml", "jobs: 500"]
    away = known.parted("ets", said, expected, reached=lambda _: False)
    assert (away.new, away.known) == (["jobs: 500"], [])
    assert away.unjudged == ["jobs: reads it there; schemas.example is out of reach"]
    assert known.parted("ets", said, expected, reached=lambda _: True) == known.Parted(said)


def test_the_counts_of_a_suite_are_those_of_its_tests() -> None:
    """One test fails once for each of its data: told once, counted each time."""
    failures = ["jobs: a", "jobs: a", "tiles: no"]
    found = suites.Result("ets", 3, 1, failures, version="1.0")
    away = known.Parted(["tiles: no"], unjudged=["jobs: why"] * 2)
    assert run._counts(found, away) == (
        "3 passed, 1 failed (of these 0 known), 2 NOT JUDGED, 1 skipped (1.0)"
    )
    assert run._lines(away) == ["tiles: no", "not judged: jobs: why"]


def test_a_host_is_reached_or_not() -> None:
    assert not known.reached("no-such-host.invalid")


def test_the_known_failures_are_of_suites_that_are_run() -> None:
    every = known.load()
    assert {one.suite for one in every} <= set(suites.NAMES)
    for one in every:
        assert one.why
        assert not one.is_in(f"{one.test}: anything")
