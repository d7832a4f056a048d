"""Formulas of a year as data: a levy worked out line by line, each line explained.

The expressions are read by simpleeval: arithmetic, comparisons and a choice (``a if b else c``)
over named numbers, and nothing else. All numbers are decimal, so that money is exact; what is
rounded, and how, the file says. A formula is worked out over all properties at once.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, reduce
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import simpleeval  # type: ignore[import-untyped]
from pydantic import Field as Setting
from pydantic import model_validator

from pipeline.contracts import toml
from pipeline.contracts.base import Frozen, Identifier, Text

#: The member of an answer that says which year's lines are worked out.
YEAR = "year"
_NAME = re.compile(r"[a-z]\w*")
_FUNCTIONS = {"min": np.minimum, "max": np.maximum}
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class Line(Frozen):
    """One line: its name, by which later lines know it, and the expression. ``whole``: rounded to
    whole numbers, halves up."""

    name: Identifier
    title: Text
    formula: str
    unit: str
    whole: bool = False


class Year(Frozen):
    """The formulas of one Jalali year; ``total`` is the line that is to be paid. Of ground in the
    zones ``exempt`` the shares stand there, as decimals: items with ``zone_shares`` get the
    variable ``exempt_share`` of them."""

    year: int
    basis: Text
    parameters: dict[Identifier, str] = Setting(default_factory=dict)
    exempt: dict[str, str] = Setting(default_factory=dict)
    lines: tuple[Line, ...]
    total: Identifier

    @model_validator(mode="after")
    def _lines_are_readable(self) -> Self:
        names = [line.name for line in self.lines]
        if self.total not in names or len(set(names)) < len(names):
            raise ValueError("total must be a line, and no line may stand twice")
        if any(not 0 <= Decimal(share) <= 1 for share in self.exempt.values()):
            raise ValueError("a zone is exempt by a share from 0 to 1")
        for line in self.lines:
            try:
                simpleeval.SimpleEval.parse(line.formula)
            except (simpleeval.InvalidExpression, SyntaxError) as error:
                raise ValueError(f"{line.name}: {error}") from None
        return self


class Formulas(Frozen):
    """One file of schemas/formulas/. ``variables`` are what the items of an answer must bring;
    ``titles`` are the words for them and for the parameters."""

    id: Identifier
    title: Text
    variables: tuple[Identifier, ...]
    titles: dict[Identifier, Text]
    years: tuple[Year, ...]

    @model_validator(mode="after")
    def _all_have_titles(self) -> Self:
        named = {*self.variables, *(name for year in self.years for name in year.parameters)}
        if set(self.titles) != named:
            raise ValueError("titles must name the variables and parameters, each")
        return self


def named(root: Path, name: str) -> Formulas:
    """The formulas ``name`` of the schemas below ``root``; raises ContractError."""
    return read(root / "formulas" / f"{name}.toml")


@cache
def read(path: Path) -> Formulas:
    """The formulas of ``path``; raises ContractError."""
    return toml.read(path, Formulas)


class _Exact(simpleeval.SimpleEval):  # type: ignore[misc]
    """Over columns of decimals: numbers in expressions are decimal as written, a choice and a
    comparison are made row by row."""

    def _eval_constant(self, node: Any) -> Any:
        value = super()._eval_constant(node)
        plain = isinstance(value, bool) or not isinstance(value, int | float)
        return value if plain else Decimal(str(value))

    def _eval_ifexp(self, node: Any) -> Any:
        then, other = self._eval(node.body), self._eval(node.orelse)
        return np.where(np.asarray(self._eval(node.test), dtype=bool), then, other)

    def _eval_boolop(self, node: Any) -> Any:
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        values = [np.asarray(self._eval(one), dtype=bool) for one in node.values]
        return reduce(join, values)

    def _eval_compare(self, node: Any) -> Any:
        terms = [self._eval(one) for one in (node.left, *node.comparators)]
        compared = [
            np.asarray(_COMPARISONS[type(how)](left, right), dtype=bool)
            for how, (left, right) in zip(node.ops, pairwise(terms), strict=True)
        ]
        return reduce(np.logical_and, compared)


def _exact(names: dict[str, Any]) -> _Exact:
    evaluator = _Exact(names=names, functions=_FUNCTIONS, operators=_OPERATORS)
    evaluator.nodes |= {
        ast.IfExp: evaluator._eval_ifexp,
        ast.BoolOp: evaluator._eval_boolop,
        ast.Compare: evaluator._eval_compare,
        ast.Constant: evaluator._eval_constant,
    }
    return evaluator


def worked_out(
    root: Path,
    name: str,
    answer: dict[str, Any],
    *,
    of: str = "items",
    explained: bool = True,
    to: str | None = None,
) -> dict[str, Any]:
    """``answer`` whose items, the member ``of``, each have the lines of their year, and the
    ``total_irr`` of all.

    The answer says its ``year``; items in which a variable is missing are counted apart. Unless
    ``explained``, items have ``values`` by the names of lines, which stand once beside them. Lines
    after ``to`` are left out, where it is given: its value is then the amount.
    """
    formulas = named(root, name)
    year = next((one for one in formulas.years if one.year == answer[YEAR]), None)
    if year is not None and to is not None:
        year = _cut(year, to)
    items = [_with_share(year, item) for item in answer[of]]
    missing = [_missing(formulas, year, item["variables"]) for item in items]
    whole = [item for item, lacks in zip(items, missing, strict=True) if not lacks]
    rows = iter(_rows(formulas, year, whole) if year and whole else [])
    found = [
        item
        | (_told(year, next(rows), explained=explained) if not lacks and year else _none(lacks))
        for item, lacks in zip(items, missing, strict=True)
    ]
    return answer | {
        "basis": year.basis.model_dump() if year else None,
        "parameters": year.parameters if year else {},
        "lines": [line.model_dump(exclude={"whole"}) for line in year.lines] if year else [],
        of: found,
        "computed": len(whole),
        "not_computed": len(items) - len(whole),
        "total_irr": _number(sum((Decimal(i["amount"]) for i in found if i["amount"] is not None),
                                 Decimal(0))),
    }  # fmt: skip


def with_numbers(item: dict[str, Any], parameters: dict[str, str]) -> dict[str, str]:
    """Each line of ``item``, whose lines are explained, with numbers instead of names: how people
    reckon it anew."""
    known = {**item["variables"], **parameters}
    known |= {line["name"]: line["value"] for line in item["lines"]}
    return {line["name"]: _NAME.sub(lambda one: _figure(known, one[0]), line["formula"])
            .replace("*", "×") for line in item["lines"]}  # fmt: skip


def _figure(known: dict[str, Any], name: str) -> str:
    value = known.get(name)
    return name if value is None else f"{Decimal(str(value)):,f}"


def _cut(year: Year, to: str) -> Year:
    """The lines up to ``to``; raises ValueError where there is no such line."""
    names = [line.name for line in year.lines]
    return year.model_copy(update={"lines": year.lines[: names.index(to) + 1], "total": to})


def _with_share(year: Year | None, item: dict[str, Any]) -> dict[str, Any]:
    """The item with the share of its ground that is exempt, 0 where nothing is known of zones."""
    shares = item.get("zone_shares") or {}
    exempt = year.exempt if year else {}
    told = sum((Decimal(str(share)) * Decimal(exempt[zone]) for zone, share in shares.items()
                if zone in exempt), Decimal(0))  # fmt: skip
    return item | {
        "variables": item["variables"] | {"exempt_share": _number(min(told, Decimal(1)))}
    }


def _missing(formulas: Formulas, year: Year | None, variables: dict[str, Any]) -> list[str]:
    if year is None:
        return ["year"]
    return [name for name in formulas.variables if variables.get(name) is None]


def _none(missing: list[str]) -> dict[str, Any]:
    return {"amount": None, "lines": [], "missing": missing}


def _rows(formulas: Formulas, year: Year, items: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """The value of every line of each of ``items``, worked out line by line over all of them."""
    known: dict[str, Any] = {n: Decimal(v) for n, v in year.parameters.items()}
    for name in formulas.variables:
        column = [Decimal(str(item["variables"][name])) for item in items]
        known[name] = np.array(column, dtype=object)
    evaluator, columns = _exact(known), []
    for line in year.lines:
        made = evaluator.eval(line.formula, previously_parsed=_parsed(line.formula))
        value = np.broadcast_to(np.asarray(made, dtype=object), len(items))
        known[line.name] = _rounded(value) if line.whole else value
        columns.append(known[line.name].tolist())
    return zip(*columns, strict=True)


def _rounded(values: Any) -> Any:
    whole = [Decimal(value).quantize(Decimal(1), ROUND_HALF_UP) for value in values]
    return np.array(whole, dtype=object)


def _told(year: Year, values: tuple[Any, ...], *, explained: bool) -> dict[str, Any]:
    numbers = {line.name: _number(v) for line, v in zip(year.lines, values, strict=True)}
    amount: dict[str, Any] = {"amount": numbers[year.total], "missing": []}
    if not explained:
        return {**amount, "values": numbers}
    lines = [
        {**line.model_dump(exclude={"whole"}), "value": numbers[line.name]} for line in year.lines
    ]
    return {**amount, "lines": lines}


@cache
def _parsed(formula: str) -> Any:
    return simpleeval.SimpleEval.parse(formula)


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
