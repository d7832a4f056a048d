"""A command group that imports a command's module only when the command is called.

The libraries behind the commands take seconds to import; ``makan --help`` needs none of them.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is (``module:name``), and the line that ``--help`` lists it with.

    ``lean``: it does without pandas and geopandas. pyogrio and pyarrow import them where they find
    them, which costs more than a second of every start. ``first`` is a function (``module:name``)
    that is given the command's words before its module is imported.
    """

    place: str
    help: str
    lean: bool = False
    first: str | None = None

    def load(self) -> click.Command:
        """The command itself."""
        command: click.Command = _named(self.place)
        return command

    def begin(self, words: list[str]) -> None:
        """Calls what is to be called first."""
        if self.first is not None:
            _named(self.first)(words)


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


class _Without:
    """Finds that heavy libraries are not there; what is imported already stays."""

    def find_spec(self, fullname: str, *_: object) -> None:
        """Says of the heavy ones that there are none, and nothing of the others."""
        if fullname in ("geopandas", "pandas"):
            raise ModuleNotFoundError(f"{fullname} is left out", name=fullname)


class LazyGroup(click.Group):
    """A group over a table of entries."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        """``entries`` are the commands by name."""
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the table's order."""
        return [*self.entries, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        entry = self.entries.get(cmd_name)
        return entry.load() if entry else super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called, before whose import it is settled what is left out."""
        sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, _Without)]
        entry = self.entries.get(args[0])
        if entry and entry.lean:
            sys.meta_path.insert(0, _Without())
            # Nothing lean multiplies matrices: numpy need not begin threads that would.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            # Arrow's own pool hands pages back and faults them in anew for every batch.
            os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        if entry:
            entry.begin(args[1:])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        rows = [(name, self.entries[name].help) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
