"""Receipts and changes: what is signed is read, whatever else is not; every difference is told."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.answers import changes, receipts
from pipeline.answers.receipts import Seal, Token
from pipeline.answers.refusals import NothingFoundError
from pipeline.answers.verify import Asked, verified
from pipeline.contracts.base import Text
from pipeline.errors import ResourceError

TOKENS = st.builds(
    Token,
    process=st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True),
    audience=st.sampled_from(["public", "staff"]),
    issued=st.integers(0, 2**40),
    until=st.none() | st.integers(1, 2**40),
    digest=st.binary(min_size=32, max_size=32),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def seal(tmp_path_factory: pytest.TempPathFactory) -> Seal:
    return Seal(tmp_path_factory.mktemp("home"))


@given(TOKENS)
def test_a_token_says_what_was_signed(seal: Seal, token: Token) -> None:
    text = seal.token(token)
    assert seal.read(text) == token
    assert receipts.number_of(f"https://x.test/verify?f=html&receipt={text}") == receipts.number(
        token.digest
    )


@given(TOKENS, st.integers(0, 400), st.characters())
def test_one_other_letter_and_it_is_false(
    seal: Seal, token: Token, place: int, letter: str
) -> None:
    text = seal.token(token)
    place %= len(text)
    if text[place] != letter:
        assert seal.read(text[:place] + letter + text[place + 1 :]) is None


@given(st.text(max_size=200))
def test_any_text_can_be_asked(seal: Seal, text: str) -> None:
    assert seal.read(text) is None
    receipts.number_of(text)


def test_the_key_is_secret_made_once_and_can_be_changed(tmp_path: Path) -> None:
    old = Seal(tmp_path)
    path = tmp_path / "keys" / "receipts"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = Token("p", "public", 1, None, bytes(32))
    text = old.token(token)
    assert Seal(tmp_path).read(text) == token
    path.write_text("ab" * 32 + "\n" + path.read_text())
    new = Seal(tmp_path)
    assert new.read(text) == token
    assert new.token(token) != text
    path.write_text("ab" * 32)
    assert Seal(tmp_path).read(text) is None
    for wrong in ("", "abcd", "no key"):
        path.write_text(wrong)
        with pytest.raises(ResourceError, match="key"):
            Seal(tmp_path)


def test_numbers_are_read_as_people_write_them() -> None:
    number = receipts.number(bytes(range(32)))
    assert receipts.typed(number.lower().replace("-", " ").replace("0", "o")) == number
    assert receipts.typed("1A2B-3C4D") is None


def test_the_digest_is_that_of_canonical_json() -> None:
    # RFC 8785: members in order, 200.0 is 200.
    wanted = hashlib.sha256('{"a":"é","b":200}'.encode()).digest()
    assert receipts.digest({"b": 200.0, "a": "é", "receipt": {"x": 1}}) == wanted


@given(VALUES)
def test_nothing_has_changed_in_the_same(value: Any) -> None:
    assert changes.between(value, value) == []


@given(VALUES, VALUES)
def test_whatever_differs_is_told(before: Any, after: Any) -> None:
    same = changes.facts(before) == changes.facts(after)
    assert same or changes.between(before, after)


def test_items_are_known_again_by_their_names() -> None:
    before = {"rows": [{"one_code": "a", "n": 1}, {"one_code": "b", "n": 2}], "run": 1}
    after = {"rows": [{"one_code": "b", "n": 2}, {"one_code": "c", "n": 3}], "run": 2}
    assert changes.between(before, after) == [
        {"field": "rows[a]", "before": {"one_code": "a", "n": 1}, "after": None},
        {"field": "rows[c]", "before": None, "after": {"one_code": "c", "n": 3}},
    ]


def verdict(seal: Seal, held: dict[str, Any], present: Any, audience: str = "staff") -> Any:
    """What is said of a document to ``audience`` while ``present`` is the answer of today."""

    async def again(process: str, asked: dict[str, Any]) -> dict[str, Any]:
        assert (process, asked) == ("p", {"id": 7})
        if present is None:
            raise NothingFoundError(Text(en="none", fa="none"), [])
        return dict(present)

    known = frozenset({"public", "staff"} if audience == "staff" else {"public"})
    asked = Asked(held.get("text"), held.get("document"), held.get("kept"), audience, known)
    return asyncio.run(verified(asked, seal, again))


def test_every_verdict(seal: Seal) -> None:
    said = {"area": 200.0, "run": 1, "sources": {"1": {}}, "deed": None}
    token = {
        name: seal.token(Token("p", name, 1, 2, receipts.digest(said)))
        for name in ("public", "staff")
    }
    kept = {"said": said, "asked": {"id": 7}}
    document = {**said, "receipt": {"token": token["staff"], "asked": {"id": 7}}}
    text = {"text": token["staff"], "kept": kept}
    cases: list[tuple[str, dict[str, Any], Any, str]] = [
        ("current", text, said, "staff"),
        ("current", {"document": document}, said, "staff"),
        ("changed", text, {**said, "area": 180.0}, "staff"),
        ("changed", {"document": document}, {**said, "area": 180.0}, "staff"),
        ("gone", text, None, "staff"),
        ("not_kept", {"text": token["staff"]}, said, "staff"),
        ("altered", {"document": {**document, "area": 300.0}}, said, "staff"),
        ("false", {"document": {**said, "receipt": {}}}, said, "staff"),
        ("false", {"document": {**said, "receipt": "?"}}, said, "staff"),
        ("unknown", {"text": "1A2B-3C4D-5E6F"}, said, "staff"),
        # What staff were told is neither told nor compared for everybody.
        ("elsewhere", {"text": token["staff"]}, said, "public"),
        ("elsewhere", {"document": document}, said, "public"),
        # Staff see more than the public document said: that is no change.
        ("current", {"text": token["public"], "kept": kept}, {**said, "deed": 5.0}, "staff"),
    ]
    for wanted, held, present, audience in cases:
        found = verdict(seal, held, present, audience)
        assert found["verdict"] == wanted, held
        assert (found["said"] is None) == (wanted not in ("current", "changed", "gone")), wanted
    again = verdict(seal, text, {**said, "run": 2, "sources": {"2": {}}})
    assert (again["current"], again["newer_sources"], again["expired"]) == (True, True, True)
