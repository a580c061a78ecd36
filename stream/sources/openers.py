"""How each kind of live source is connected to."""

from __future__ import annotations

import socket
from collections.abc import Callable

from av.container import InputContainer

from configs.sources import LiveSettings
from stream.messages import SourceSpec
from stream.sources.camera import open_camera
from stream.sources.connection import Disconnected, Opener
from stream.sources.credentials import with_credentials
from stream.sources.network import open_network
from stream.sources.pipe import open_pipe
from stream.sources.url import Url


def opener_of(spec: SourceSpec, live: LiveSettings, pixels_max: int) -> Opener:
    """What connects to a camera, a stream or a pipe.

    Raises:
        SourceError: its address is none that is read.
        RefusedError: others may read the credentials file.
        ConfigError: the credentials file cannot be read.
    """
    if spec.kind == "camera":
        return lambda _: open_camera(spec.path, pixels_max)
    if spec.kind == "pipe":
        return lambda given_up: open_pipe(spec.path, pixels_max, given_up)
    url = with_credentials(Url(spec.uri), live.credentials)

    def connect(_: Callable[[], bool]) -> InputContainer:
        _check_host(url.host)
        return open_network(url, live, pixels_max)

    return connect


def _check_host(host: str) -> None:
    """Look the host up, for FFmpeg does not say that there is none.

    Raises:
        Disconnected: there is none, or it cannot be told now.
    """
    lasting = True
    try:
        socket.getaddrinfo(host, None)
        return
    except socket.gaierror as error:
        lasting = error.errno == socket.EAI_NONAME  # any other may be over in a moment
    except UnicodeError:
        pass
    raise Disconnected(f"no host is called {host}" if lasting else f"{host} cannot be looked up", lasting)
