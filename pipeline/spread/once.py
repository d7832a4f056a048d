"""A task done once: what was made of the same inputs before is found and not made again.

A result's name holds the digest of all that went in, and it gets its name when it is whole. So
whoever was interrupted runs the same command again, and what changed is what is made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from pipeline import __version__
from pipeline.spread import store


def digest(*parts: object) -> str:
    """Stands for all of ``parts`` (by their repr) and for this version of Makan."""
    made = hashlib.sha256(__version__.encode())
    for part in parts:
        text = repr(part)
        made.update(f"{len(text)} {text}".encode())
    return made.hexdigest()[:32]


def place(folder: str, name: str, key: str, ending: str) -> str:
    """Where the result of the inputs ``key`` stands."""
    return store.joined(folder, f"{name}-{key}{ending}")


def made(where: str, make: Callable[[Path], None]) -> bool:
    """Sees that ``where`` holds what ``make`` writes to the path it is given; True if that was
    made now."""
    if store.exists(where):
        return False
    with store.writing(where) as path:
        make(path)
    return True
