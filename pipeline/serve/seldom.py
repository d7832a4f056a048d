"""A log that an outage does not fill: what is said again and again is written once in a while."""

from __future__ import annotations

import logging
import time

_EVERY_S = 30.0
_MOST = 256


class Seldom(logging.Filter):
    """Lets each text of a logger through once in half a minute, then with how often it was said,
    on one line. Errors always pass."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is written."""
        if record.levelno >= logging.ERROR:
            return True
        text = " ".join(record.getMessage().split())
        last, unsaid = self._said.get((record.name, text), (0.0, 0))
        now = time.monotonic()
        if last and now - last < _EVERY_S:
            self._said[record.name, text] = last, unsaid + 1
            return False
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[record.name, text] = now, 0
        record.msg = f"{text} (and {unsaid} times before)" if unsaid else text
        record.args = None
        return True
