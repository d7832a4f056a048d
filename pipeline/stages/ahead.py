"""Ahead: a file's next part is read while the last one is judged."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor


def ahead[T](parts: Generator[T]) -> Iterator[T]:
    """What ``parts`` gives, in its order, the next being made in a thread meanwhile.

    All of ``parts`` runs in that one thread, its end included; what goes wrong there is raised
    here. One part more than without is held in memory.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="makan-read") as thread:
        following = thread.submit(next, parts, None)
        try:
            while (part := following.result()) is not None:
                following = thread.submit(next, parts, None)
                yield part
        finally:
            # Waits for the part that is being made: a generator that runs cannot be closed.
            thread.submit(parts.close).result()
