"""Copied: what is searched and copied of a PDF is what was written.

Two things get lost on the way to a PDF: the order of lam and alef, which are one glyph, and the
zero-width non-joiner, which Pango leaves out for want of ink (کوچه‌ها becomes کوچهها). So pages
are set with a stand-in for it, a sign that no document has: it joins nothing and has no direction,
as the non-joiner; in our copy of the fonts it has the non-joiner's glyph, empty and of no width;
and in the PDF that glyph means the non-joiner again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: Lam with an alef is one glyph. Of its two letters readers of PDFs turn the order, since they lay
#: out what is drawn from the right; the one character that stands for both they leave, and
#: normalise (NFKC) to them.
_LAM_ALEF = {"06440622": "fef5", "06440623": "fef7", "06440625": "fef9", "06440627": "fefb"}
_NON_JOINER, _STAND_IN = "\u200c", "\u2423"
_MEANT = {**_LAM_ALEF, f"{ord(_STAND_IN):04x}": f"{ord(_NON_JOINER):04x}"}
_BODY = "<body"


def kept(page: str) -> str:
    """The HTML with the stand-in for each non-joiner of its body; the head is text for programs."""
    head, body, rest = page.partition(_BODY)
    return head + body + rest.replace(_NON_JOINER, _STAND_IN)


def fonts(folder: Path, to: Path) -> None:
    """Copies the fonts of ``folder``: in the copies the stand-in has the non-joiner's glyph."""
    # Only where PDFs are made.
    from fontTools.ttLib import TTFont

    for path in sorted(folder.glob("*.ttf")):
        with TTFont(path, lazy=True) as font:
            glyph = font.getBestCmap()[ord(_NON_JOINER)]
            for table in font["cmap"].tables:
                if table.isUnicode():
                    table.cmap[ord(_STAND_IN)] = glyph
            font.save(to / path.name)


def meant(_: Any, pdf: Any) -> None:
    """For WeasyPrint, when a PDF is whole: each glyph means what was written."""
    for made in pdf.objects:
        lines = getattr(made, "stream", [])
        if b"begincmap" in lines:
            made.stream = [_meant(line) for line in lines]


def _meant(line: bytes) -> bytes:
    glyph, _, letters = line.partition(b"> <")
    one = _MEANT.get(letters.removesuffix(b">").decode("ascii", "replace").lower())
    return line if one is None else glyph + f"> <{one}>".encode()
