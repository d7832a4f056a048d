"""Two workers against one: frames to orthophotos, by processes and by a Dask cluster.

``python -m benchmarks.imagery.scale [--frames 24 --columns 4096 --rows 4096 --rounds 3 --dask]``
Measure when nothing else runs: two workers need two free processors. One worker is at it for over
half a minute, so that what starting a process costs (half a CPU second) is what it is in real work.
CPU seconds tell also on a busy machine what two workers do that one does not.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from pyproj import CRS

from benchmarks.imagery import flight
from benchmarks.imagery.flight import Shot
from benchmarks.imagery.ortho import _noise
from pipeline.contracts import registry
from pipeline.photogrammetry import camera, ground, orientation, ortho, tasks
from pipeline.photogrammetry.block import Frame, Sources, study
from pipeline.photogrammetry.tasks import Rectification
from pipeline.spread import executor, store

warnings.simplefilter("ignore")


def block(folder: Path, count: int, size: tuple[int, int]) -> list[Frame]:
    """Frames of noise over the synthetic ground."""
    shots = [
        Shot(f"f{n}", (flight.EAST + 20 * n, flight.NORTH, 1930.0), (0.8, -1.2, 91.0), size)
        for n in range(count)
    ]
    (folder / "frames").mkdir()
    for shot in shots:
        _noise(folder / "frames" / f"{shot.name}.tif", size)
    flight.write_model(folder / "ground.tif", 1.0, 1500.0)
    rows = [" ".join(map(str, (s.name, *s.centre, *s.angles))) for s in shots]
    (folder / "eo.txt").write_text("\n".join(rows), encoding="utf-8")
    found = orientation.read(folder / "eo.txt", "deg", CRS.from_epsg(32639))
    cameras = camera.read(flight.write_camera(folder / "camera.yaml", shots[0]))
    city = registry.load("qom").city
    sources = Sources("b", found, cameras, str(folder / "frames"), city, CRS.from_epsg(32639))
    with ground.opened(folder / "ground.tif") as below:
        return list(study(sources, below).frames)


def timed(
    name: str, make: Callable[[], executor.Executor], frames: list[Frame], folder: Path
) -> float:
    """Seconds to rectify all, with what it takes to start the workers that ``make`` names."""
    schemas = registry.load("qom")
    contract = next(c for c in schemas.rasters.values() if len(c.bands) == 3)
    model, work = str(folder / "ground.tif"), str(folder / "work")
    shutil.rmtree(work, ignore_errors=True)
    fingerprint = store.fingerprint(model)
    given = [
        Rectification(
            frame, ortho.cells(frame, 0.1, schemas.city), schemas.city, contract, model,
            fingerprint, work,
        )
        for frame in frames
    ]  # fmt: skip
    began, used = time.perf_counter(), _cpu()
    runner = make()
    places = [place for place, _ in executor.gather(runner, tasks.rectify, given)]
    took = time.perf_counter() - began
    del runner  # its processes end, and can be counted
    gc.collect()
    digest = hashlib.sha256()
    for place in places:
        digest.update(Path(place).read_bytes())
    cpu = f"{_cpu() - used:6.1f} CPU-s"
    print(f"{name:<22} {took:6.1f} s {cpu}   sha256 {digest.hexdigest()[:16]}")
    return took


def _cpu() -> float:
    """Of this process, those of it that have ended, and those that run, such as a cluster's."""
    found = os.times()
    own = found.user + found.system + found.children_user + found.children_system
    theirs = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            theirs += times.user + times.system
    return own + theirs


def compared(
    label: str, makers: dict[str, Callable[[], executor.Executor]], rounds: int,
    frames: list[Frame], folder: Path,
) -> None:  # fmt: skip
    """Both in turn, ``rounds`` times; the middle of the ratios."""
    ratios = []
    for _ in range(rounds):
        one, two = (timed(name, make, frames, folder) for name, make in makers.items())
        ratios.append(one / two)
    print(f"{label}: {statistics.median(ratios):.2f} x one (of {rounds} rounds)")


@contextmanager
def cluster(workers: int) -> Iterator[executor.Executor]:
    """A Dask cluster of this machine, with Dask's own settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    words = [
        ("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"),
        ("dask_worker", address, "--nworkers", str(workers), "--nthreads", "1", "--no-dashboard"),
    ]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *more],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for module, *more in words
    ]  # fmt: skip
    try:
        time.sleep(8)
        yield executor.of(f"dask://127.0.0.1:{port}")
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("frames", 24), ("columns", 4096), ("rows", 4096), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--dask", action="store_true")
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        frames = block(folder, given.frames, (given.columns, given.rows))
        print(f"load average at the start: {os.getloadavg()[0]:.1f}")
        makers: dict[str, Callable[[], executor.Executor]] = {
            "one process": lambda: executor.Local(1),
            "two processes": lambda: executor.Local(2),
        }
        compared("two processes", makers, given.rounds, frames, folder)
        if given.dask:
            with cluster(1) as one, cluster(2) as two:
                workers = {"Dask, one worker": lambda: one, "Dask, two workers": lambda: two}
                compared("two Dask workers", workers, given.rounds, frames, folder)


if __name__ == "__main__":
    main()
