"""The private PostgreSQL cluster below ``<home>/db``: made, started and stopped by Makan.

It listens on a Unix socket and on the loopback address only, with passwords (SCRAM) that are made
once and kept in a file only the owner reads. PostgreSQL refuses to run as root, so when root calls,
the server runs as an ordinary user and its data lies where that user can reach it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from pwd import getpwnam, struct_passwd

from pipeline import disk
from pipeline.contracts import audience
from pipeline.db import server_config
from pipeline.errors import DatabaseError, ResourceError

#: Roles of the command line, which write; each audience has one of its own that reads (``roles``).
WRITERS = ("owner", "loader")
SUPERUSER = "makan_admin"
_SHORT = 60


def roles() -> tuple[str, ...]:
    """Every role by its short name, those that write first."""
    found = audience.table().values()
    return (*WRITERS, *editors(), *(one.role for one in found))


def editors() -> tuple[str, ...]:
    """The roles by which servers write single rows."""
    return tuple(one.writer for one in audience.table().values() if one.writer)


def find_binaries() -> Path:
    """The newest installed PostgreSQL's bin folder that has PostGIS; raises ResourceError."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda p: int(p.parts[-3]),
        reverse=True,
    )
    on_path = shutil.which("initdb")
    candidates = [path.parent for path in found] + ([Path(on_path).parent] if on_path else [])
    if not candidates:
        raise ResourceError(
            "PostgreSQL is not installed",
            todo="Install the packages postgresql and postgresql-NN-postgis-3, "
            "or set MAKAN_DATABASE_URL.",
        )
    return candidates[0]


def _can_reach(user: struct_passwd, path: Path) -> bool:
    """Whether ``user`` may traverse every folder down to ``path``."""
    for folder in [path, *path.parents]:
        if not folder.exists():
            continue
        stat = folder.stat()
        mine = stat.st_uid == user.pw_uid
        group = stat.st_gid == user.pw_gid
        bit = 0o100 if mine else 0o010 if group else 0o001
        if not stat.st_mode & bit:
            return False
    return True


