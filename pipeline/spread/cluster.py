"""A Dask cluster that exists: tasks go to its scheduler, files by a storage that all can reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline import __version__
from pipeline.errors import ResourceError, SettingsError
from pipeline.spread import memory
from pipeline.spread.executor import lost_for_good

_CONNECT_S = 10
_FIRST_WORKER_S = 30


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster whose scheduler listens at ``address`` (tcp://HOST:PORT)."""

    address: str

    def each[T, R](self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """As ``Executor`` says."""
        distributed = _distributed()
        with self._client(distributed) as client:
            _must_be_of_our_version(client, self.address)
            # Not pure: Dask must not take a result of yesterday for what is asked today.
            futures = client.map(partial(memory.keeping, work), tasks, pure=False)
            numbers = {future.key: number for number, future in enumerate(futures)}
            try:
                for future in distributed.as_completed(futures, loop=client.loop):
                    number = numbers[future.key]
                    try:
                        result: R = future.result()
                    except distributed.KilledWorker:
                        raise lost_for_good(tasks[number]) from None
                    yield number, result
            finally:
                client.cancel(futures)

    def _client(self, distributed: Any) -> Any:
        try:
            client = distributed.Client(self.address, timeout=_CONNECT_S, set_as_default=False)
        except OSError:
            raise ResourceError(
                f"no Dask scheduler answers at {self.address}", todo="See docs/scale-out.md."
            ) from None
        return client


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise SettingsError(
            "dask:// needs Dask, which is not installed", todo="pip install 'makan[cluster]'"
        ) from None
    return distributed


def _version() -> str:
    return __version__


def _must_be_of_our_version(client: Any, address: str) -> None:
    """Other versions may make other bytes. Raises ResourceError, also when there is no worker."""
    try:
        client.wait_for_workers(1, timeout=_FIRST_WORKER_S)
    except TimeoutError:
        raise ResourceError(
            f"the cluster at {address} has no worker", todo="See docs/scale-out.md."
        ) from None
    versions: dict[str, Any] = client.run(_version, on_error="return")
    for worker, version in versions.items():
        if version != __version__:
            raise ResourceError(
                f"the worker {worker} has Makan {version}, here is {__version__}",
                todo="Install the same version on every machine.",
            )
