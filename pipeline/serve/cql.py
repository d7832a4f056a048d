"""CQL2 filters, text and JSON: read by the ``cql2`` package, then made into SQL by our own walk.

The package's SQL writes values into the text and gives geometries no SRID, so only its tree is
used. Its parser recurses without a bound and takes the process down on deep nesting; what is too
long or too deep is therefore refused before it is parsed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

import cql2
import orjson

from pipeline.serve import cql_predicate
from pipeline.serve.clause import Binder, Clause
from pipeline.serve.cql_term import Context, Filtered
from pipeline.serve.crs import Crs
from pipeline.serve.errors import Problem, bad

Language = Literal["cql2-text", "cql2-json"]
LANGUAGES: tuple[Language, ...] = ("cql2-text", "cql2-json")

_MAX_CHARACTERS = 500_000
_MAX_WORDS = 1_000
_MAX_DEPTH = 60
_MAX_PREFIXES = 20
# A doubled quote reads as two texts side by side, which is as good; backslashes escape nothing.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NUMBERS = re.compile(r"(?<![\w.])[+-]?[0-9][0-9.eE+-]*[\s,]*")
_WORDS = re.compile(r"\w+|[^\w\s]")
_PREFIXES = re.compile(rf"(?:(?:\bnot\b|[-+])\s*){{{_MAX_PREFIXES},}}", re.IGNORECASE)


@lru_cache(maxsize=1024)
def clause(served: Filtered, text: str, language: Language, crs: Crs) -> Clause:
    """The filter as a condition; 400 says what in it is wrong or not supported."""
    tree = _tree(text, language)
    context = Context(served, crs, Binder("f"))
    return context.binder.clause(cql_predicate.predicate(context, tree), varied=True)


def _tree(text: str, language: Language) -> Any:
    if len(text) > _MAX_CHARACTERS:
        raise bad(f"filter: longer than {_MAX_CHARACTERS} characters")
    if "\0" in text:
        raise bad("filter: holds a NUL character")
    if language == "cql2-json":
        _check_json(text)
    else:
        _check_text(text)
    try:
        parsed = cql2.parse_json(text) if language == "cql2-json" else cql2.parse_text(text)
        return parsed.to_json()
    except (cql2.ParseError, cql2.ValidationError, ValueError) as error:
        raise bad(f"filter: not {language}: {_where(str(error))}") from None


def _where(message: str) -> str:
    """The parser's message in one line, without its drawing of the text."""
    place = re.search(r"--> \d+:(\d+)", message)
    expected = message.rsplit("= ", 1)[-1] if place else message
    head = f"at character {place[1]}, " if place else ""
    return head + " ".join(expected.split())[:200]


def _check_text(text: str) -> None:
    """Refuses what would nest too deep for the parser; lists of coordinates count as one word."""
    bare = _QUOTED.sub(" x ", text)
    words = _WORDS.findall(_NUMBERS.sub(" 0 ", bare))
    if len(words) > _MAX_WORDS and len([w for w in words if w not in "(),0"]) > _MAX_WORDS:
        raise bad(f"filter: more than {_MAX_WORDS} words")
    depth = deepest = 0
    for word in words:
        depth += (word == "(") - (word == ")")
        deepest = max(deepest, depth)
    if deepest > _MAX_DEPTH or _PREFIXES.search(bare):
        raise bad(f"filter: nested deeper than {_MAX_DEPTH} levels")


def _check_json(text: str) -> None:
    try:
        tree = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise bad(f"filter: not JSON: {error}") from None
    level: list[Any] = [tree]
    nodes = 0
    for _ in range(_MAX_DEPTH):
        nodes += sum(isinstance(node, dict) for node in level)
        if nodes > _MAX_WORDS:
            raise bad(f"filter: more than {_MAX_WORDS} parts")
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise bad(f"filter: nested deeper than {_MAX_DEPTH} levels")


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def refused(error: Problem) -> Problem:
    """``error`` said of the filter, where it was found deeper down."""
    if error.detail.startswith("filter"):
        return error
    return Problem(error.status, error.code, f"filter: {error.detail}", error.headers)
