"""A headless Chromium driven by its own protocol (CDP) over a pipe: no driver, no package.

What it loads from elsewhere than the given host fails: pages work without the Internet.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_S = 30.0


def path() -> str:
    """Where a Chromium is; skips the test where none is (it is 81 MB to fetch, so .ci/setup does
    not)."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here: `apt-get install chromium`, or CHROMIUM names one")
    return found


class Page:
    """One page; ``failed`` are addresses that could not be loaded, ``wrong`` what scripts threw."""

    def __init__(self, send: int, receive: int) -> None:
        """Over the pipe's two ends."""
        self._send, self._receive = os.fdopen(send, "wb"), os.fdopen(receive, "rb")
        self._number, self._rest, self._session = 0, b"", ""
        self.failed: list[str] = []
        self.wrong: list[str] = []
        self.asked: list[str] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        attached = self.do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM"):
            self.do(f"{domain}.enable")

    def close(self) -> None:
        """Lets the pipe go."""
        for end in (self._send, self._receive):
            with suppress(OSError):
                end.close()

    def do(self, method: str, **params: Any) -> Any:
        """One command and what it gives."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        self._send.write(json.dumps(asked).encode() + b"\0")
        self._send.flush()
        while True:
            told = self._told()
            if told.get("id") == self._number:
                assert "error" not in told, (method, told)
                return told["result"]

    def _told(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._receive.fileno(), 1 << 16)
            assert piece, "Chromium has ended"
            self._rest += piece
        text, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(text)
        self._note(told.get("method"), told.get("params", {}))
        return told

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.wrong.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            self.failed.append(params.get("errorText", ""))

    def value(self, expression: str) -> Any:
        """What a script's expression gives; a promise is waited for."""
        found = self.do(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str) -> Any:
        """What the expression gives as soon as that is something."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            found = self.value(expression)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"not in {_PATIENCE_S} s: {expression}")

    def open(self, address: str) -> None:
        """Goes to the address and waits until it is loaded."""
        self.do("Page.navigate", url=address)
        self.until(f"location.href == {json.dumps(address)} && document.readyState == 'complete'")

    def click(self, x: float, y: float, times: int = 1) -> None:
        """Clicks at a place of the window, in CSS pixels; ``times`` 2: a double click."""
        place: dict[str, Any] = {"x": x, "y": y, "button": "left"}
        self.do("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for number in range(1, times + 1):
            self.do("Input.dispatchMouseEvent", type="mousePressed", clickCount=number, **place)
            self.do("Input.dispatchMouseEvent", type="mouseReleased", clickCount=number, **place)

    def choose(self, selector: str, file: Path) -> None:
        """Chooses a file for an input."""
        root = self.do("DOM.getDocument")["root"]["nodeId"]
        node = self.do("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.do("DOM.setFileInputFiles", nodeId=node, files=[str(file)])


@contextmanager
def page(host: str, port: int, profile: Path) -> Iterator[Page]:
    """A page of a browser of its own, for which ``host`` is this machine at ``port`` and nothing
    else is anywhere."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    here = "127.0.0.1"
    words = [
        path(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", "--remote-debugging-pipe",
        "--window-size=1200,1000", f"--user-data-dir={profile}",
        f"--host-resolver-rules=MAP {host}:80 {here}:{port}, MAP * ~NOTFOUND , EXCLUDE {here}",
    ]  # fmt: skip

    # Chromium reads commands from 3 and writes answers to 4.
    handed = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    with subprocess.Popen(
        ["bash", "-c", handed, "chromium", *words],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        opened = Page(ours_out, ours_in)
        try:
            yield opened
        finally:
            _ended(process)
            opened.close()


def _ended(process: subprocess.Popen[bytes]) -> None:
    """Ends the browser with all its processes."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
