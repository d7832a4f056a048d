"""Access (.mdb, .accdb): its tables, by mdbtools, streamed as text.

Everything is text, so that codes keep their zeros and numbers what they were written with. Only the
databases of Access 97 leave their encoding open.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import IO

import pyarrow as pa
import pyarrow.csv as arrow_csv

from pipeline.errors import ArrivalError, ResourceError
from pipeline.stages.container import Opened
from pipeline.stages.encoding import Trial, pieces, try_encodings
from pipeline.stages.readers.base import Layer, brief, explained
from pipeline.stages.telling import Told

_NULL = "\\N"
_DATES = ("-D", "%Y-%m-%d", "-T", "%Y-%m-%dT%H:%M:%S")
_EXPORT = ("mdb-export", *_DATES, "-0", _NULL, "-B", "-b", "hex")
_OLD = "JET3"
_RAW = "ISO-8859-1"
_BLOCK = 2**20


class AccessDataset:
    """An Access database."""

    driver = "MDB"

    def __init__(self, arrival: Opened) -> None:
        """Nothing is read yet; ResourceError where mdbtools is not installed."""
        if shutil.which("mdb-export") is None:
            raise ResourceError(
                "mdbtools, which reads Access databases, is not installed",
                where=arrival.label,
                todo="Run `apt-get install mdbtools`, or ask for CSV or XLSX.",
            )
        self.arrival = arrival
        self.place = str(arrival.place)

    @cached_property
    def sheets(self) -> list[str]:
        """Its tables, without those of Access itself."""
        return self._said("mdb-tables", "-1", "-t", "table", self.place).split("\n")[:-1]

    @cached_property
    def told(self) -> Told:
        """What the letters of all tables show, where the database is of Access 97."""
        if _OLD not in self._said("mdb-ver", self.place):
            return Told()
        return Told(trial=self._trial())

    def _trial(self) -> Trial | None:
        raw = (
            self._said(*_EXPORT, self.place, sheet, charset=_RAW).encode("latin-1", "ignore")
            for sheet in self.sheets
        )
        return try_encodings(piece for one in raw for piece in pieces(one))

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """The table ``sheet``, counted by its own entry in the database."""
        charset = encoding or "UTF-8"
        head = self._said("mdb-export", "-Q", "-d", "\x1f", self.place, sheet, lines=1)
        count = self._said("mdb-count", self.place, sheet).strip()
        if not count.isdigit():
            raise ArrivalError(
                f"has no table {sheet}", where=self.arrival.label, todo="Ask for it again."
            )
        return AccessLayer(
            label=self.arrival.label,
            sheet=sheet,
            names=head.rstrip("\n").split("\x1f"),
            geometries={},
            features=int(count),
            command=(*_EXPORT, self.place, sheet),
            charset=charset,
        )

    def _said(self, *command: str, charset: str = "UTF-8", lines: int | None = None) -> str:
        """What a program of mdbtools prints, all of it or its first lines."""
        with _running(command, charset, self.arrival.label) as output:
            data = b"".join(output.readline() for _ in range(lines)) if lines else output.read()
        return data.decode("utf-8", "replace")


class AccessLayer(Layer):
    """One table."""

    def __init__(self, *, command: tuple[str, ...], charset: str, **told: object) -> None:
        """``command`` prints the table as CSV."""
        super().__init__(**told)  # type: ignore[arg-type]
        self.command = command
        self.charset = charset

    def tables(self, rows: int) -> Generator[pa.Table]:
        """The table as mdb-export prints it, cut into ``rows``."""
        kinds = dict.fromkeys(self.names, pa.string())
        with (
            _running(self.command, self.charset, self.label) as output,
            explained(self.label, self.heard),
        ):
            if not self.features:
                return
            reader = arrow_csv.open_csv(
                output,
                read_options=arrow_csv.ReadOptions(block_size=_BLOCK, use_threads=False),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=kinds,
                    null_values=[_NULL],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
            for batch in reader:
                for start in range(0, batch.num_rows, rows):
                    part = batch.slice(start, rows)
                    self.seen += part.num_rows
                    yield pa.Table.from_batches([part])


@contextmanager
def _running(command: tuple[str, ...], charset: str, label: str) -> Iterator[IO[bytes]]:
    """The output of a program, which is ended when nobody reads on."""
    env = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "MDB_JET3_CHARSET": charset}
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, env=env
        ) as process,
    ):
        if process.stdout is None:
            raise AssertionError("it is a pipe")
        ended = False
        try:
            yield process.stdout
            ended = not process.stdout.read(1)
        finally:
            # A reader that has had enough is no fault of the program.
            if not ended:
                process.kill()
        complaints.seek(0)
        said = complaints.read().decode("utf-8", "replace").strip()
        if ended and (process.wait() != 0 or "rror" in said):
            raise ArrivalError(
                f"cannot be read: {brief(said, label) or f'{command[0]} fails'}",
                where=label,
                todo="Ask for it again, or as CSV or XLSX.",
            )
