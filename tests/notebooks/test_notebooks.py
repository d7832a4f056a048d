"""Every notebook runs from top to bottom, and is committed without its outputs."""

from __future__ import annotations

import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "strip the outputs"
    with warnings.catch_warnings():
        # The kernel's own event-loop and socket warnings are not ours.
        warnings.simplefilter("ignore")
        NotebookClient(notebook, timeout=240, kernel_name="python3", cwd=str(ROOT)).execute()


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
