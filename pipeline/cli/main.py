"""The command ``makan``: finds the commands and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import sys
import tempfile
import traceback

import click
from rich.console import Console
from rich.markup import escape

from pipeline import __version__, settings
from pipeline.errors import MakanError

# Each command is a function of the same name in its module; imported when it is called, because
# GDAL, PyArrow and the server take a second that `makan runs` should not wait for.
COMMANDS = {
    "check": "load",
    "db": "database",
    "demo": "demo",
    "feed": "feed",
    "load": "load",
    "publish": "publish",
    "raster": "raster",
    "report": "runs",
    "runs": "runs",
    "sample": "sample",
    "schema": "schema",
    "serve": "serve",
}


class Commands(click.Group):
    """A group whose commands are imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names."""
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called ``cmd_name``, or None."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"pipeline.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="makan")
@click.pass_context
def cli(context: click.Context) -> None:
    """Makan: a municipality's spatial database, from arriving files to OGC API services.

    Settings are environment variables: MAKAN_CITY, MAKAN_HOME, MAKAN_DATABASE_URL, MAKAN_PORT ...
    Exit codes: 0 done, 1 done but rows are in quarantine, 2 usage, 3 contract, 4 arrival,
    5 refused by a guard, 6 database, 7 machine, 8 a fault of Makan, 130 interrupted.
    """
    context.obj = settings.from_environment()


def main() -> None:
    """Runs the command line and exits with a documented code."""
    try:
        code = cli(standalone_mode=False)
    except MakanError as error:
        _say(str(error))
        code = error.exit_code
    except click.ClickException as error:
        _say(f"{error.format_message()} See `makan --help`.")
        code = 2
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted; nothing is half-done, run the command again")
        code = 130
    except BrokenPipeError:
        code = 0
    except Exception:  # noqa: BLE001 - whatever it is, a person gets one line and we get the trace
        code = _fault()
    sys.exit(code if isinstance(code, int) else 0)


def _fault() -> int:
    """An error nobody foresaw: the trace goes to a file, its place to the person."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="makan-fault-", suffix=".txt", delete=False, encoding="utf-8"
    ) as note:
        note.write(traceback.format_exc())
    kind = sys.exc_info()[0]
    name = kind.__name__ if kind else "error"
    _say(f"unforeseen {name}; this is a fault of Makan. Send {note.name} to its makers.")
    return 8


def _say(line: str) -> None:
    # A message may hold brackets, such as [source]: they are not markup.
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[red]makan:[/red] {escape(line)}")
