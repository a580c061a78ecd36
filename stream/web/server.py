"""The web server, in a thread of its own."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from stream.web.address import Token, WebAddress, bound
from stream.web.guard import App, Guard

_CONNECTIONS_MAX = 256  # those that are more are answered with 503
_HEAD_BYTES_MAX = 16_384
_MESSAGE_BYTES_MAX = 256  # a browser says but "picture" and "record"
_IDLE_S = 5.0  # a connection that asks nothing, or does not come to the end of its question
_PING_S = 20.0
_CLOSE_S = 2


class Server:
    """Serves an application at an address until it is closed."""

    def __init__(self, address: WebAddress, token: Token | None, app: App) -> None:
        """Listen, and start the thread.

        Raises:
            OutputError: the address cannot be had.
        """
        self._socket = bound(address)
        config = uvicorn.Config(
            Guard(app, address, token),
            http=_Protocol,
            ws="websockets-sansio",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="critical",  # who asks wrongly must not fill the log of the run
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS_MAX,
            h11_max_incomplete_event_size=_HEAD_BYTES_MAX,
            timeout_keep_alive=int(_IDLE_S),
            timeout_graceful_shutdown=_CLOSE_S,
            ws_max_size=_MESSAGE_BYTES_MAX,
            ws_ping_interval=_PING_S,
            ws_ping_timeout=_PING_S,
            ws_per_message_deflate=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._serve, name="web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nothing more; what is under way has two seconds."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._socket]))


class _Protocol(H11Protocol):
    """HTTP that waits for a whole question only so long: one that drips must not hold its connection."""

    _question: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._question is None:
            self._question = self.loop.call_later(_IDLE_S, self.transport.close)

    def _stop(self) -> None:
        if self._question is not None:
            self._question.cancel()
            self._question = None
