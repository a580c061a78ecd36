"""The sink that shows the annotated video in a window."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from configs.errors import ConfigError
from stream.messages import Begin, End, Message, Status, Tracks
from stream.sinks.side_process import Said, SideProcess
from stream.stage import Stage

PROCESS = "stream.sinks.window_process"
_HINT = "--web 127.0.0.1:8080 shows the same in a browser"
_PROBE_S = 20.0


class Show(Stage):
    """Tracks with drawn pictures in and on, the newest of each source shown in a window.

    The window is a process of its own: however slow the screen is, the pipeline does not wait. The run ends when the
    user closes the window or asks for that by a key; it goes on when the display is lost.
    """

    def __init__(self) -> None:
        self._window = SideProcess(PROCESS, b"", self._hear)
        self.notes: list[str] = []
        self._ends_run = self._is_lost = False

    @property
    def ends_run(self) -> bool:  # type: ignore[override]
        """True once the user has asked for it."""
        return self._ends_run

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Tracks():
                self._window.offer(message.frame)
            case Begin() | Status() | End():
                self._window.tell(message)
        if self._window.is_gone and not self._ends_run and not self._is_lost:
            self._is_lost = True
            self.notes.append("the window is lost, as if the display were gone; the run goes on")
        yield message

    def close(self) -> None:
        self._window.end()
        self._window.join()

    def _hear(self, said: Said) -> None:
        if said.note:
            self.notes.append(said.note)
        self._ends_run = self._ends_run or said.quit


def check_window() -> None:
    """Find out early that there is no display.

    Raises:
        ConfigError: no window can be opened; the line names the browser's page.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError(f"--show: there is no display; {_HINT}")
    command = [sys.executable, "-P", "-m", PROCESS, "--probe"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=_PROBE_S
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"--show: the display does not answer; {_HINT}") from None
    if done.returncode:
        bare = "not implemented" in done.stderr  # what OpenCV says that was built without windows
        why = "OpenCV was installed without windows (opencv-python has them)" if bare else "the display cannot be used"
        raise ConfigError(f"--show: {why}; {_HINT}")
