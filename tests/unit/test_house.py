"""The house keeps its own rules: names only in contracts, docs fresh, errors documented."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import errors
from pipeline.cli.main import COMMANDS
from pipeline.contracts.registry import Schemas
from pipeline.errors import MakanError

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = sorted((ROOT / "pipeline").rglob("*.py"))
# Words that are layer ids and ordinary English as well; as a literal they mean the word.
ENGLISH = {"block", "contour", "project", "region", "street", "building", "district", "structure"}


def _literals(path: Path) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_layer_or_column_is_named_in_code(schemas: Schemas) -> None:
    columns = {field.name for layer in schemas.layers.values() for field in layer.fields}
    layers = set(schemas.layers)
    # A field type is a word of the contract language, not a column; a command may be called so.
    names = (columns | layers | set(schemas.rasters)) - ENGLISH - {"parcel_code"} - set(COMMANDS)
    found = [
        f"{path.relative_to(ROOT)}:{line} {text!r}"
        for path in PIPELINE
        for line, text in _literals(path)
        if text in names
    ]
    assert not found


def test_every_error_class_says_what_it_is_and_has_its_own_exit_code() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, MakanError) and value is not MakanError
    ]
    assert len({kind.exit_code for kind in classes}) == len(classes)
    for kind in classes:
        assert kind.__doc__
        assert f"{kind.__name__} " in (errors.__doc__ or "")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_is_documented(name: str) -> None:
    command = COMMANDS[name].load()
    assert command.help
    assert f"## makan {name}" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def test_no_file_names_a_place_of_one_machine() -> None:
    pattern = re.compile(r"(?<![\w./-])/(work|home|root)/[a-z]")
    files = [
        p for p in ROOT.rglob("*.py") if ".venv" not in p.parts and "node_modules" not in p.parts
    ]
    found = [str(path) for path in files if pattern.search(path.read_text(encoding="utf-8"))]
    assert [name for name in found if "test_house" not in name] == []
