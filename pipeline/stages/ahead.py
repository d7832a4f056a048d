"""Ahead: a file's next part is read while the last one is judged."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor


class Ahead[T]:
    """What a generator gives, in its order, made by a thread that begins at once.

    All of the generator runs in that one thread, its end included; what goes wrong there is raised
    where the part is asked for. One part more than without is held in memory. To be closed.
    """

    def __init__(self, parts: Generator[T]) -> None:
        """The first of ``parts`` is begun."""
        self._parts = parts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="makan-read")
        self._following = self._thread.submit(next, parts, None)

    def __iter__(self) -> Iterator[T]:
        """The parts."""
        while (part := self._following.result()) is not None:
            self._following = self._thread.submit(next, self._parts, None)
            yield part

    def close(self) -> None:
        """Waits for the part that is being made: a generator that runs cannot be closed."""
        with self._thread:
            self._thread.submit(self._parts.close).result()
