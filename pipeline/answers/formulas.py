"""Formulas of a year as data: a levy worked out line by line, each line explained.

The expressions are read by simpleeval: arithmetic, comparisons and a choice (``a if b else c``)
over named numbers, and nothing else. All numbers are decimal, so that money is exact; what is
rounded, and how, the file says.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any, Self

import simpleeval  # type: ignore[import-untyped]
from pydantic import Field as Setting
from pydantic import model_validator

from pipeline.contracts import toml
from pipeline.contracts.base import Frozen, Identifier, Text

_FUNCTIONS = {"min": min, "max": max}


class Line(Frozen):
    """One line: its name, by which later lines know it, and the expression. ``whole``: rounded to
    whole numbers, halves up."""

    name: Identifier
    title: Text
    formula: str
    unit: str
    whole: bool = False


class Year(Frozen):
    """The formulas of one Jalali year; ``total`` is the line that is to be paid."""

    year: int
    basis: Text
    parameters: dict[Identifier, str] = Setting(default_factory=dict)
    lines: tuple[Line, ...]
    total: Identifier

    @model_validator(mode="after")
    def _lines_are_readable(self) -> Self:
        names = [line.name for line in self.lines]
        if self.total not in names or len(set(names)) < len(names):
            raise ValueError("total must be a line, and no line may stand twice")
        for line in self.lines:
            try:
                simpleeval.SimpleEval.parse(line.formula)
            except (simpleeval.InvalidExpression, SyntaxError) as error:
                raise ValueError(f"{line.name}: {error}") from None
        return self


class Formulas(Frozen):
    """One file of schemas/formulas/. ``variables`` are what the items of an answer must bring."""

    id: Identifier
    title: Text
    variables: tuple[Identifier, ...]
    years: tuple[Year, ...]


@cache
def read(path: Path) -> Formulas:
    """The formulas of ``path``; raises ContractError."""
    return toml.read(path, Formulas)


class _Exact(simpleeval.SimpleEval):  # type: ignore[misc]
    """Numbers in expressions are decimal as written."""

    def _eval_constant(self, node: Any) -> Any:
        value = super()._eval_constant(node)
        plain = isinstance(value, bool) or not isinstance(value, int | float)
        return value if plain else Decimal(str(value))


def worked_out(root: Path, name: str, answer: dict[str, Any]) -> dict[str, Any]:
    """``answer`` whose ``items`` each have the lines of their year, and the ``total_irr`` of all.

    The answer says its ``year``; items in which a variable is missing are counted apart.
    """
    formulas = read(root / "formulas" / f"{name}.toml")
    year = next((one for one in formulas.years if one.year == answer["year"]), None)
    items = [item | _lines(formulas, year, item) for item in answer["items"]]
    paid = [Decimal(item["amount"]) for item in items if item["amount"] is not None]
    return answer | {
        "basis": year.basis.model_dump() if year else None,
        "parameters": year.parameters if year else {},
        "items": items,
        "computed": len(paid),
        "not_computed": len(items) - len(paid),
        "total_irr": _number(sum(paid, Decimal(0))),
    }


def _lines(formulas: Formulas, year: Year | None, item: dict[str, Any]) -> dict[str, Any]:
    variables = item["variables"]
    missing = [name for name in formulas.variables if variables.get(name) is None]
    if year is None or missing:
        return {"amount": None, "lines": [], "missing": missing if year else ["year"]}
    known: dict[str, Any] = {n: Decimal(v) for n, v in year.parameters.items()}
    known |= {name: Decimal(str(variables[name])) for name in formulas.variables}
    evaluator = _Exact(names=known, functions=_FUNCTIONS)
    lines = []
    for line in year.lines:
        value = evaluator.eval(line.formula, previously_parsed=_parsed(line.formula))
        if line.whole:
            value = Decimal(value).quantize(Decimal(1), ROUND_HALF_UP)
        known[line.name] = value
        lines.append(
            {
                "name": line.name,
                "title": line.title.model_dump(),
                "formula": line.formula,
                "value": _number(value),
                "unit": line.unit,
            }
        )
    return {"amount": _number(known[year.total]), "lines": lines, "missing": []}


@cache
def _parsed(formula: str) -> Any:
    return simpleeval.SimpleEval.parse(formula)


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
