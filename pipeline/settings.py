"""All settings of the process: the only module that reads the environment.

Read once by the command line or the server and passed down. An unknown ``MAKAN_`` variable is an
error, because a misspelt setting that is silently ignored is how a test run meets a live database.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError

PREFIX = "MAKAN_"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run needs to know of its surroundings.

    ``home`` holds everything Makan writes on its own: the private database, COGs, rendered
    configuration and logs. ``database_url`` empty means the private cluster below ``home``, and
    in it the database called ``database``. ``audience`` is whom a server of this process serves.
    ``job_workers`` work beside each server at what is asked in the background, the answer of each
    within ``job_timeout_s``; it is kept ``job_keep_days``, and what a document said
    ``receipt_keep_days`` from when it was made last.
    """

    home: Path = Path(".makan")
    city: str = "qom"
    database_url: str = ""
    database: str = "makan"
    reader_url: str = ""
    writer_url: str = ""
    audience: str = "public"
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 2
    public_url: str = ""
    batch_rows: int = 20_000
    statement_timeout_s: int = 10
    job_workers: int = 1
    job_timeout_s: int = 3600
    job_keep_days: int = 7
    receipt_keep_days: int = 1830

    @property
    def public_base(self) -> str:
        """The address clients use, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def with_options(self, **options: Any) -> Settings:
        """A copy in which every option that is not None replaces the setting."""
        return replace(
            self, **{name: value for name, value in options.items() if value is not None}
        )


def _convert(name: str, kind: str, text: str) -> Any:
    if kind == "int":
        if not text.isascii() or not text.isdigit():
            raise SettingsError(
                f"{name}={text!r} is not a whole number", todo="Give digits only, such as 8080."
            )
        return int(text)
    return Path(text).expanduser() if kind == "Path" else text


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``MAKAN_*`` variables; SettingsError for one that is unknown or unfit."""
    environ = os.environ if environ is None else environ
    known = {PREFIX + field.name.upper(): field for field in fields(Settings)}
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    for name in given:
        if name not in known:
            raise SettingsError(
                f"unknown setting {name}", todo=f"Known are: {', '.join(sorted(known))}."
            )
    values = {
        known[name].name: _convert(name, str(known[name].type), text)
        for name, text in given.items()
        if text
    }
    settings = Settings(**values)
    return replace(settings, home=settings.home.resolve())
