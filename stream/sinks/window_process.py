"""The process of the window, and all of OpenCV's highgui that is used: `python -m stream.sinks.window_process`.

Its own process, for windows want the main thread, and Qt ends its process when the display is gone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from configs.errors import OutputError
from stream.draw import Canvas, png_of, resized
from stream.sinks.output import finish, part_of, writing
from stream.sinks.side_process import Parent, Said
from stream.sinks.view import HELP, Action, View

_TITLE = "posestream"
_TICK_S = 0.01
PROBE = "--probe"
"""Argument that asks whether a window can be opened: exit code 0."""


def composed(view: View, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) RGB: what the window shows."""
    canvas = Canvas(np.zeros((height, width, 3), np.uint8))
    for tile in view.tiles(width, height):
        picture = view.picture(tile.source)
        if picture is not None:
            part = canvas.picture[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
            part[:] = resized(picture, tile.width, tile.height)
        if caption := view.caption(tile.source):
            canvas.caption(caption, tile.left, tile.top)
    if view.help:
        canvas.panel(HELP)
    return canvas.picture


def save(view: View, shown: NDArray[np.uint8]) -> str:
    """Save a PNG into the output folder of the source that is shown, of several the first; a line that says where.

    A single source's picture is saved as large as it is, several as they are shown.
    """
    names = view.visible
    if not names:
        return "there is nothing to save yet"
    picture = view.picture(names[0]) if len(names) == 1 else None
    path = Path(view.sources[names[0]].folder) / view.saved_name()
    try:
        with writing(path):
            part_of(path).write_bytes(png_of(shown if picture is None else picture))
        finish(path)
    except OutputError as error:
        return str(error)
    return f"saved {path}"


class Window:
    """A window on the screen."""

    def __init__(self, parent: Parent) -> None:
        self._parent, self._view = parent, View()
        self._picture: NDArray[np.uint8] | None = None
        self._size = (0, 0)

    def run(self) -> None:
        """Show what comes until nothing does, or the user has closed the window."""
        self._parent.ask()
        while True:
            changed = False
            if self._parent.has_come(_TICK_S):
                message = self._parent.take()
                if message is None:
                    return
                self._view.take(message)
                self._parent.ask()
                changed = True
            if self._view.sources and not self._step(changed):
                self._parent.say(Said(quit=True))
                return

    def _step(self, changed: bool) -> bool:
        """Show, and do what a key asks for; False: the window is to be closed."""
        if self._picture is None:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL)
            cv2.resizeWindow(_TITLE, *self._view.first_size())
            self._show(self._view.first_size())
        elif cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return False
        key = cv2.waitKey(1)
        action = self._view.press(key)
        _, _, width, height = cv2.getWindowImageRect(_TITLE)
        size = max(width, 1), max(height, 1)
        if changed or key >= 0 or size != self._size:
            self._show(size)
        if action is Action.SAVE and self._picture is not None:
            self._parent.say(Said(note=save(self._view, self._picture)))
        return action is not Action.QUIT

    def _show(self, size: tuple[int, int]) -> None:
        self._size, self._picture = size, composed(self._view, *size)
        cv2.imshow(_TITLE, self._picture[..., ::-1])


def main() -> None:
    """Show what the stage hands over; with `--probe` only open a window and close it."""
    if sys.argv[1:] == [PROBE]:
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL)
        cv2.destroyAllWindows()
        return
    Window(Parent()).run()


if __name__ == "__main__":
    main()
