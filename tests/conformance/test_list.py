"""docs/conformance.md against the server: nothing is declared that is not in it with its test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from pipeline.serve import conformance, stac

from .conftest import SPEC, Api

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `((?:http|[a-z0-9-]+/)[^`]+)` \| (.+) \|$", re.MULTILINE)


def _listed() -> dict[str, list[str]]:
    """The tests of each class, as the document names them."""
    text = (ROOT / "docs" / "conformance.md").read_text("utf-8")
    found = {name: re.findall(r"`([^`]+::[^`]+)`", told) for name, told in ROW.findall(text)}
    assert all(found.values())
    return found


@cache
def _functions(path: Path) -> dict[str, str]:
    """The tests of a file with what stands above them."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.name: "\n".join(ast.unparse(one) for one in node.decorator_list)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def test_nothing_is_declared_that_is_not_listed(api: Api) -> None:
    assert api.declared <= _listed().keys()


def test_the_list_holds_all_that_can_be_declared_and_no_more() -> None:
    config = {
        "resources": {
            kind: {"providers": [{"type": kind, "format": {"mimetype": form}}]}
            for kind, form in (
                *(("feature", ""), ("map", ""), ("coverage", ""), ("edr", "")),
                ("tile", "application/vnd.mapbox-vector-tile"),
            )
        }
        | {
            form: {"providers": [{"type": "tile", "format": {"mimetype": form}}]}
            for form in ("image/png", "image/jpeg")
        }
    }
    every = conformance.classes(config, ["one"], lists_jobs=True, writes=True, arrays=True)
    known = {name.removeprefix(SPEC) for name in (*every, *stac.CONFORMS)}
    assert _listed().keys() == known


@pytest.mark.parametrize("name", sorted({test for tests in _listed().values() for test in tests}))
def test_each_test_that_is_named_is_there(name: str) -> None:
    path, function = name.split("::")
    folder = ROOT if path.startswith("tests/") else Path(__file__).parent
    assert function in _functions(folder / path)


def test_tests_prove_what_the_list_says(request: pytest.FixtureRequest) -> None:
    """The marks of the tests that run and the document name the same classes."""
    said: dict[str, set[str]] = {}
    for item in request.session.items:
        for mark in item.iter_markers("proves"):
            for name in mark.args:
                near = item.path.parent == Path(__file__).parent
                file = item.path.name if near else item.path.relative_to(ROOT).as_posix()
                said.setdefault(name, set()).add(f"{file}::{item.name.split('[')[0]}")
    listed = _listed()
    for name, tests in said.items():
        assert tests <= set(listed[name]), name
