"""Reads a TOML file into a model; every mistake is named with its file and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tomli
from pydantic import BaseModel, ValidationError

from pipeline.errors import ContractError

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")


def _key_at(line: str, name: str) -> bool:
    return re.match(rf"""\s*["']?{re.escape(name)}["']?\s*[.=]""", line) is not None


def line_of(text: str, path: tuple[str | int, ...]) -> int:
    """The 1-based line where ``path`` (keys and list positions, as pydantic names them) stands.

    Falls back to the line of the nearest enclosing table, since a missing key has no line.
    """
    names = [str(part) for part in path if isinstance(part, str)]
    wanted = {
        tuple(str(p) for p in path[:end] if isinstance(p, str)): [
            p for p in path[:end] if isinstance(p, int)
        ]
        for end in range(len(path) + 1)
    }
    seen: dict[tuple[str, ...], int] = {}
    here: tuple[str, ...] = ()
    best, inside = 1, True
    for number, line in enumerate(text.splitlines(), start=1):
        table = _TABLE.match(line)
        if table:
            here = tuple(part.strip().strip("\"'") for part in table[2].split("."))
            if table[1] == "[[":
                seen[here] = seen.get(here, -1) + 1
            positions = wanted.get(here)
            inside = positions is not None and (
                not positions or here not in seen or seen[here] == positions[-1]
            )
            if inside:
                best = number
        elif inside and len(names) > len(here) and _key_at(line, names[len(here)]):
            return number
    return best


def _say(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {where}"
    if error["type"] == "missing":
        return f"missing key {where}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def read[Model: BaseModel](path: Path, model: type[Model]) -> Model:
    """``path`` as ``model``; raises ContractError naming file and line of each mistake."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomli.loads(text)
    except FileNotFoundError:
        raise ContractError("no such file", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise ContractError("is not UTF-8", where=str(path), todo="Save it as UTF-8.") from error
    except tomli.TOMLDecodeError as error:
        raise ContractError(f"is not TOML: {error}", where=str(path)) from error
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        mistakes = [
            f"{path}:{line_of(text, tuple(item['loc']))}: {_say(dict(item))}"
            for item in error.errors()
        ]
        raise ContractError(
            "; ".join(mistakes), todo="See schemas/README.md for the keys."
        ) from error
