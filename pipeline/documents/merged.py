"""Merged: many documents as one file to print, still PDF/A-3b.

Pages, fonts and the answers that are attached stay what they were; each document has its entry in
the outline. What declares the standard and its colours is said anew, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any


def merge(parts: Sequence[tuple[str, Path]], title: str, language: str, to: Path) -> list[int]:
    """Writes the PDFs ``parts`` (what each is called, where it is), in order, to one file; the
    pages of each. All are open at once, for their pages are copied when it is written."""
    # Only where PDFs are made.
    import pikepdf

    with ExitStack() as opened:
        made = opened.enter_context(pikepdf.new())
        attached, outline, pages = [], [], []
        for called, path in parts:
            source = opened.enter_context(pikepdf.open(path))
            outline.append(pikepdf.OutlineItem(called, len(made.pages)))
            made.pages.extend(source.pages)
            pages.append(len(source.pages))
            attached += [made.copy_foreign(one) for one in source.Root.get("/AF", ())]
            if "/OutputIntents" not in made.Root and "/OutputIntents" in source.Root:
                colours = source.make_indirect(source.Root.OutputIntents)
                made.Root.OutputIntents = made.copy_foreign(colours)
        _attach(made, attached)
        with made.open_outline() as written:
            written.root.extend(outline)
        _declare(made, title, language)
        made.save(to, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
        return pages


def _attach(made: Any, attached: list[Any]) -> None:
    from pikepdf import Array, Dictionary, NameTree

    names = NameTree.new(made)
    for one in attached:
        names[str(one.UF)] = one
    made.Root.Names = Dictionary(EmbeddedFiles=names.obj)
    made.Root.AF = Array(attached)


def _declare(made: Any, title: str, language: str) -> None:
    from pikepdf import String

    made.Root.Lang = String(language)
    with made.open_metadata(set_pikepdf_as_editor=False) as said:
        said["dc:title"] = title
        said["pdfaid:part"], said["pdfaid:conformance"] = "3", "B"
