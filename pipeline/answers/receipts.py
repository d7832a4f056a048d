"""Receipts: what a document said, told by a digest that only this house can have signed.

The digest is SHA-256 over the answer as canonical JSON (RFC 8785), without its member ``receipt``.
A token is what stands in the QR code: ``1.process.audience.issued.until.digest.mac`` with times in
base 36 (``until`` 0: without an end) and HMAC-SHA256 under the house's key, half of it.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import rfc8785

from pipeline.contracts.process import Process
from pipeline.errors import ResourceError

#: The member of an answer that holds its receipt.
RECEIPT = "receipt"
_KEY_BYTES = 32
_MAC_BYTES = 16
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
#: Without I, L, O and U, which are misread (Crockford).
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("ILO", "110", "- ")
_NUMBER, _GROUP = 12, 4


@dataclass(frozen=True, slots=True)
class Token:
    """What a genuine receipt says. ``issued`` and ``until`` are seconds since 1970."""

    process: str
    audience: str
    issued: int
    until: int | None
    digest: bytes


class Seal:
    """Signs and checks with the keys of ``<home>/keys/receipts``: the first signs, all hold."""

    def __init__(self, home: Path) -> None:
        """Reads the keys, and makes the first where there is none; raises ResourceError."""
        path = home / "keys" / "receipts"
        try:
            if not path.exists():
                _make(path)
            self._keys = [bytes.fromhex(line) for line in path.read_text("ascii").split()]
        except (OSError, ValueError) as error:
            raise ResourceError(
                f"the key of receipts cannot be used ({type(error).__name__})",
                where=str(path),
                todo="It holds 64 hexadecimal digits a line; let this user read and write it.",
            ) from None
        if not self._keys or any(len(key) < _KEY_BYTES for key in self._keys):
            raise ResourceError(
                "the key of receipts is too short",
                where=str(path),
                todo="Give 64 hexadecimal digits a line; remove the file to get a new key.",
            )

    def token(self, said: Token) -> str:
        """``said`` as it stands in a QR code."""
        head = ".".join(
            ("1", said.process, said.audience, _base36(said.issued), _base36(said.until or 0))
        )
        text = f"{head}.{_base64(said.digest)}"
        return f"{text}.{_base64(_mac(self._keys[0], text))}"

    def read(self, text: str) -> Token | None:
        """What the token says; None unless this house has signed it just so."""
        signed, _, mac = text.rpartition(".")
        if not text.isascii():
            return None
        if not any(hmac.compare_digest(_base64(_mac(key, signed)), mac) for key in self._keys):
            return None
        _, process, audience, issued, until, digest = signed.split(".")
        end = int(until, 36) or None
        return Token(process, audience, int(issued, 36), end, _bytes(digest))


def digest(answer: Mapping[str, Any]) -> bytes:
    """SHA-256 of what ``answer`` says."""
    said = {name: value for name, value in answer.items() if name != RECEIPT}
    return hashlib.sha256(rfc8785.dumps(said)).digest()


def number(found: bytes) -> str:
    """The beginning of a digest, for people: 1A2B-3C4D-5E6F."""
    whole = int.from_bytes(found) >> (len(found) * 8 - 5 * _NUMBER)
    text = "".join(_LETTERS[whole >> 5 * place & 31] for place in reversed(range(_NUMBER)))
    return "-".join(text[at : at + _GROUP] for at in range(0, _NUMBER, _GROUP))


def typed(text: str) -> str | None:
    """The number that somebody has typed, in the form of ``number``; None if it is none."""
    plain = text.strip().upper().translate(_READ_AS)
    if len(plain) != _NUMBER or set(plain) - set(_LETTERS):
        return None
    return "-".join(plain[at : at + _GROUP] for at in range(0, _NUMBER, _GROUP))


def scanned(text: str) -> str:
    """The token in ``text``, which may be the whole address of a QR code."""
    found = parse_qs(urlsplit(text.strip()).query).get(RECEIPT)
    return found[0] if found else text.strip()


def number_of(text: str) -> str | None:
    """The number of the receipt that ``text`` is, as it was typed or scanned."""
    parts = scanned(text).split(".")
    if len(parts) > 2:
        try:
            return number(_bytes(parts[-2]))
        except ValueError:
            return None
    return typed(text)


def issue(
    seal: Seal, process: Process, audience: str, answer: Mapping[str, Any], asked: dict[str, Any]
) -> dict[str, Any]:
    """The receipt of ``answer``, given now."""
    made, now = digest(answer), dt.datetime.now(dt.UTC).replace(microsecond=0)
    days = process.document.valid_days if process.document else None
    until = now + dt.timedelta(days=days) if days else None
    seconds = int(until.timestamp()) if until else None
    return {
        "process": process.id,
        "audience": audience,
        "asked": asked,
        "issued": moment(now),
        "valid_until": moment(until) if until else None,
        "digest": f"sha-256:{made.hex()}",
        "number": number(made),
        "token": seal.token(Token(process.id, audience, int(now.timestamp()), seconds, made)),
    }


def moment(when: dt.datetime | int) -> str:
    """A time of receipts as text, in UTC."""
    when = dt.datetime.fromtimestamp(when, dt.UTC) if isinstance(when, int) else when
    return when.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _make(path: Path) -> None:
    """A new key. Two servers may start at once: whose file is there first is the key of both."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        written.write(secrets.token_hex(_KEY_BYTES) + "\n")
    try:
        path.hardlink_to(new)
    except FileExistsError:
        pass
    finally:
        new.unlink()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, b"makan receipt " + text.encode(), "sha256")[:_MAC_BYTES]


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _base36(value: int) -> str:
    digits = _DIGITS[value % 36]
    while value := value // 36:
        digits = _DIGITS[value % 36] + digits
    return digits
