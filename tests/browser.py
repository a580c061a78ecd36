"""A headless Chromium for tests of the page, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest
from websockets.sync.client import ClientConnection, connect

WAIT_S = 30.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


class Tab:
    """One page in the browser; what it logs, and what its Content-Security-Policy forbids, is kept."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> Any:
        """The result of a command."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(WAIT_S))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def value(self, script: str) -> Any:
        """The value of an expression of JavaScript, awaited."""
        got = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    def until(self, script: str) -> Any:
        """The expression's value as soon as it is true."""
        end_s = time.monotonic() + WAIT_S
        while not (value := self.value(script)):
            assert time.monotonic() < end_s, f"{script} has not come true: {self.complaints()}"
            self.value("new Promise(done => setTimeout(done, 50))")
        return value

    def size(self, width: int, height: int, scheme: str = "light") -> None:
        """Set the viewport's size in CSS pixels and the preferred colours."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        """Go to a page; returns before all of it is there."""
        self.ask("Page.navigate", url=url)

    def picture(self) -> bytes:
        """A PNG of what is to be seen."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def complaints(self) -> list[str]:
        """What the browser had to say against the page: errors, exceptions, violations of its policy."""
        self.value("0")  # takes in what has come meanwhile
        said = [event["params"]["entry"] for event in self.events if event.get("method") == "Log.entryAdded"]
        thrown = [event["params"] for event in self.events if event.get("method") == "Runtime.exceptionThrown"]
        return [entry["text"] for entry in said if entry["level"] in ("error", "warning")] + [
            str(each) for each in thrown
        ]


@contextmanager
def chromium(folder: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, whose profile lies in `folder`."""
    assert CHROMIUM is not None
    arguments = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-port=0",
        f"--user-data-dir={folder}", "about:blank",
    ]  # fmt: skip
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        with connect(_address(folder, process), max_size=None) as socket:
            yield Tab(socket)
    finally:
        if process.poll() is None:
            helpers = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            for each in helpers:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            psutil.wait_procs(helpers)


def _address(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """Address of the first tab's DevTools socket."""
    file, end_s = folder / "DevToolsActivePort", time.monotonic() + WAIT_S
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, "Chromium has left"
        assert time.monotonic() < end_s, "Chromium has not started"
        time.sleep(0.02)
    port = file.read_text().split("\n")[0]
    with urlopen(Request(f"http://127.0.0.1:{port}/json/list"), timeout=WAIT_S) as answer:
        (tab,) = [each for each in json.load(answer) if each["type"] == "page"]
    return str(tab["webSocketDebuggerUrl"])
