"""OGC's executable test suites: fetched by Maven, run by Java, their results read.

A suite is found by its name alone: its jar says which class runs it, as TEAM Engine asks it too.
Maven takes the newest that it can have: a release of Maven Central, or what was built from OGC's
published source and installed into the local repository (docs/conformance.md says how).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZipFile

POM = Path(__file__).parent / "ets" / "pom.xml"
_SERVICE = "META-INF/services/com.occamlab.te.spi.jaxrs.TestSuiteController"
_FETCH_S, _RUN_S = 900, 3600
#: The method and the address of a request as REST Assured writes them.
_ASKED = re.compile(r"Request method:\s*(\S+)\s+Request URI:\s*(\S+)")
_REASON = re.compile(
    r"(No versions available for [\w.:-]+|Could not (?:find|transfer) artifact [\w.:-]+"
    r"|(?:Exception|Error)[\w.:]* .{1,150})"
)
NAMES = (
    "ets-ogcapi-features10",
    "ets-ogcapi-features20",
    "ets-ogcapi-tiles10",
    "ets-ogcapi-processes10",
    "ets-ogcapi-coverages10",
    "ets-ogcapi-edr10",
)


@dataclass(frozen=True)
class Result:
    """What became of a suite: counts, failures and its version, or ``why`` it was not run."""

    name: str
    passed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    why: str = ""
    version: str = ""


def run(name: str, arguments: dict[str, str], folder: Path) -> Result:
    """The suite ``name`` against what ``arguments`` describe; its report stays in ``folder``."""
    if not shutil.which("mvn") or not shutil.which("java"):
        return Result(name, why="needs mvn and java (17 or later)")
    folder.mkdir(parents=True, exist_ok=True)
    classpath = folder / "classpath"
    said = _said(
        ["mvn", "-B", "-f", str(POM), f"-Dets={name}", f"-Dmdep.outputFile={classpath}",
         "org.apache.maven.plugins:maven-dependency-plugin:2.8:build-classpath"],
        _FETCH_S, folder / "maven.log",
    )  # fmt: skip
    if said is not None:
        return Result(name, why=f"not to be had from Maven: {said}")
    jars = classpath.read_text().split(":")
    suite = Path(next(jar for jar in jars if f"/{name}/" in jar))
    asked = folder / "arguments.xml"
    asked.write_text(properties(arguments))
    words = ["java", "-cp", ":".join(jars), _controller(suite), "-o", str(folder), str(asked)]
    before = set(folder.rglob("testng-results.xml"))
    said = _said(words, _RUN_S, folder / "java.log")
    reports = set(folder.rglob("testng-results.xml")) - before
    if not reports:
        return Result(name, why=f"did not run: {said}")
    return replace(read(name, reports.pop()), version=version(suite))


def properties(arguments: dict[str, str]) -> str:
    """The arguments of a run as Java writes properties, without a DTD that would be fetched."""
    entries = "".join(
        f"<entry key={quoteattr(k)}>{escape(v)}</entry>" for k, v in arguments.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><properties>{entries}</properties>'


def read(name: str, report: Path) -> Result:
    """The counts and the failures of TestNG's own report; what fails before a test fails too."""
    methods = list(ET.parse(report).iter("test-method"))
    states = [method.get("status") for method in methods if method.get("is-config") != "true"]
    failures = [
        f"{method.get('signature', method.get('name', '?')).split('(')[0]}: {_message(method)}"
        for method in methods
        if method.get("status") == "FAIL"
    ]
    return Result(name, states.count("PASS"), states.count("SKIP"), failures)


def _message(method: ET.Element) -> str:
    """What a test says; with the address that it asked where it tells no more than a status."""
    found = method.find("exception/message")
    said = " ".join((found.text or "").split()) if found is not None else "no message"
    if "Expected status code" in said:
        asked = method.findtext("attributes/attribute[@name='request']") or ""
        address = _ASKED.search(asked)
        said += f" ({address[1]} {address[2]})" if address else ""
    return said


def version(jar: Path) -> str:
    """The version of a suite by its place in the local repository, which also knows its origin."""
    origin = jar.with_name("_remote.repositories")
    built = origin.exists() and f"{jar.name}>=" in origin.read_text().splitlines()
    return jar.parent.name + (", built from source" if built else "")


def _controller(jar: Path) -> str:
    with ZipFile(jar) as archive:
        lines = archive.read(_SERVICE).decode().splitlines()
    return next(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _said(words: list[str], seconds: int, log: Path) -> str | None:
    """Runs a command; None if it succeeded, else why it did not, without addresses."""
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"took longer than {seconds} s"
    log.write_text(ended.stdout + ended.stderr)
    if ended.returncode == 0:
        return None
    found = _REASON.search(ended.stdout + ended.stderr)
    return found[1].rstrip(":") if found else f"exit code {ended.returncode}, see {log.name}"
