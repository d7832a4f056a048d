"""A worker: uvicorn in a process of gunicorn's."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import Any

import uvicorn
from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker

from pipeline.serve.accepting import Connections, Listener, Tally
from pipeline.serve.protocol import Protocol

GRACE_S = 5
_LAST_REQUESTS_S = 0.2


class _Server(uvicorn.Server):
    """Shares new connections with the other workers, and lets those that were just accepted say
    what they want before they are closed."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        """Nothing is started."""
        super().__init__(config)
        self._connections = connections
        self.server_state.connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As its parent does it, with listeners of ours."""
        await super().startup(sockets=[])
        for one in sockets or []:
            self.servers.append(Listener(one, self._protocol, self._connections))  # type: ignore[arg-type]

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No new connection from now on; who is connected has a moment for a last request."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(_LAST_REQUESTS_S)
        await super().shutdown(sockets)


class Worker(UvicornWorker):  # type: ignore[misc]
    """A worker without a name in its headers, which ends with its parent whatever happens."""

    CONFIG_KWARGS = {  # noqa: RUF012 - uvicorn_worker's own declaration
        "loop": "auto",
        "http": Protocol,
        "ws": "none",
        "lifespan": "on",
        "server_header": False,
        "access_log": False,
        "timeout_graceful_shutdown": GRACE_S,
    }
    #: Where it is in ``tally``; ``placed`` says so before it is forked.
    place: int | None = None
    tally = Tally(1)

    def _install_sigquit_handler(self) -> None:
        """gunicorn sends SIGQUIT after Ctrl-C; the worker would not heed it and be killed later."""
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGQUIT, signal.raise_signal, signal.SIGTERM
        )

    async def _serve(self) -> None:
        """As its parent does it, over our server."""
        self.config.app = self.wsgi
        server = _Server(self.config, Connections(self.tally, self.place))
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


class Placed:
    """Gives each worker a place in a tally before it is forked."""

    def __init__(self, workers: int) -> None:
        """Old and new ones are there together while they are replaced."""
        self._tally = Tally(3 * workers)

    def before_fork(self, arbiter: Any, worker: Worker) -> None:
        """gunicorn is about to fork."""
        worker.tally = self._tally
        worker.place = self._tally.take(one.place for one in arbiter.WORKERS.values())
