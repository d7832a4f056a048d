"""Bodies of tiles that were unpacked before."""

from __future__ import annotations

import threading
from collections import OrderedDict


class Unpacked:
    """Bodies that clients without an encoding asked for last, by their tags, which stand for their
    bytes: unpacking them costs more than all else that a kept tile does."""

    def __init__(self, most_bytes: int) -> None:
        """Of at most ``most_bytes`` together."""
        self._most, self._size = most_bytes, 0
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, mark: str) -> bytes | None:
        """The body with this tag, if it is here."""
        with self._lock:
            if mark in self._bodies:
                self._bodies.move_to_end(mark)
            return self._bodies.get(mark)

    def put(self, mark: str, body: bytes) -> None:
        """Holds ``body``; those that were asked for longest ago go."""
        with self._lock:
            self._size += len(body) - len(self._bodies.pop(mark, b""))
            self._bodies[mark] = body
            while self._size > self._most:
                self._size -= len(self._bodies.popitem(last=False)[1])
