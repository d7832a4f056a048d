"""Encoding: how a file's text is encoded, where it does not say so, or says it and is not believed.

Windows-1256 decodes almost any bytes, so that letters decide and not success: those that people use
often count for an encoding; signs, rare letters and mixtures of scripts within a word against it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.stages import iran_system

# Letters by how common they are: Persian (with the Arabic forms of old code pages), European
# accents, Russian. A wrong code page turns common letters into rare ones and signs.
_PERSIAN = "ایینردهمتوبسشکلگعيكزفقجخپحآطصچضغئثذأژظةؤىءإ\u200c،؛؟"
_WESTERN = "éèáàíóñêçôîâüöäúßûùëïãõòìåøæœÉÀÇÜÖÄÈÊÁÍÓÚÑØÅÔÎ°²’"
_TURKISH = "ıüşöçğİÖÜŞÇĞâîû°²’"
_CENTRAL = "áéíěřýčšžółůúęąöüťďňśćżőäńźűŘŠČŽÁÚÍŁŚĆŻÖÜŃ°²’"
_EUROPEAN = (_WESTERN, _TURKISH, _CENTRAL)
_RUSSIAN = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёСПКВМНАОГДТБЛРИУЕФЗХЧЯЦШЭЮЖЩ№"
# Syllables and signs of names of places and offices, then of any text.
_KOREAN = (
    "동로시구리면읍대길산도군원서주경천성남북이부정인지수강사기공국고다중신청장광역의가한평해안화교"
)
_CHINESE = "的一是不了在人有市区县路街道镇村州山江省河南北东西中大小国公司地城新学园水上下金龙安"
_JAPANESE = "市町村区県都道府大山川田中小東西南北島本丁目駅国日上下野原木水口谷"
_TRIED = (
    "cp1256", "iso8859-6", "cp1252", "cp1254", "cp1250", "cp1251", "cp437", "cp850", "cp866",
    "cp720", "cp949", "gb18030", "cp932",
)  # fmt: skip
# As people know them, where Python's name is another.
_NAMES = {"cp932": "SHIFT_JIS", "iso8859-6": "ISO-8859-6"}
_CLEAR, _BELIEVED = 0.1, 0.25
_SAMPLES, _LOOKED_AT, _LONGEST = 5, 2000, 60
_PIECES = re.compile(rb'[,;\t"\r\n]+')
# Bytes that are only in names of encodings that ESRI and AutoCAD write.
_ESRI, _AUTOCAD = re.compile(r"^8859\d+$"), re.compile(r"(?i)^(?:ansi|dos)_?(\d+)$")


@dataclass(frozen=True)
class Trial:
    """The encoding that makes most sense of some bytes; ``sure`` when no other comes close."""

    encoding: str
    sure: bool
    samples: tuple[str, ...]


def is_utf8(encoding: str) -> bool:
    """Whether ``encoding`` is a name of UTF-8."""
    return python_name(encoding) in ("utf-8", "utf-8-sig")


def python_name(encoding: str) -> str | None:
    """One name for each encoding, whichever it is called by; None if it is unknown."""
    bare = "latin-1" if iran_system.is_declared(encoding) else encoding.strip()
    # ESRI writes 88596 for ISO 8859-6 and 1256 for Windows-1256, AutoCAD ANSI_1256 and DOS437.
    esri = f"iso8859-{bare[4:]}" if _ESRI.match(bare) else f"cp{bare}"
    for name in (bare, esri, _AUTOCAD.sub(r"cp\1", bare)):
        with suppress(LookupError):
            return codecs.lookup(name).name
    return None


def pieces(block: bytes) -> list[bytes]:
    """The parts of a text file's bytes that are not ASCII, cut where columns end."""
    if block.isascii():
        return []
    return [one.strip() for one in _PIECES.split(block) if not one.isascii()]


