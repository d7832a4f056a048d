"""``makan serve``: workers under gunicorn, warm before the ready line is printed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing import Value
from pathlib import Path
from typing import Any

import orjson
import yaml
from gunicorn.app.base import BaseApplication
from starlette.applications import Starlette

from pipeline import __version__, paths
from pipeline.answers.ask import Answerer
from pipeline.answers.jobs import Jobs
from pipeline.answers.registrar import Registrar
from pipeline.answers.workforce import Workforce, die_with_parent
from pipeline.contracts import registry
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.documents.pdf import Printer
from pipeline.edits.write import Editor
from pipeline.errors import ResourceError
from pipeline.serve import app, binding, listening, publish, refresh, running, served, tile_store
from pipeline.serve.door import Entrance, access_log
from pipeline.serve.files import Files
from pipeline.serve.jobs import asking, writing
from pipeline.serve.keys import Keys
from pipeline.serve.pages import Pages
from pipeline.serve.publish import Published
from pipeline.serve.reader import Reader
from pipeline.serve.seldom import Seldom
from pipeline.serve.site import Site
from pipeline.serve.state import State
from pipeline.serve.worker import GRACE_S, Placed, Worker
from pipeline.settings import Settings

log = logging.getLogger(__name__)


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    """gunicorn over an application that is made before the workers are."""

    def __init__(self, make: Callable[[], Starlette], options: dict[str, Any]) -> None:
        self._make = make
        self._made = make()
        self._options = options
        super().__init__()

    def reload(self) -> None:
        """After SIGHUP: what new workers get. Where that cannot be made, they get the old."""
        super().reload()
        try:
            self._made = self._make()
        except Exception as error:  # noqa: BLE001 - a mistake must not end what runs
            log.error("not published anew: %s", error)
        self.callable = None

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Starlette:
        return self._made


def build(
    settings: Settings,
    schemas: Schemas,
    place: Published,
    on_ready: Callable[[], None] | None = None,
) -> Starlette:
    """The application for what was published at ``place``."""
    configuration = yaml.load(place.config.read_bytes(), yaml.CSafeLoader)
    database = Database(settings)
    options = configuration["makan"]
    audience = schemas.audience(settings.audience)
    features = Reader(database, audience.role, size=options["feature_connections"])
    tiles = Reader(database, audience.role, size=options["tile_connections"], alone=True)
    # One number in memory for all workers, which are forks of this process.
    state = State(features, audience, Value("Q"))
    editor = Editor(database, schemas, audience.writer) if audience.writer else None
    registrar = Registrar(settings, schemas, audience, asking(features))
    site = Site(
        settings=settings,
        schemas=schemas,
        config=configuration,
        openapi=orjson.dumps(orjson.loads(place.openapi.read_bytes())),
        database=database,
        served=served.catalog(schemas, audience),
        pages=Pages(
            configuration["server"]["templates"]["path"],
            configuration,
            compiled=settings.home / "cache" / "pages",
        ),
        features=features,
        tiles=tiles,
        state=state,
        tile_store=tile_store.store(settings, schemas, state, tiles, options),
        jobs=Jobs(audience, asking(features), writing(features), keep_days=settings.job_keep_days),
        answerer=Answerer(schemas, audience, asking(features), settings.home, registrar),
        registrar=registrar,
        digest=_digest(place),
        printer=Printer(),
        files=Files(
            database,
            audience.role,
            settings.home / "cache",
            asyncio.Semaphore(1),
            settings.public_base,
        ),
        editor=editor,
    )
    entrance = None
    if audience.needs_key:
        log = access_log(settings.home / "log" / f"access-{audience.id}.log")
        entrance = Entrance(Keys(features, audience), log)
    return app.create(site, place.config, place.openapi, entrance=entrance, on_ready=on_ready)


def _digest(place: Published) -> str:
    """Stands for all that answers are made of beside the data: another one, another ETag."""
    digest = hashlib.sha256(__version__.encode())
    read = [place.config, place.openapi]
    for folder in (paths.schemas(), paths.server_files() / "templates"):
        read += sorted(path for path in folder.rglob("*") if path.is_file())
    for path in read:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def serve(settings: Settings, schemas: Schemas) -> None:
    """Publishes and serves until a signal comes; says it is ready when every worker is warm.

    SIGHUP (``running.tell``) publishes again and replaces the workers, while requests go on.
    """
    _log_to_stderr()
    taken = listening.listen(settings)
    listening.refuse_clear_text(settings, schemas.audience(settings.audience), taken)
    announce = listening.announcer(settings)
    beside = (refresh.follow,) if refresh.role(settings) else ()
    workers = Workforce(settings, taken.close, binding.binder, beside)
    contracts = [schemas]

    def make() -> Starlette:
        # Read anew when a reload asks for it: contracts may have changed too.
        found = contracts.pop() if contracts else registry.load(settings.city)
        workers.begin(found)
        place = publish.publish(settings, found, Database(settings))
        return build(settings, found, place, on_ready=announce)

    try:
        _run(_Gunicorn(make, _options(settings, taken)))
    finally:
        workers.end()


def _run(gunicorn: _Gunicorn) -> None:
    """Runs until a signal comes. Workers are forks of this very call: they end here, lest they
    run what a caller of ours does when serving is over, such as stopping the database."""
    parent, code = os.getpid(), 0
    try:
        gunicorn.run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    if os.getpid() != parent:
        os._exit(code)
    if code:
        raise ResourceError("the server's workers could not start", todo="See the lines above.")


def _log_to_stderr() -> None:
    """Standard output is for the ready line alone; pygeoapi logs every 404 with a stack trace."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(message)s"
    )
    logging.getLogger("pygeoapi").setLevel(logging.CRITICAL)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Seldom())


def _options(settings: Settings, taken: socket.socket) -> dict[str, Any]:
    here = _Here(settings.home)
    return {
        "bind": f"fd://{taken.fileno()}",
        "workers": settings.workers,
        "worker_class": f"{Worker.__module__}.{Worker.__name__}",
        "preload_app": True,
        "loglevel": "error",
        "errorlog": "-",
        "timeout": 60,
        "graceful_timeout": GRACE_S,
        "keepalive": 15,
        "control_socket_disable": True,
        "pre_fork": Placed(settings.workers).before_fork,
        "post_fork": _die_with_parent,
        "when_ready": here.ready,
        "on_exit": here.exit,
    }


class _Here:
    """Tells other processes that this one serves, for as long as it takes signals."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._withdraw: Callable[[], None] = lambda: None

    def ready(self, server: object) -> None:
        """gunicorn listens, and takes SIGHUP."""
        del server
        self._withdraw = running.announce(self._home)

    def exit(self, server: object) -> None:
        """gunicorn ends."""
        del server
        self._withdraw()


def _die_with_parent(server: object, worker: object) -> None:
    """A worker whose parent is killed outright is told to end too."""
    del server, worker
    die_with_parent()
