"""Errors of the environment and of use, one class per cause, each with its exit code.

Data problems are not errors but findings (``pipeline.findings``).

    MakanError
    ├── SettingsError    2  an environment variable or option that cannot be used
    ├── ContractError    3  a file of schemas/ is wrong (file and line are named)
    ├── ArrivalError     4  an arriving file that cannot be taken as it is declared
    ├── GuardError       5  the whole load refused: limits, or an account that does not close
    ├── DatabaseError    6  the database is down, refuses, or is another city's
    └── ResourceError    7  disk, port, memory, a missing program

Exit code 0 is success with nothing set aside, 1 success with quarantined rows, 130 Ctrl-C.
"""

from __future__ import annotations


class MakanError(Exception):
    """Something a person can mend; says what is wrong, where, and what to do, in one line."""

    exit_code = 8

    def __init__(self, what: str, *, where: str | None = None, todo: str | None = None) -> None:
        self.what = what
        self.where = where
        self.todo = todo
        super().__init__(self._line())

    def _line(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        line = f"{head}. {self.todo}" if self.todo else head
        return " ".join(line.split())


class SettingsError(MakanError):
    """A setting that cannot be used."""

    exit_code = 2


class ContractError(MakanError):
    """A contract, feed, city profile or code list that is wrong."""

    exit_code = 3


class ArrivalError(MakanError):
    """An arriving file that cannot be taken as it is declared."""

    exit_code = 4


class GuardError(MakanError):
    """A load refused as a whole; what was published before stays."""

    exit_code = 5


class DatabaseError(MakanError):
    """The database is down, refuses the login, or belongs to another city."""

    exit_code = 6


class ResourceError(MakanError):
    """The machine lacks something: disk space, a free port, a program."""

    exit_code = 7