def try_encodings(texts: Iterable[bytes], said: str | None = None) -> Trial | None:
    """The likely encoding of ``texts``, None where all is ASCII.

    UTF-8 proves itself. ``said`` is what a file claims that is often wrong (a drawing's code page):
    it is believed unless another is clearly better.
    """
    foreign = _distinct(texts)
    if not foreign:
        return None
    if _decoded(foreign, "utf-8") is not None:
        return Trial("UTF-8", sure=True, samples=_samples(foreign, "utf-8"))
    claimed = python_name(said) if said else None
    tried = dict.fromkeys([*([claimed] if claimed else []), *_TRIED])
    made = {name: _decoded(foreign, name) for name in tried}
    scores = {name: _score(text) for name, text in made.items() if text is not None}
    if not scores:
        return Trial(said or "CP1252", sure=False, samples=_samples(foreign, "cp1252"))
    best = max(scores, key=lambda name: scores[name])
    if claimed in scores and scores[best] - scores[claimed] < _BELIEVED:
        return Trial(_shown(claimed), sure=True, samples=_samples(foreign, claimed))
    others = (scores[name] for name in scores if made[name] != made[best])
    clear = scores[best] - max(others, default=-1.0) > _CLEAR
    return Trial(_shown(best), clear and scores[best] > 0, _samples(foreign, best))


def _distinct(texts: Iterable[bytes]) -> list[bytes]:
    found: dict[bytes, None] = {}
    for one in texts:
        if not one.isascii():
            found[one] = None
            if len(found) >= _LOOKED_AT:
                break
    return list(found)


def _shown(name: str) -> str:
    return _NAMES.get(name, name.upper())


def _samples(texts: list[bytes], encoding: str) -> tuple[str, ...]:
    decoded = (one.decode(encoding, "replace").strip() for one in texts[:_SAMPLES])
    return tuple(one if len(one) <= _LONGEST else f"{one[:_LONGEST]}…" for one in decoded)


def _decoded(texts: list[bytes], encoding: str) -> str | None:
    try:
        return "\n".join(one.decode(encoding) for one in texts)
    except (UnicodeDecodeError, LookupError):
        return None


def _score(text: str) -> float:
    """The mean worth of the letters that are not ASCII, from 1 (common) to -1 (not believable)."""
    letters = np.array(list(text))
    found, back = np.unique(letters, return_inverse=True)
    kind = np.array([_script(one) for one in found])[back]
    foreign = np.array([not one.isascii() for one in found])[back]
    if not foreign.any():
        return -1.0
    lost = _unlikely(kind, np.char.isupper(letters), foreign)
    # Accents are those of one language: none has both è and č.
    return max(
        float(np.clip(worth[back] - lost, -1.0, 1.0)[foreign].mean())
        for accents in _EUROPEAN
        for worth in (np.array([_worth(one, accents) for one in found]),)
    )


def _unlikely(
    kind: npt.NDArray[np.int64], upper: npt.NDArray[np.bool_], foreign: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """What a letter loses for its neighbours: two accents in a row, scripts mixed in a word, a
    capital after a small letter."""
    lost = np.zeros(len(kind))
    one, two = kind[:-1], kind[1:]
    accents = (one == _LATIN) & (two == _LATIN) & foreign[:-1] & foreign[1:]
    mixed = (one != two) & (one != _SIGN) & (two != _SIGN)
    flipped = (one == two) & ~upper[:-1] & upper[1:] & (one != _OTHER)
    for bad, loss in ((accents, 0.6), (mixed, 1.2), (flipped, 0.6)):
        lost[:-1] += loss * bad
        lost[1:] += loss * bad
    return lost


_SIGN, _LATIN, _ARABIC, _CYRILLIC, _OTHER = range(5)


@lru_cache(maxsize=4096)
def _script(letter: str) -> int:
    if not letter.isalpha():
        return _SIGN
    code = ord(letter)
    if code < 0x250:
        return _LATIN
    if 0x600 <= code < 0x700:
        return _ARABIC
    return _CYRILLIC if 0x400 <= code < 0x530 else _OTHER


@lru_cache(maxsize=65536)
def _worth(letter: str, accents: str) -> float:
    for common in (_PERSIAN, accents, _RUSSIAN):
        if letter in common:
            return 1.0 - 0.8 * common.index(letter) / len(common)
    if letter in _KOREAN or letter in _CHINESE or letter in _JAPANESE:
        return 1.0
    code = ord(letter)
    if 0xAC00 <= code < 0xD7A4:
        return 0.4 if _held(letter, "euc_kr") else -0.6
    if 0x3040 <= code < 0x30FF:
        return 0.9
    if 0x4E00 <= code < 0xA000:
        # The 3,755 that GB 2312 has in its first level are those of everyday Chinese.
        return 0.45 if (_held(letter, "gb2312") or b"\xff")[0] <= 0xD7 else -0.3
    return -0.9


def _held(letter: str, encoding: str) -> bytes | None:
    with suppress(UnicodeEncodeError):
        return letter.encode(encoding)
    return None
