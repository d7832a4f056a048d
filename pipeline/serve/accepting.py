"""New connections go to the worker that has fewest.

Workers share one listening socket. Left to themselves, the one that wakes first takes all that
wait, and clients keep what they have: the eight connections of a page were at times all at one
worker, while the other core stood idle. So each worker tells the others in shared memory how many
it has, and one that has more than another leaves what comes to that one for a moment.
"""

from __future__ import annotations

import asyncio
import errno
import mmap
import socket
from collections.abc import Callable, Iterable
from typing import Any

_LEAVE_S = 0.002
#: No descriptors or memory are left: waiting for them is better than asking again at once.
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_FULL_S = 1.0
_ABSENT = -1


class Tally:
    """How many connections each worker has, in memory that a process shares with its forks."""

    def __init__(self, most: int) -> None:
        """For up to ``most`` workers at once, old and new ones; none is there yet."""
        self._counts = memoryview(mmap.mmap(-1, 4 * most)).cast("i")
        for place in range(most):
            self._counts[place] = _ABSENT

    def take(self, taken: Iterable[int | None]) -> int | None:
        """A place for one more worker, while those of ``taken`` live; None where all are."""
        living = set(taken)
        free = [place for place in range(len(self._counts)) if place not in living]
        for place in free:
            # Whoever was here has ended, perhaps without a word.
            self._counts[place] = _ABSENT
        return free[0] if free else None

    def tell(self, place: int, count: int) -> None:
        """The worker at ``place`` has ``count`` connections."""
        self._counts[place] = count

    def leave(self, place: int) -> None:
        """The worker at ``place`` takes no connection any more."""
        self._counts[place] = _ABSENT

    def fewest(self) -> int:
        """What the worker with fewest has; 0 where there is none."""
        return min((count for count in self._counts if count != _ABSENT), default=0)


class Connections(set[Any]):
    """The connections of a worker, as uvicorn keeps them, told to all workers."""

    def __init__(self, tally: Tally, place: int | None) -> None:
        """Empty."""
        super().__init__()
        self._tally, self._place = tally, place
        self._coming = 0
        #: Called when there are fewer.
        self.fewer: Callable[[], None] = lambda: None
        self.told()

    @property
    def count(self) -> int:
        """Those that are there, and those that were accepted and are being made."""
        return len(self) + self._coming

    @property
    def most(self) -> bool:
        """Whether another worker has fewer."""
        return self._place is not None and self.count > self._tally.fewest()

    def told(self) -> None:
        """Tells how many there are."""
        if self._place is not None:
            self._tally.tell(self._place, self.count)

    def coming(self, more: int) -> None:
        """One more (1) was accepted, or one of these (-1) is among the others now, or failed."""
        self._coming += more
        self.told()

    def closed(self) -> None:
        """No more are taken."""
        if self._place is not None:
            self._tally.leave(self._place)
        self._place = None

    def add(self, one: Any) -> None:
        """A connection was made."""
        super().add(one)
        self.told()

    def discard(self, one: Any) -> None:
        """A connection was lost."""
        super().discard(one)
        self.told()
        self.fewer()


class Listener:
    """Takes connections from the socket that all workers share; in place of asyncio's server."""

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        connections: Connections,
    ) -> None:
        """From ``listening``, each into a new ``protocol``."""
        self._loop = asyncio.get_running_loop()
        self._socket, self._protocol, self._connections = listening, protocol, connections
        self._tasks: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        listening.setblocking(False)  # noqa: FBT003 - the operating system's call
        connections.fewer = self._freed
        self._loop.add_reader(listening.fileno(), self._come)

    def close(self) -> None:
        """Takes none from now on."""
        self._connections.fewer = lambda: None
        if self._later:
            self._later.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
        self._connections.closed()

    async def wait_closed(self) -> None:
        """Waits for those that are being made."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _come(self) -> None:
        if self._connections.most:
            self._pause(_LEAVE_S)
        else:
            self._accept()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._later = self._loop.call_later(seconds, self._go_on)

    def _freed(self) -> None:
        """One connection less: what was left to others may be ours now."""
        if self._later and not self._connections.most:
            self._later.cancel()
            self._later = None
            self._loop.add_reader(self._socket.fileno(), self._come)

    def _go_on(self) -> None:
        """What is left here still, those who have fewer had no time for."""
        self._later = None
        self._loop.add_reader(self._socket.fileno(), self._come)
        self._accept()

    def _accept(self) -> None:
        try:
            one, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._pause(_FULL_S)
            return
        one.setblocking(False)  # noqa: FBT003 - the operating system's call
        self._connections.coming(1)
        task = self._loop.create_task(self._made(one))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _made(self, one: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, one)
        except OSError:
            # Whoever asked has gone.
            one.close()
        finally:
            self._connections.coming(-1)
