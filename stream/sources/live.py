"""A live source: a camera, a stream or a pipe that is opened, read and, when it breaks, connected anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Literal

from configs.errors import SourceError
from configs.sources import DecodeSettings, LiveSettings
from stream.messages import Begin, End, Frame, Pixels, SourceSpec, Status
from stream.position import Place, from_state, to_state
from stream.sources.connection import Connection, Disconnected, Opener, Taken
from stream.sources.livetime import LiveClock, Pace
from stream.sources.openers import opener_of
from stream.sources.picture import orientation, pixel_aspect, upright_rgb
from stream.sources.retry import Retry
from stream.sources.tone import ToneMap

_DEGRADED_NS = 5 * 10**9  # for so long after a damaged frame
_FIRST_PICTURE = 4  # times read_timeout_s: a key frame may be long in coming


class Unreachable(SourceError):
    """A live source that was given up, but may come back."""


class LiveSource:
    """A camera, a stream or a pipe.

    End of file, an error, silence: whatever ends a connection, the next one is made, and a new epoch begins. The
    standard input and recordings on a server end when they end. `Frame.index` counts the pictures that the source
    offered; those that could not be decoded, were left out, or nobody had time for, are gaps.
    """

    live = True

    def __init__(
        self,
        spec: SourceSpec,
        settings: DecodeSettings,
        live: LiveSettings,
        stop: Callable[[], bool],
        opener: Opener | None = None,
    ) -> None:
        """Not connected yet.

        Args:
            spec: what to read; its state, if there is one, is continued with the next epoch.
            settings: limits, assumed frame rate.
            live: time limits, attempts.
            stop: asked ten times a second and at each frame, from the thread that reads.
            opener: connects; None: as the spec says.
        """
        self._spec, self._settings, self._live, self._stop = spec, settings, live, stop
        self._opener = opener
        self._retry = Retry(live)
        state = spec.states.get("decode")
        last = from_state(state) if state else Place(-1, -1)
        self._index = self._from = last.index + 1
        self._worked = bool(state)
        self._clock = LiveClock(last.epoch)
        self._frames: Iterator[Frame] = iter(())
        self._first: Frame | None = None
        self._tones = ToneMap()
        self._fps = settings.assumed_fps
        self._given = self._damaged = self._skipped = 0
        self._skipping = self._stopped = False
        self._degraded_until_ns = 0
        self.status = Status(spec.name, "starting")
        """How it is, at any moment."""

    def open(self) -> Begin | None:
        """As `Source.open`; it waits for a source that cannot be reached, unless `reconnect_limit` says otherwise.

        Raises:
            Unreachable: it was tried in vain as often as is allowed.
            SourceError: user, password, path or device are wrong, or it is no video.
            RefusedError: others may read the credentials file.
            ConfigError: the credentials file cannot be read.
        """
        self._opener = self._opener or opener_of(self._spec, self._live, self._settings.frame_pixels_max)
        self._frames = self._read(self._opener)
        self._first = next(self._frames, None)
        if self._first is None:
            if self._stopped:
                return None
            raise self._failed("ended before its first frame")
        first = self._first
        return Begin(self._spec, first.width, first.height, self._fps, live=True, pixel_aspect=first.pixel_aspect)

    def read(self) -> Iterator[Frame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
            yield from self._frames

    def end(self, problem: str = "") -> End:
        if problem:
            self._tell("failed", problem.removeprefix(f"{self._spec.label}: "))
        lost = self._index - self._from - self._given
        lost_by = {"damaged": lost} if lost else {}
        return End(self._spec.name, self._given, self._damaged, self._stopped, problem, lost=lost_by, before=self._from)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if isinstance(self._frames, Generator):
            self._frames.close()

    def state(self) -> bytes:
        """What `SourceSpec.states["decode"]` takes to go on after a restart: the next index, the epoch."""
        return to_state(Place(self._index - 1, self._clock.epoch))

    def _read(self, opener: Opener) -> Iterator[Frame]:
        """Frames of one connection after another."""
        while not self._stop():
            connection = Connection(opener, self._settings.frame_pixels_max, self._live.connect_timeout_s)
            connection.start()
            try:
                yield from self._frames_of(connection)
            except Disconnected as gone:
                lost = gone
            else:
                break
            finally:
                connection.close()
            if self._has_ended(connection, lost):
                return
            self._wait(lost)
        self._stopped = True

    def _frames_of(self, connection: Connection) -> Iterator[Frame]:
        """Frames of one connection, until it breaks or reading is to stop."""
        pace = Pace()
        self._skipping = False
        begun = False
        waiting_s = time.monotonic()
        while not self._stop():
            taken = connection.take()
            if taken is None:
                self._check_silence(connection, waiting_s, begun)
                continue
            if not begun:
                begun = True
                self._begin(connection)
            frame = self._frame(taken, connection)
            if frame is not None and connection.kind.in_bursts:
                pace.wait(frame, self._stop)
            if frame is not None:
                self._worked = True
                self._retry.reset()
                self._tell_health(frame)
                yield frame
            waiting_s = time.monotonic()

    def _begin(self, connection: Connection) -> None:
        self._fps = connection.kind.fps or self._settings.assumed_fps
        self._clock.begin()

    def _frame(self, taken: Taken, connection: Connection) -> Frame | None:
        """The next frame; None if it is left out."""
        picture, index = taken.picture, self._index + taken.lost
        self._index = index + 1
        self._damaged += taken.lost + picture.is_corrupt
        self._skipped += taken.lost
        if self._live.skip_damaged:
            broken = bool(taken.lost or picture.is_corrupt)
            self._skipping = picture.is_corrupt or ((broken or self._skipping) and not picture.key_frame)
            if self._skipping:
                self._skipped += 1
                return None
        way, kind = orientation(picture), connection.kind
        pts = picture.pts if kind.has_clock else None
        shape = (picture.width, picture.height, *way, kind.codec)
        pts_ns, flags = self._clock.time(pts, taken.time_base, shape, taken.captured_ns)
        array = upright_rgb(picture, way, self._tones)
        skipped, self._skipped = self._skipped, 0
        self._given += 1
        return Frame(
            source=self._spec.name,
            epoch=self._clock.epoch,
            index=index,
            pts_ns=pts_ns,
            captured_ns=taken.captured_ns,
            wall_ns=taken.wall_ns,
            width=array.shape[1],
            height=array.shape[0],
            pixels=Pixels(array),
            flags=(*flags, "damaged") if picture.is_corrupt else flags,
            dropped={"damaged": skipped} if skipped else {},
            pixel_aspect=pixel_aspect(kind.aspect, way),
        )

    def _check_silence(self, connection: Connection, waiting_s: float, begun: bool) -> None:
        """Notice that nothing comes.

        Raises:
            Disconnected: for too long.
        """
        now_s, limit_s = time.monotonic(), self._live.read_timeout_s
        heard_s = connection.heard_s
        if self._spec.kind == "pipe":  # closing it would end its writer
            if heard_s is not None and now_s - waiting_s > limit_s:
                self._tell("degraded", f"no frame for {limit_s:g} s")
        elif heard_s is None:
            if now_s - waiting_s > self._live.connect_timeout_s + 0.5:
                raise Disconnected("no answer")
        elif begun and now_s - waiting_s > limit_s:
            raise Disconnected(f"no frame for {limit_s:g} s")
        elif now_s - heard_s > limit_s or now_s - waiting_s > _FIRST_PICTURE * limit_s:
            raise Disconnected("connected, but no picture comes")

    def _has_ended(self, connection: Connection, gone: Disconnected) -> bool:
        """Whether there is nothing to connect anew."""
        opened = connection.heard_s is not None
        return opened and (self._spec.uri == "-" or connection.kind.recorded) and not gone.lasting

    def _wait(self, gone: Disconnected) -> None:
        """Wait before the next attempt.

        Raises:
            SourceError: there will be none.
        """
        if (gone.lasting and not self._worked) or self._spec.uri == "-":
            raise self._failed(str(gone))
        wait_s = self._retry.next_s(gone.denied)
        if wait_s is None:
            raise self._failed(f"{gone}; given up after {self._retry.attempts} attempts", Unreachable)
        self._tell("reconnecting", f"{gone}; attempt {self._retry.attempts}")
        until_s = time.monotonic() + wait_s
        while (rest_s := until_s - time.monotonic()) > 0 and not self._stop():
            time.sleep(min(rest_s, 0.05))

    def _failed(self, why: str, kind: type[SourceError] = SourceError) -> SourceError:
        return kind(f"{self._spec.label}: {why}")

    def _tell_health(self, frame: Frame) -> None:
        if "damaged" in frame.flags or frame.dropped:
            self._degraded_until_ns = frame.captured_ns + _DEGRADED_NS
        if frame.captured_ns < self._degraded_until_ns:
            self._tell("degraded", "damaged frames")
        else:
            self._tell("ok")

    def _tell(self, state: Literal["starting", "ok", "degraded", "reconnecting", "failed"], reason: str = "") -> None:
        if (state, reason) != (self.status.state, self.status.reason):
            self.status = Status(self._spec.name, state, reason)
