"""Tasks over processes and over a cluster: results in order, lost workers, faults, addresses."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest
from spread_tasks import Dig, dig, stumble

from pipeline.errors import ArrivalError, ResourceError, SettingsError
from pipeline.spread import executor, store
from pipeline.spread.executor import Local, gather
from tests.spread.conftest import Dask


def _tries(folder: Path) -> Counter[int]:
    return Counter(int(path.name.partition("-")[0]) for path in folder.iterdir())


@pytest.mark.parametrize("processes", [1, 2, 9])
def test_results_come_in_the_order_of_their_tasks(tmp_path: Path, processes: int) -> None:
    told: list[tuple[int, int]] = []
    tasks = [Dig(tmp_path, n) for n in range(5)]
    found = gather(Local(processes), dig, tasks, lambda done, whole: told.append((done, whole)))
    assert found == [0, 1, 4, 9, 16]
    assert told == [(n, 5) for n in range(6)]
    assert len({path.name.split("-")[1] for path in tmp_path.iterdir()}) == min(processes, 5)


def test_processes_are_kept_from_stage_to_stage(tmp_path: Path) -> None:
    runner = Local(2)
    for stage in range(3):
        gather(runner, dig, [Dig(tmp_path, 10 * stage + n) for n in range(4)])
    workers = {path.name.split("-")[1] for path in tmp_path.iterdir()}
    assert len(workers) == 2
    with pytest.raises(ArrivalError):
        gather(runner, stumble, [Dig(tmp_path, n) for n in range(5)])
    # Those of a stage that went wrong may still be at work: others go on.
    assert gather(runner, dig, [Dig(tmp_path, n) for n in (50, 51)]) == [2500, 2601]
    del runner
    gc.collect()
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_a_lost_process_costs_its_task_alone(tmp_path: Path) -> None:
    tasks = [Dig(tmp_path, n, deadly=int(n == 2)) for n in range(6)]
    assert gather(Local(2), dig, tasks) == [n**2 for n in range(6)]
    assert _tries(tmp_path) == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1, 5: 1}


def test_a_task_that_nobody_survives_is_told(tmp_path: Path) -> None:
    tasks = [Dig(tmp_path, n, deadly=9 * (n == 1)) for n in range(3)]
    with pytest.raises(ResourceError, match=r"hole 1: 3 workers died at the same task"):
        gather(Local(2), dig, tasks)
    assert _tries(tmp_path)[1] == executor.LOSSES


def test_a_fault_of_a_task_is_raised_here(tmp_path: Path) -> None:
    tasks = [Dig(tmp_path, n) for n in range(5)]
    with pytest.raises(ArrivalError) as raised:
        gather(Local(2), stumble, tasks)
    assert str(raised.value) == "hole 3: is a stone. Dig elsewhere."
    assert raised.value.todo == "Dig elsewhere."


def test_a_cluster_does_the_same_and_survives_a_worker(tmp_path: Path, dask: Dask) -> None:
    runner = executor.of(dask.address)
    tasks = [Dig(tmp_path, n, deadly=int(n == 2)) for n in range(6)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert gather(runner, dig, tasks) == [n**2 for n in range(6)]
        again = _tries(tmp_path)
        assert again[2] == 2
        assert sum(worker.poll() is not None for worker in dask.workers) == 1
        with pytest.raises(ArrivalError, match=r"hole 3: is a stone\. Dig elsewhere\."):
            gather(runner, stumble, [Dig(tmp_path, n) for n in range(5)])


def test_executors_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("cloud", "local:0", "dask://", "dask://a/b", "local:"):
        with pytest.raises(SettingsError, match="there is no executor"):
            executor.of(text)
    assert executor.of("local:3") == Local(3)
    assert executor.of("local", jobs=2) == Local(2)
    monkeypatch.setattr("pipeline.spread.cluster._CONNECT_S", 1)
    with pytest.raises(ResourceError, match="no Dask scheduler answers at tcp://127"):
        gather(executor.of("dask://127.0.0.1:9"), dig, [])


@pytest.mark.parametrize("kind", ["path", "file", "memory"])
def test_files_are_whole_or_not_there(tmp_path: Path, kind: str) -> None:
    folder = {
        "path": str(tmp_path),
        "file": f"file://{tmp_path}",
        "memory": f"memory://{tmp_path.name}",
    }[kind]
    place = store.joined(folder, "a/b.tif")
    assert not store.exists(place)
    with store.writing(place) as path:
        path.write_bytes(b"first")
        assert not store.exists(place)
    before = store.fingerprint(place)
    assert store.local(place).read_bytes() == b"first"
    with pytest.raises(ZeroDivisionError), store.writing(place) as path:
        path.write_bytes(b"half" * (1 // 0))
    assert store.local(place).read_bytes() == b"first"
    assert store.fingerprint(place) == before
    with store.writing(place) as path:
        path.write_bytes(b"other, and longer")
    assert store.fingerprint(place) != before
    assert store.local(place).read_bytes() == b"other, and longer"
    with store.opened(place) as stream:
        assert stream.read(5) == b"other"
    with store.writing(store.joined(folder, "a/c.tif")) as path:
        path.write_bytes(b"c")
    assert [name.rsplit("/", 1)[-1] for name in store.found(folder)] == ["b.tif", "c.tif"]
    store.sweep(folder, [place])
    assert [name.rsplit("/", 1)[-1] for name in store.found(folder)] == ["b.tif"]
    with pytest.raises(ResourceError, match=r"none\.tif: cannot be reached"):
        store.fingerprint(store.joined(folder, "none.tif"))
    store.remove(folder)
    assert not store.exists(place)


def test_addresses_of_no_storage_are_refused() -> None:
    with pytest.raises(SettingsError, match="nowhere://x cannot be used"):
        store.exists("nowhere://x")


_ARRAYS = """
import resource, sys, numpy as np
from pipeline.spread import memory
if sys.argv[1:]:
    assert memory.keep()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(400_000)
before = faults()
for _ in range(20):
    np.ones(400_000)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of the GNU C library")
def test_a_worker_of_dask_keeps_the_memory_that_it_gave_back() -> None:
    """Dask's own setting has each array of 3 MB mapped anew, 781 pages. From 4 MB on numpy asks for
    huge pages, of which there may be some or none."""
    env = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    found = []
    for words in ((), ("keep",)):
        command = [sys.executable, "-c", _ARRAYS, *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        found.append(int(done.stdout))
    assert found[0] > 10_000
    assert found[1] < found[0] / 4
