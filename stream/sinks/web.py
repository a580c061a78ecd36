"""The sink that shows a run in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from configs.outlets import WebSettings
from configs.video import RenderSettings
from engines.ops.skeleton import Skeleton
from stream.figures import RunFigures
from stream.messages import Begin, Drop, End, Message, Status, Tracks
from stream.render import Render
from stream.stage import Stage
from stream.web.address import token_of, web_address
from stream.web.board import Board
from stream.web.pages import Pages
from stream.web.server import Server
from stream.web.views import Draw, View


class Web(Stage):
    """Tracks and drops in and on; who looks at the page gets pictures and records of them, and nobody waits for that.

    Raises:
        ConfigError: the address cannot be used.
        OutputError: it cannot be had.
        RefusedError: other machines reach it, and there is no token.
    """

    wants_figures = True

    def __init__(self, settings: WebSettings, render: RenderSettings, skeleton: Skeleton) -> None:
        address = web_address(settings)
        self._settings, self._render, self._skeleton = settings, render, skeleton
        self._board, self._views = Board(), dict[str, View]()
        # One thread: however many look, the page costs no more than one core.
        self._encoders = ThreadPoolExecutor(1, "web-encoder")
        pages = Pages(self._board, self._views, skeleton, render.kpt_thr)
        self._server = Server(address, token_of(address), pages)
        self.notes = [f"the run can be seen at {address.url}"]

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Status():
                self._board.status(message)
                self._view(message.source, live=True)
            case Begin():
                self._board.begin(message)
                self._view(message.spec.name, message.live)
            case Tracks():
                self._board.track(message)
                self._views[message.frame.source].show(message)
            case Drop():
                self._board.drop(message)
                self._views[message.frame.source].drop(message)
            case End():
                self._board.end(message.source)
                if message.source in self._views:  # else it was never opened
                    self._views.pop(message.source).close()
        yield message

    def figures(self, figures: RunFigures) -> None:
        self._board.take(figures)

    def close(self) -> None:
        for view in self._views.values():
            view.close()
        self._server.close()
        self._encoders.shutdown(cancel_futures=True)

    def _view(self, source: str, live: bool) -> None:
        if source not in self._views:
            draw = _drawing(self._render, self._skeleton)
            self._views[source] = View(live, self._settings.width_px_max, draw, self._encoders)


def _drawing(settings: RenderSettings, skeleton: Skeleton) -> Draw:
    """What draws a source's people as its overlay video has them; the page has its own size and line of figures."""
    render = Render(settings.model_copy(update={"hud": False, "side_by_side": False, "scale": None}), skeleton)

    def draw(tracks: Tracks) -> NDArray[np.uint8]:
        (drawn,) = render.process(tracks)
        assert isinstance(drawn, Tracks)
        return drawn.frame.picture

    return draw
