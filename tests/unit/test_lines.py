"""The table "Line by line" of docs/systems.md against the domain's lines and against the tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pipeline import testing
from pipeline.cli.main import COMMANDS
from pipeline.contracts import registry

ROOT = Path(__file__).resolve().parents[2]
#: How many lines each family of domain 1.0-1.8 has; the database's are numbered by phase.
FAMILIES = {
    "FIN": 11, "C137": 5, "POR": 9, "KIO": 3, "SHR": 16, "NOS": 7, "AML": 20, "DAR": 8,
    "NET": 4, "ECT": 5,
}  # fmt: skip
PHASES = {1: 2, 2: 7, 3: 7, 4: 3}
NOTHING = "–"


def known() -> set[str]:
    """Every line that asks something, and 1.0, the fixture."""
    return {
        "1.0",
        *(f"SDB-{phase}.{n}" for phase, last in PHASES.items() for n in range(1, last + 1)),
        *(f"{name}-{n}" for name, last in FAMILIES.items() for n in range(1, last + 1)),
    }


@cache
def rows() -> list[tuple[list[str], str, str]]:
    """The table: lines (``SHR-8..11`` are four), what answers, what shows it."""
    text = (ROOT / "docs" / "systems.md").read_text("utf-8")
    part = text.split("## Line by line", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"^\| ([A-Z0-9.-]+) \| (.+?) \| (.+?) \|$", part, re.MULTILINE)
    return [(list(_each(name)), answer, shown) for name, answer, shown in found]


def _each(name: str) -> Iterator[str]:
    first, _, last = name.partition("..")
    stem, _, number = first.rpartition("-")
    if not last:
        yield name
    else:
        yield from (f"{stem}-{n}" for n in range(int(number), int(last) + 1))


@cache
def _tests(path: Path) -> dict[str, str]:
    """The tests of a file, each with what it says of itself."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def named() -> list[tuple[str, str]]:
    """Each test that is named, with the first line of its row."""
    return [
        (lines[0], test)
        for lines, _, shown in rows()
        for test in re.findall(r"`([^`]+::[^`]+)`", shown)
    ]


def test_every_line_is_in_the_table_once_and_no_other() -> None:
    found = [line for lines, _, _ in rows() for line in lines]
    assert sorted(found) == sorted(set(found))
    assert set(found) == known()


def test_the_table_is_in_the_order_of_the_domain() -> None:
    order = ["1.0", "SDB", *FAMILIES]
    places = [
        (order.index(line.split("-")[0]), [int(part) for part in re.findall(r"\d+", line)])
        for lines, _, _ in rows()
        for line in lines
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(("line", "test"), named(), ids=lambda value: value)
def test_each_test_that_is_named_is_there_and_names_its_line(line: str, test: str) -> None:
    path, name = test.split("::")
    said = _tests(ROOT / "tests" / path)
    assert name in said
    assert re.search(rf"\b{re.escape(line)}(?![0-9])", said[name]), said[name]


def test_who_asks_something_is_shown_a_test() -> None:
    """A row without a test says that nothing is asked of us, or which line stands for it."""
    for lines, answer, shown in rows():
        if shown == NOTHING:
            assert answer.startswith(("Nothing", "As ")), lines
        else:
            assert "::" in shown, lines


def test_what_answers_is_published() -> None:
    """Names in backticks in the second column: collections, processes, commands, paths."""
    schemas = registry.load("qom")
    names = {
        *(layer.publish.collection for layer in schemas.layers.values() if layer.publish),
        *(raster.collection for raster in schemas.rasters.values()),
        *schemas.processes,
    }
    for lines, answer, _ in rows():
        for name in re.findall(r"`([^`]+)`", answer):
            if name.startswith("makan "):
                assert name.split()[1] in COMMANDS, (lines, name)
            elif name[0] not in "/?":
                assert re.split(r"[?/{]", name)[0].strip() in names, (lines, name)


def test_the_lines_are_those_of_the_domain(real_data: Path) -> None:
    """Against the text itself, where it is at hand."""
    text = (testing.shared_data().parent / "domain.md").read_text("utf-8")
    part = text.split("### 1.1 ", 1)[1].split("\n## 2.", 1)[0]
    said = set(
        re.findall(r"\b(?:SDB-\d\.\d|(?:FIN|C137|POR|KIO|SHR|NOS|AML|DAR|NET|ECT)-\d+)", part)
    )
    assert said <= known()
    # Between the ends of "SHR-8..11" and after the first of "DAR-3/4" lines are not written out.
    assert {line.split("-")[0] for line in known() - said} <= {"1.0", "SHR", "AML", "DAR"}
