"""Whether a receipt is genuine, and what of its document holds today."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pipeline.answers import changes, receipts
from pipeline.answers.receipts import Seal, Token
from pipeline.answers.refusals import NothingFoundError
from pipeline.contracts.base import Text

Again = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
_TOLD = {
    "false": Text(
        en="This receipt was not signed here: it is false, or was copied wrongly.",
        fa="این رسید را این سامانه امضا نکرده است: جعلی است یا نادرست رونویسی شده.",
    ),
    "altered": Text(
        en="The receipt is genuine, but the document was altered after it was signed.",
        fa="رسید اصیل است ولی متن سند پس از امضا دستکاری شده است.",
    ),
    "unknown": Text(
        en="No document of this number is kept here; scan the QR code, or give the document.",
        fa="سندی با این شماره نگهداری نشده است؛ رمزینه را بخوانید یا خود سند را بدهید.",
    ),
    "not_kept": Text(
        en="The receipt is genuine; what the document said is not kept here (any more), "
        "so compare it with a new one.",
        fa="رسید اصیل است؛ متن سند اینجا نگهداری نشده یا دیگر نگهداری نمی‌شود؛ "
        "آن را با سندی تازه بسنجید.",
    ),
    "elsewhere": Text(
        en="The receipt is genuine; its document was made for others: ask their server.",
        fa="رسید اصیل است؛ سند برای مخاطبان دیگری صادر شده: از سرور آنان بپرسید.",
    ),
    "gone": Text(
        en="The document is genuine; what it was about is not there any more.",
        fa="سند اصیل است؛ آنچه سند درباره آن بود دیگر وجود ندارد.",
    ),
    "changed": Text(
        en="The document is genuine, and facts have changed since.",
        fa="سند اصیل است و از آن زمان داده‌ها تغییر کرده‌اند.",
    ),
    "current": Text(
        en="The document is genuine, and all it says still holds.",
        fa="سند اصیل است و همه آنچه می‌گوید هنوز برقرار است.",
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody holds: the text of a receipt, or the whole document; ``kept`` is what is stored
    under its number, if anything is. Who asks is of ``audience``, which may know what was told to
    those of ``known``."""

    text: str | None
    document: dict[str, Any] | None
    kept: dict[str, Any] | None
    audience: str
    known: frozenset[str]


async def verified(asked: Asked, seal: Seal, again: Again) -> dict[str, Any]:
    """The verdict; ``again`` asks a process as it is answered today."""
    if asked.document is not None:
        told = asked.document.get(receipts.RECEIPT)
        text = str(told.get("token", "")) if isinstance(told, dict) else ""
        token = seal.read(text)
        if token and token.digest != receipts.digest(asked.document):
            return _verdict("altered", token, None)
        said = {"said": asked.document, "asked": told.get("asked", {})} if token and told else None
        return await _judged(asked, token, said, again)
    text = receipts.scanned(asked.text or "")
    if receipts.typed(text) is not None:
        token = _of_kept(asked.kept) if asked.kept else None
        return await _judged(asked, token, asked.kept, again, missing="unknown")
    return await _judged(asked, seal.read(text), asked.kept, again)


async def _judged(
    asked: Asked,
    token: Token | None,
    kept: dict[str, Any] | None,
    again: Again,
    *,
    missing: str = "false",
) -> dict[str, Any]:
    if token is None:
        return _verdict(missing, None, None)
    if token.audience not in asked.known:
        return _verdict("elsewhere", token, None)
    if kept is None:
        return _verdict("not_kept", token, None)
    try:
        present = await again(token.process, kept["asked"])
    except NothingFoundError:
        return _verdict("gone", token, kept)
    found = changes.between(kept["said"], present)
    own = token.audience == asked.audience
    if not own:  # fields that its readers were not shown are no change
        found = [one for one in found if one["before"] not in (None, [])]
    verdict = _verdict("changed" if found else "current", token, kept)
    newer = receipts.digest(present) != token.digest and own
    return {**verdict, "changed": found, "newer_sources": newer}


def _of_kept(kept: dict[str, Any]) -> Token:
    issued = dt.datetime.fromisoformat(kept["issued"])
    return Token(
        kept["process"],
        kept["audience"],
        int(issued.timestamp()),
        None,
        bytes.fromhex(kept["digest"]),
    )


def _verdict(which: str, token: Token | None, kept: dict[str, Any] | None) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC)
    return {
        "verdict": which,
        "genuine": which not in ("false", "altered", "unknown"),
        "current": {"current": True, "changed": False, "gone": False}.get(which),
        "expired": token.until < now.timestamp() if token and token.until else None,
        "told": _TOLD[which].model_dump(),
        "checked": receipts.moment(now),
        "document": _told(token) if token else None,
        "said": kept["said"] if kept else None,
        "changed": [],
        "newer_sources": None,
    }


def _told(token: Token) -> dict[str, Any]:
    return {
        "process": token.process,
        "audience": token.audience,
        "issued": receipts.moment(token.issued),
        "valid_until": receipts.moment(token.until) if token.until else None,
        "digest": f"sha-256:{token.digest.hex()}",
        "number": receipts.number(token.digest),
    }
