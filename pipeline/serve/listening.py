"""Where a server listens, and what it says when it is ready."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing import Value

from pipeline.contracts.audience import Audience
from pipeline.errors import ResourceError, SettingsError
from pipeline.settings import Settings


def listen(settings: Settings) -> socket.socket:
    """The listening socket, taken before anything else, so that a taken port is told at once."""
    try:
        family, kind, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise SettingsError(
            f"MAKAN_HOST={settings.host!r} is not an address of this machine",
            todo="127.0.0.1 serves this machine only, 0.0.0.0 everyone.",
        ) from None
    listening = socket.socket(family, kind)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise ResourceError(
            f"port {settings.port} of {settings.host} cannot be used ({error.strerror})",
            todo="Stop the program that has it, or set MAKAN_PORT.",
        ) from None
    listening.listen(2048)
    os.set_inheritable(listening.fileno(), True)  # noqa: FBT003 - the operating system's call
    return listening


def refuse_clear_text(settings: Settings, audience: Audience, listening: socket.socket) -> None:
    """Keys must not cross a network in clear text: beyond this machine a proxy with TLS is due."""
    here = ipaddress.ip_address(listening.getsockname()[0]).is_loopback
    if audience.needs_key and not here and not settings.public_url.startswith("https://"):
        raise SettingsError(
            f"the server of {audience.id} would take keys in clear text on {settings.host}",
            todo="Let it listen on 127.0.0.1 behind a proxy with TLS "
            "(geoserver_config/deploy), or say that there is one: MAKAN_PUBLIC_URL=https://…",
        )


def announcer(settings: Settings) -> Callable[[], None]:
    """Counts warm workers over all processes; the last one prints the ready line, once."""
    warm = Value("i", 0)

    def announce() -> None:
        with warm.get_lock():
            warm.value += 1
            last = warm.value == settings.workers
        if last:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            os.write(sys.stdout.fileno(), f"ready http://{host}:{settings.port}/\n".encode())

    return announce
