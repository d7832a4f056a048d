"""Failures of OGC's suites that are no faults of the service: which, what they say, and why.

``known.toml`` has them, one ``[[known]]`` each: ``suite``, ``test`` (the method's name), ``says``
(a pattern of the whole message: whatever else the test finds is a failure still) and ``why``.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).parent / "known.toml"


@dataclass(frozen=True)
class Known:
    """A failure that is expected."""

    suite: str
    test: str
    says: str
    why: str

    def is_in(self, failure: str) -> bool:
        """Whether a failure (``test: message``) is this one and nothing more."""
        test, _, message = failure.partition(": ")
        return test == self.test and re.fullmatch(self.says, message) is not None


def load(path: Path = PATH) -> list[Known]:
    """All that are known."""
    return [Known(**one) for one in tomllib.loads(path.read_text())["known"]]


def parted(suite: str, failures: list[str], known: list[Known]) -> tuple[list[str], list[str]]:
    """The failures of a suite that nobody knows, and the known ones with the reason of each."""
    new, old = [], []
    for failure in failures:
        found = next((one for one in known if one.suite == suite and one.is_in(failure)), None)
        if found is None:
            new.append(failure)
        else:
            old.append(f"{found.test}: {found.why}")
    return new, sorted(set(old))
