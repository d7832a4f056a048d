"""The command ``makan``: finds the commands and turns errors into one line and an exit code."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

import click

from pipeline import __version__, disk, settings
from pipeline.cli.lazy import Entry, LazyGroup
from pipeline.errors import MakanError

_CLI = "pipeline.cli"
_LOOK_AFTER = 200_000
# To look for plugins that nobody has, pydantic would read what every installed package says.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
COMMANDS = {
    "accuracy": Entry(f"{_CLI}.accuracy:accuracy", "Tell how accurate a product is."),
    "access": Entry(f"{_CLI}.access:access", "Give, list and revoke keys of servers.", lean=True),
    "cad": Entry(
        f"{_CLI}.cad:cad", "Make numbered areas of drawn sheets, and load them.", lean=True
    ),
    "check": Entry(f"{_CLI}.load:check", "Do all that load does except write.", lean=True),
    "db": Entry(f"{_CLI}.database:db", "Start, stop and prepare the database."),
    "dem": Entry(f"{_CLI}.dem:dem", "Make an elevation model from contours; derive from one."),
    "demo": Entry(f"{_CLI}.demo:demo", "Build the sample city, load it, serve it until Ctrl-C."),
    "derive": Entry(f"{_CLI}.derive:derive", "Work out what follows from the layers.", lean=True),
    "as-of": Entry(f"{_CLI}.history:as_of", "Show or write the city as it was at a moment."),
    "diff": Entry(f"{_CLI}.history:diff", "Show what changed between two loads of a layer."),
    "extract": Entry(f"{_CLI}.extract:extract", "Write what belongs to an area, to take along."),
    "facts": Entry(f"{_CLI}.derive:facts", "List what is derived, and how fresh it is.", lean=True),
    "fabric": Entry(
        f"{_CLI}.fabric:fabric", "Check how loaded rows lie among each other.", lean=True
    ),
    "feed": Entry(f"{_CLI}.feed:feed", "Propose a feed for an unknown file.", lean=True),
    "frames": Entry(f"{_CLI}.frames:frames", "Publish aerial frames; make an orthophoto of them."),
    "history": Entry(f"{_CLI}.history:history", "Show every version of one object."),
    "jobs": Entry(f"{_CLI}.jobs:jobs", "Work at what is asked in the background.", lean=True),
    "load": Entry(
        f"{_CLI}.load:load",
        "Load files of a feed; wholly or not at all.",
        lean=True,
        first="pipeline.stages.misfit:begin",
    ),
    "match": Entry(f"{_CLI}.match:match", "Report how a match of two layers went.", lean=True),
    "plan": Entry(f"{_CLI}.plan:plan", "Tell whether plans are whole; promote one.", lean=True),
    "population": Entry(f"{_CLI}.match:population", "Estimate who lives in a box.", lean=True),
    "publish": Entry(f"{_CLI}.publish:publish", "Render the server's configuration."),
    "quarantine": Entry(f"{_CLI}.quarantine:quarantine", "Write what a run set aside, to correct."),
    "quality": Entry(f"{_CLI}.quality:quality", "Tell how good the published data are.", lean=True),
    "raster": Entry(f"{_CLI}.raster:raster", "Check and load orthophotos and elevation models."),
    "report": Entry(
        f"{_CLI}.runs:report", "Tell what a run took in, found and set aside.", lean=True
    ),
    "resubmit": Entry(f"{_CLI}.quarantine:resubmit", "Load corrected rows of a quarantine."),
    "runs": Entry(f"{_CLI}.runs:runs", "List the latest runs.", lean=True),
    "sample": Entry(f"{_CLI}.sample:sample", "Make a believable city, as offices would send it."),
    "schema": Entry(f"{_CLI}.schema:schema", "Derive SQL, JSON Schema and documentation."),
    "serve": Entry(f"{_CLI}.serve:serve", "Serve the published city until Ctrl-C.", lean=True),
    "tiles": Entry(f"{_CLI}.tiles:tiles", "Seed, export and list tiles; small scales anew."),
    "undo": Entry(f"{_CLI}.history:undo", "Bring a layer back to what it was before a load."),
}


@click.command(
    cls=LazyGroup,
    entries=COMMANDS,
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


def run() -> None:
    """``main`` for a process of its own, which ends with it.

    What is open is closed by then, and threads and exit functions have ended. To hand back object
    by object what the system takes back anyway would be a tenth of a quick command's time.
    """
    code: list[int] = []

    def leave() -> None:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(*code or [1])

    # Exit functions run last in, first out: whatever is registered from here on has its turn.
    atexit.register(leave)
    try:
        main()
    except SystemExit as end:
        code.append(end.code if isinstance(end.code, int) else 0)
        raise


def main() -> None:
    """Runs the command line and exits with a documented code."""
    # Importing makes much that stays: looking it through again and again costs a tenth of it.
    gc.set_threshold(_LOOK_AFTER)
    # What the driver warns of (a rollback on a server that is gone) our one line says better.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
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
    except Exception as error:  # noqa: BLE001 - a person gets one line and we get the trace
        code = _machine(error) or _fault()
    sys.exit(code if isinstance(code, int) else 0)


def _machine(error: Exception) -> int:
    """An error of the machine that no command foresaw, told; 0 where it is none."""
    folders = [Path(tempfile.gettempdir())]
    with suppress(MakanError):
        folders.append(settings.from_environment().home)
    found = disk.of_the_machine(error, *folders)
    if found is None:
        return 0
    _say(str(found))
    return found.exit_code


def _fault() -> int:
    """An error nobody foresaw: the trace goes to a file, its place to the person."""
    kind, _, trace = sys.exc_info()
    name = kind.__name__ if kind else "error"
    told = traceback.format_exc()
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="makan-fault-", suffix=".txt", delete=False, encoding="utf-8"
        ) as note:
            note.write(told)
        kept = f"Send {note.name} to its makers."
    except OSError:
        last = traceback.extract_tb(trace)[-1]
        kept = (
            f"Its trace could not be kept, it ended in {Path(last.filename).name}, "
            f"line {last.lineno}; free space for temporary files and run it again."
        )
    _say(f"unforeseen {name}; this is a fault of Makan. {kept}")
    return 8


def _say(line: str) -> None:
    from rich.console import Console
    from rich.markup import escape

    # A message may hold brackets, such as [source]: they are not markup.
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[red]makan:[/red] {escape(line)}")
