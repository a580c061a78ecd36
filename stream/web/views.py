"""The newest frame of a source, for whoever looks at it: nothing is copied, made or encoded for nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from threading import Lock

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from stream.draw import jpeg_of, scaled
from stream.messages import Drop, Pixels, Tracks
from stream.records import Record, Recorder
from stream.square import square_size

_JPEG_QUALITY = 82
_RECORDS_MAX = 64  # that wait for one reader; one that is slower loses the oldest

Draw = Callable[[Tracks], NDArray[np.uint8]]
"""The (H, W, 3) picture of tracks with its people drawn on it."""


class Shot:
    """One frame for all who asked for it. Its bytes are made once, when the first of them wants them."""

    def __init__(self, record: Record, tracks: Tracks | None, draw: Draw, encoders: Executor) -> None:
        """Of a record and, if somebody wants its picture, tracks with a picture of their own."""
        self.record = msgspec.json.encode(record)
        """As in keypoints.jsonl."""
        self._tracks, self._draw, self._encoders = tracks, draw, encoders
        self._made: dict[bool, asyncio.Future[bytes]] = {}

    async def jpeg(self, overlay: bool) -> bytes:
        """The picture as a JPEG, its people drawn on it or not."""
        if overlay not in self._made:
            loop = asyncio.get_running_loop()
            self._made[overlay] = loop.run_in_executor(self._encoders, self._encoded, overlay)
        return await asyncio.shield(self._made[overlay])  # who leaves must not take it from the others

    def _encoded(self, overlay: bool) -> bytes:
        assert self._tracks is not None
        picture = self._draw(self._tracks) if overlay else self._tracks.frame.picture
        return jpeg_of(picture, _JPEG_QUALITY)


@dataclass(eq=False)
class _Waiter:
    picture: bool
    shot: asyncio.Future[Shot | None]


class View:
    """Who looks at one source. `show`, `drop` and `close` are the stage's, the rest is the event loop's."""

    def __init__(self, live: bool, width_px_max: int, draw: Draw, encoders: Executor) -> None:
        self._live, self._width_px_max, self._draw, self._encoders = live, width_px_max, draw, encoders
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: list[_Waiter] = []
        self._readers: list[Reader] = []
        self._watchers: list[asyncio.Future[None]] = []
        self._recorder: Recorder | None = None
        self._closed = False

    def show(self, tracks: Tracks) -> None:
        """The source's next frame."""
        if not self._waiters and not self._readers:
            self._recorder = None  # what was lost before somebody looked is told to nobody
            return
        with self._lock:
            waiters, self._waiters = self._waiters, []
            readers = list(self._readers)
        self._recorder = self._recorder or Recorder(self._live)
        record = self._recorder.record(tracks)
        mine = self._copied(tracks) if any(waiter.picture for waiter in waiters) else None
        self._call(lambda: _hand_out(Shot(record, mine, self._draw, self._encoders), waiters, readers))

    def drop(self, drop: Drop) -> None:
        """A frame that a stage gave up."""
        if self._recorder:
            self._recorder.drop(drop)

    def close(self) -> None:
        """Nothing more comes: who waits gets None."""
        with self._lock:
            self._closed = True
            waiters, self._waiters = self._waiters, []
            readers, self._readers = self._readers, []
            watchers, self._watchers = self._watchers, []
        self._call(lambda: _hand_out(None, waiters, readers))
        self._call(lambda: _wake(watchers))

    async def next(self, picture: bool) -> Shot | None:
        """The first frame that comes from now on; None: the source has ended.

        Args:
            picture: its picture is wanted too.
        """
        waiter = _Waiter(picture, asyncio.get_running_loop().create_future())
        with self._lock:
            if self._closed:
                return None
            self._loop = asyncio.get_running_loop()
            self._waiters.append(waiter)
        try:
            return await waiter.shot
        finally:
            with self._lock:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    async def over(self) -> None:
        """Wait until the source has ended."""
        watcher = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._closed:
                return
            self._loop = asyncio.get_running_loop()
            self._watchers.append(watcher)
        try:
            await watcher
        finally:
            with self._lock:
                if watcher in self._watchers:
                    self._watchers.remove(watcher)

    def reader(self) -> Reader:
        """Somebody who wants every record from now on; to be given back to `leave`."""
        reader = Reader()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._closed:
                reader.put(None)
            else:
                self._readers.append(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Take a reader from the list."""
        with self._lock:
            if reader in self._readers:
                self._readers.remove(reader)

    def _call(self, what: Callable[[], None]) -> None:
        """Let the event loop do it; nobody ever looked: there is nothing to be done."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    def _copied(self, tracks: Tracks) -> Tracks:
        """The tracks with a copy of their picture, square pixels and narrow enough, and coordinates that fit."""
        frame, others = tracks.frame, tracks.others
        width, height = square_size(frame.width, frame.height, frame.pixel_aspect)
        width, height = _fitted(width, height, self._width_px_max)
        x, y = width / frame.width, height / frame.height
        fitted = structs.replace(
            frame, width=width, height=height, pixel_aspect=(1, 1), pixels=Pixels(scaled(frame.picture, width, height))
        )
        return structs.replace(
            tracks,
            frame=fitted,
            people=tracks.people.scaled(x, y),
            smooth=tracks.smooth * np.array([x, y], np.float32),
            others=None if others is None else others.scaled(x, y),
        )


class Reader:
    """The records that wait for one who reads them all."""

    def __init__(self) -> None:
        self._waiting: deque[bytes | None] = deque(maxlen=_RECORDS_MAX)
        self._some = asyncio.Event()

    def put(self, record: bytes | None) -> None:
        """One more; None: the last. Where too many wait the oldest is lost, and its index is missing."""
        self._waiting.append(record)
        self._some.set()

    async def get(self) -> bytes | None:
        """The oldest record; None: there will be no more."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        return self._waiting.popleft()


def _hand_out(shot: Shot | None, waiters: Iterable[_Waiter], readers: Iterable[Reader]) -> None:
    for waiter in waiters:
        if not waiter.shot.done():
            waiter.shot.set_result(shot)
    for reader in readers:
        reader.put(None if shot is None else shot.record)


def _wake(watchers: Iterable[asyncio.Future[None]]) -> None:
    for watcher in watchers:
        if not watcher.done():
            watcher.set_result(None)


def _fitted(width: int, height: int, width_max: int) -> tuple[int, int]:
    return (width, height) if width <= width_max else (width_max, max(1, round(height * width_max / width)))
