"""What runs OGC's suites: their reports read as TestNG writes them, and absence said plainly."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from conformance import suites

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
    assert found.failures == ["limit: expected [10] but found [11]"]


def test_arguments_are_java_properties() -> None:
    text = suites.properties({"iut": "http://127.0.0.1/", "a&b": "1"})
    entries = ET.fromstring(text.split("?>", 1)[1].split(">", 1)[1]).findall("entry")
    assert {one.get("key"): one.text for one in entries} == {"iut": "http://127.0.0.1/", "a&b": "1"}


def test_without_maven_a_suite_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = suites.run("ets-ogcapi-features10", {"iut": "http://127.0.0.1/"}, tmp_path)
    assert "mvn" in found.why