@dataclass(frozen=True)
class Cluster:
    """One private cluster; ``home`` is the folder Makan keeps its things in."""

    home: Path

    @property
    def folder(self) -> Path:
        """Where the notes about the cluster are (state, passwords)."""
        return self.home / "db"

    @property
    def state_file(self) -> Path:
        """Port, folders and passwords; readable by its owner only."""
        return self.folder / "cluster.json"

    @property
    def exists(self) -> bool:
        """Whether the cluster has been made."""
        return self.state_file.exists()

    def state(self) -> dict[str, str]:
        """What was decided when the cluster was made."""
        try:
            found: dict[str, str] = json.loads(self.state_file.read_text())
        except FileNotFoundError:
            raise DatabaseError(
                "there is no private database yet",
                where=str(self.folder),
                todo="Run `makan db start`.",
            ) from None
        except ValueError:
            raise DatabaseError(
                "the notes on the private database are damaged",
                where=str(self.state_file),
                todo="Bring the file back from a backup: the passwords stand in it alone.",
            ) from None
        return found

    def uri(self, user: str, database: str) -> str:
        """The libpq address for ``user`` over the Unix socket."""
        state = self.state()
        password = state.get(f"password_{user}")
        if password is None:
            raise DatabaseError(f"there is no login {user} yet", todo="Run `makan db migrate`.")
        return f"postgresql://{user}:{password}@/{database}?host={state['socket']}&port={state['port']}"

    def is_running(self) -> bool:
        """Whether the server answers pg_ctl."""
        return self.exists and self._pg_ctl("status").returncode == 0

    def start(self) -> bool:
        """Makes the cluster if need be and starts it; False if it ran already."""
        if not self.exists:
            self._create()
        if self.is_running():
            return False
        state = self.state()
        self._make_socket_folder(Path(state["socket"]))
        log = Path(state["data"]).parent / "postgres.log"
        done = self._pg_ctl("start", "-w", "-t", "60", "-l", str(log), "-s")
        if done.returncode != 0:
            raise DatabaseError(
                f"PostgreSQL does not start: {self._last_line(log) or done.stderr.strip()}",
                where=str(log),
                todo="Free the port or disk it names, or run `makan db reset`.",
            )
        return True

    def stop(self) -> bool:
        """Stops the server; False if it did not run."""
        if not self.is_running():
            return False
        done = self._pg_ctl("stop", "-m", "fast", "-w", "-t", "60", "-s")
        if done.returncode != 0:
            raise DatabaseError(f"PostgreSQL does not stop: {done.stderr.strip()}")
        return True

    def destroy(self) -> None:
        """Stops the server and removes everything the cluster holds."""
        if not self.exists:
            return
        self.stop()
        state = self.state()
        shutil.rmtree(Path(state["data"]).parent, ignore_errors=True)
        shutil.rmtree(state["socket"], ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _create(self) -> None:
        binaries = find_binaries()
        self.folder.mkdir(parents=True, exist_ok=True)
        user = self._server_user()
        parent = self._data_parent(user)
        shutil.rmtree(parent / "data", ignore_errors=True)
        passwords = {f"password_{name}": secrets.token_urlsafe(24) for name in self._logins()}
        state = {
            "binaries": str(binaries),
            "data": str(parent / "data"),
            "socket": str(self._socket_folder()),
            "port": str(_free_port()),
            "user": user.pw_name if user else "",
            **passwords,
        }
        self._initdb(state, passwords[f"password_{SUPERUSER}"])
        server_config.write(
            Path(state["data"]), port=int(state["port"]), socket_folder=state["socket"]
        )
        self._give_to(user, Path(state["data"]))
        self._keep(state)

    def _keep(self, state: dict[str, str]) -> None:
        # The passwords stand nowhere else: they must outlast a power cut.
        disk.write_bytes(self.state_file, json.dumps(state, indent=1).encode(), mode=0o600)

    def passwords(self) -> dict[str, str]:
        """The password of every login; of a role that is new in the contracts it is made now."""
        state = self.state()
        missing = [name for name in self._logins() if f"password_{name}" not in state]
        if missing:
            state |= {f"password_{name}": secrets.token_urlsafe(24) for name in missing}
            self._keep(state)
        return {name: state[f"password_{name}"] for name in self._logins()}

    @staticmethod
    def _logins() -> tuple[str, ...]:
        return (SUPERUSER, *(f"makan_{role}" for role in roles()))

    @staticmethod
    def _server_user() -> struct_passwd | None:
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            try:
                return getpwnam(name)
            except KeyError:
                continue
        raise ResourceError(
            "PostgreSQL does not run as root and there is no ordinary user to run it",
            todo="Run makan as an ordinary user, or set MAKAN_DATABASE_URL.",
        )

    def _data_parent(self, user: struct_passwd | None) -> Path:
        """``<home>/db``, unless the server's user cannot reach it (a home folder of mode 0700)."""
        if user is None or _can_reach(user, self.folder):
            parent = self.folder / "cluster"
        else:
            mark = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
            parent = Path("/var/tmp") / f"makan-{mark}"  # noqa: S108
        parent.mkdir(parents=True, exist_ok=True)
        self._give_to(user, parent)
        return parent

    def _socket_folder(self) -> Path:
        """A short path: the operating system allows about 100 bytes for a socket's name."""
        mark = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        base = tempfile.gettempdir()
        return Path(base if len(base) < _SHORT else "/tmp") / f"makan-{mark}"  # noqa: S108

    def _make_socket_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o711, exist_ok=True)
        self._give_to(self._server_user(), folder)

    @staticmethod
    def _give_to(user: struct_passwd | None, path: Path) -> None:
        if user is not None:
            for found in [path, *path.rglob("*")]:
                os.chown(found, user.pw_uid, user.pw_gid)

    def _initdb(self, state: dict[str, str], password: str) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="makan-", suffix=".pw") as secret:
            secret.write(password)
            secret.flush()
            self._give_to(self._server_user(), Path(secret.name))
            done = self._run(
                state,
                "initdb",
                *("-D", state["data"], "-U", SUPERUSER, f"--pwfile={secret.name}"),
                *("-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
                # The same order as C.UTF-8's; PostgreSQL sorts by this name twice as fast.
                "--lc-collate=C",
            )
        if done.returncode != 0:
            raise DatabaseError(
                f"the private database cannot be made: {done.stderr.strip().splitlines()[-1]}",
                where=state["data"],
            )

    def _pg_ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        state = self.state()
        return self._run(state, "pg_ctl", words[0], "-D", state["data"], *words[1:])

    @staticmethod
    def _run(state: dict[str, str], program: str, *words: str) -> subprocess.CompletedProcess[str]:
        user = state["user"] if os.geteuid() == 0 and state["user"] else None
        return subprocess.run(
            [str(Path(state["binaries"]) / program), *words],
            user=user,
            group=getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    @staticmethod
    def _last_line(log: Path) -> str:
        try:
            lines = log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        fatal = [line for line in lines if "FATAL" in line]
        return (fatal or lines or [""])[-1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
