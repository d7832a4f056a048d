"""Options and helpers that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import orjson

from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.settings import Settings

if TYPE_CHECKING:
    # Asked for when something is to be said: it takes a while to import.
    from rich.console import Console

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


audience_option = click.option(
    "--audience", help="Whom it is for (MAKAN_AUDIENCE): public, staff, …"
)


def for_audience(
    settings: Settings, found: Schemas, audience: str | None, port: int | None = None
) -> Settings:
    """The settings of the server of ``audience``: its port is counted from MAKAN_PORT."""
    chosen = found.audience(audience or settings.audience)
    port = port or settings.port + chosen.port_offset
    return settings.with_options(audience=chosen.id, port=port)


def moment(_: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """Reads an option or argument as a moment."""
    if value is None:
        return None
    from pipeline import dates

    found = dates.given(value)
    if found is None:
        raise click.BadParameter(
            f"{value!r} is no date such as 2024-03-20 or 1403/01/01, nor a time such as "
            "2024-03-20T12:00:00Z", param=parameter,
        )  # fmt: skip
    return found


def schemas(settings: Settings) -> Schemas:
    """The contracts of the city of these settings."""
    return registry.load(settings.city)


def console() -> Console:
    """Where people read: standard error, so that standard output stays for answers."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def paper() -> Console:
    """Standard output for tables; into a file or pipe nothing is cut off."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=240)


def emit(value: Any) -> None:
    """Writes one JSON document to standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def out(line: str) -> None:
    """Writes one line to standard output."""
    sys.stdout.write(line + "\n")


Command = Callable[..., None]
