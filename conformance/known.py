"""Failures of OGC's suites that are no faults of the service: which, what they say, and why.

``known.toml`` has them, one ``[[known]]`` each: ``suite``, ``test`` (the method's name), ``says``
(a pattern of the whole message: whatever else the test finds is a failure still) and ``why``.
With ``needs``, a host from which the test reads what it judges by, it is known only where that host
is out of reach: then nothing was judged. Where it is reached the same words are a failure.
"""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PATH = Path(__file__).parent / "known.toml"
_WAIT_S = 5.0


@dataclass(frozen=True)
class Known:
    """A failure that is expected."""

    suite: str
    test: str
    says: str
    why: str
    needs: str = ""

    def is_in(self, failure: str) -> bool:
        """Whether a failure (``test: message``) is this one and nothing more."""
        test, _, message = failure.partition(": ")
        return test == self.test and re.fullmatch(self.says, message) is not None


def load(path: Path = PATH) -> list[Known]:
    """All that are known."""
    return [Known(**one) for one in tomllib.loads(path.read_text())["known"]]


@dataclass
class Parted:
    """The failures of a suite, one entry each: ``new`` ones, which nobody knows; those that
    are ``known``, with the reason; tests that were ``unjudged``, with what they needed."""

    new: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)


@cache
def reached(host: str) -> bool:
    """Whether a host can be connected to, as those do who read schemas."""
    for port in (443, 80):
        try:
            socket.create_connection((host, port), timeout=_WAIT_S).close()
        except OSError:
            continue
        return True
    return False


def parted(
    suite: str,
    failures: list[str],
    known: list[Known],
    reached: Callable[[str], bool] = reached,
) -> Parted:
    """The failures of a suite, by what is known of them."""
    found = Parted()
    for failure in failures:
        fitting = [one for one in known if one.suite == suite and one.is_in(failure)]
        one = next((one for one in fitting if not (one.needs and reached(one.needs))), None)
        if one is None:
            found.new.append(failure)
        elif one.needs:
            found.unjudged.append(f"{one.test}: {one.why}; {one.needs} is out of reach")
        else:
            found.known.append(f"{one.test}: {one.why}")
    return found
