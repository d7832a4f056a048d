"""veraPDF, where it is at hand: is a file what it says of PDF/A?"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def at_hand() -> bool:
    """Whether VERAPDF names a folder with its jars (pom.xml beside this fetches them)."""
    return bool(os.environ.get("VERAPDF") and shutil.which("java"))


def verdicts(paths: Sequence[Path]) -> list[str]:
    """``good 3b`` or ``bad …`` of each file, by all rules of the level that it declares."""
    checking = Path(__file__).parent / "Check.java"
    words = ["java", "-cp", f"{os.environ['VERAPDF']}/*", str(checking), *map(str, paths)]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300).stdout
    found = [line for line in told.splitlines() if line.startswith(("good", "bad"))]
    assert len(found) == len(paths), told
    return [" ".join(line.split()[:2]) for line in found]
