"""What can be asked of the server: the page and its parts, pictures, records, figures."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from engines.ops.skeleton import Skeleton
from stream.web.board import Board
from stream.web.guard import Receive, Scope, Send
from stream.web.metrics import metrics_of
from stream.web.views import View

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "card.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "people.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_LOOKING_MAX = 64  # who has a picture or a socket open; those that are more are answered with 503
_SILENT_S_MAX = 10.0
_BOUNDARY = "posestream-frame"


class Pages:
    """An ASGI application over what a board and views know."""

    def __init__(self, board: Board, views: Mapping[str, View], skeleton: Skeleton, kpt_thr: float) -> None:
        """Read the page's files.

        Args:
            board: figures.
            views: source -> who looks at it; it changes while the run goes on.
            skeleton: of all people.
            kpt_thr: keypoints of lower confidence are not drawn.
        """
        self._board, self._views = board, views
        self._setup = {"names": skeleton.names, "limbs": skeleton.limbs, "kpt_thr": kpt_thr}
        self._looking = 0
        folder = Path(__file__).parent / "static"
        files = {f"/{name}": ((folder / name).read_bytes(), kind) for name, kind in _FILES.items()}
        files["/"] = files.pop("/index.html")
        gets: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/stream/{source:path}.mjpg": self._stream,
            "/api/setup": self._api_setup,
            "/api/sources": self._api_sources,
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }
        self._app = Starlette(
            routes=[
                *(Route(path, _file(*file), methods=["GET"]) for path, file in files.items()),
                *(Route(path, answer, methods=["GET"]) for path, answer in gets.items()),
                WebSocketRoute("/api/view", self._view),
                WebSocketRoute("/api/keypoints", self._keypoints),
            ]
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def _api_setup(self, request: Request) -> Response:
        return _json({**self._setup, "history": self._board.history()})

    async def _api_sources(self, request: Request) -> Response:
        run = msgspec.structs.asdict(self._board.run)
        return _json({**run, "looking": self._looking, "sources": self._board.sources()})

    async def _metrics(self, request: Request) -> Response:
        text, kind = metrics_of(self._board, self._looking)
        return Response(text, headers={"content-type": kind})

    async def _healthz(self, request: Request) -> Response:
        silent_s = self._board.silent_s()
        if silent_s > _SILENT_S_MAX:
            return PlainTextResponse(f"the supervisor has said nothing for {silent_s:.0f} s\n", 503)
        return PlainTextResponse("ok\n")

    async def _readyz(self, request: Request) -> Response:
        run = self._board.run
        loading = [group for group, state in run.groups.items() if state != "ready"]
        if loading or not run.groups:
            return PlainTextResponse(f"not ready: {', '.join(loading) or 'nothing has started'}\n", 503)
        if all(source.state in ("starting", "reconnecting", "failed") for source in run.sources):
            return PlainTextResponse("no source gives frames\n", 503)
        return PlainTextResponse("ready\n")

    async def _stream(self, request: Request) -> Response:
        view = self._views.get(request.path_params["source"])
        if view is None:
            return PlainTextResponse("no such source is open\n", 404)
        if self._looking >= _LOOKING_MAX:
            return PlainTextResponse("too many look already\n", 503)
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        return StreamingResponse(self._pictures(view), headers={"content-type": kind})

    async def _pictures(self, view: View) -> AsyncIterator[bytes]:
        self._looking += 1
        try:
            while shot := await view.next(picture=True):
                jpeg = await shot.jpeg(overlay=True)
                yield _part(jpeg)
        finally:
            self._looking -= 1

    async def _view(self, socket: WebSocket) -> None:
        """A frame for each "picture" or "record" that the browser sends: its JSON's length, JSON and, or not, JPEG."""
        asked = asyncio.Queue[str](2)

        async def work(view: View) -> None:
            while shot := await view.next(picture := await asked.get() == "picture"):
                jpeg = await shot.jpeg(overlay=False) if picture else b""
                await socket.send_bytes(struct.pack(">I", len(shot.record)) + shot.record + jpeg)

        await self._serve(socket, [work, View.over], asked.put)  # over: of one that asks for nothing

    async def _keypoints(self, socket: WebSocket) -> None:
        """Every record of a source as JSON."""

        async def work(view: View) -> None:
            reader = view.reader()
            try:
                while record := await reader.get():
                    await socket.send_text(record.decode())
            finally:
                view.leave(reader)

        await self._serve(socket, [work], _ignore)

    async def _serve(
        self,
        socket: WebSocket,
        work: Sequence[Callable[[View], Coroutine[Any, Any, None]]],
        take: Callable[[str], Awaitable[None]],
    ) -> None:
        """Do a socket's work until some of it is done or the browser has left; take what the browser says meanwhile."""
        view = self._views.get(socket.query_params.get("source", ""))
        if view is None or self._looking >= _LOOKING_MAX:
            text, status = ("no such source is open\n", 404) if view is None else ("too many look already\n", 503)
            await socket.send_denial_response(PlainTextResponse(text, status))
            return
        await socket.accept()
        self._looking += 1
        listens = asyncio.ensure_future(_listen(socket, take))
        tasks = [listens, *(asyncio.ensure_future(each(view)) for each in work)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not listens.done():
                with suppress(WebSocketDisconnect, RuntimeError):  # it left meanwhile
                    await socket.close()
        finally:
            self._looking -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(socket: WebSocket, take: Callable[[str], Awaitable[None]]) -> None:
    async for text in socket.iter_text():
        await take(text)


async def _ignore(text: str) -> None:
    pass


def _file(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(content, headers={"content-type": kind})

    return answer


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), headers={"content-type": "application/json"})


def _part(jpeg: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"
