"""Several sources to one row of messages: recordings one after another, live sources side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Condition, Thread

from msgspec import structs

from configs.errors import SourceError
from stream.changes import Add, Change, Pause, Remove, no_changes
from stream.messages import Begin, Cut, End, Frame, Message, Status
from stream.sources.mailbox import Mailbox
from stream.sources.source import Live, Source

_CUT_S = 1.0
_TICK_S = 0.1  # how soon a stop is noticed while no live source has a frame
_LEAVE_S = 1.0  # a reader that does not come back by then is left behind; it is a daemon


def in_turn(sources: Iterable[Source], stop: Callable[[], bool], cut_every: int = 0) -> Iterator[Message]:
    """Messages of sources that wait: Begin, each Frame, End of one, then of the next.

    One that cannot be opened gives an End alone, which says why. Once `stop()` is true no further one is opened.
    After every `cut_every`-th frame of a source comes a Cut; 0: never.
    """
    for source in sources:
        if stop():
            return
        try:
            yield from _messages(source, cut_every)
        finally:
            source.close()


def merged(
    sources: Sequence[Live],
    stop: Callable[[], bool],
    recordings: Sequence[Source] = (),
    changes: Callable[[], Iterable[Live | Change]] = no_changes,
) -> Iterator[Message]:
    """Messages of live sources as they come, round robin: each is read by a thread, of whose frames the newest counts.

    `Frame.dropped` says how many of its source were replaced since the one before; a Status comes when it changes.
    Recordings are read in turn by one more thread, which waits for its frames to be taken. Ends when all sources have
    ended; once `stop()` is true they are asked to, and who does not within a second is left behind.

    Args:
        sources: read from the start.
        stop: asked ten times a second and at each frame, as is `changes`.
        recordings: read in turn.
        changes: what has been asked for since its last call; a source comes in the place of its Add.
    """
    changed = Condition()
    readers: list[_Reader | _Row] = [_Reader(source, changed) for source in sources]
    readers += [_Row(recordings, changed)] if recordings else []
    try:
        for reader in readers:
            reader.start()
        while readers := [reader for reader in readers if not reader.ended]:
            for change in changes():
                _apply(change, readers, changed)
            for reader in readers:
                yield from reader.waiting()
            if stop():
                for reader in readers:
                    reader.stop()
            with changed:
                changed.wait_for(lambda: any(reader.ready for reader in readers), _TICK_S)
    finally:
        for reader in readers:
            reader.stop()
        for reader in readers:
            reader.join(_LEAVE_S)


def _apply(change: Live | Change, readers: list[_Reader | _Row], changed: Condition) -> None:
    """Let a new source be read, or one of those that are read be stopped, rest or go on."""
    if not isinstance(change, Change):
        reader = _Reader(change, changed)
        readers.append(reader)
        reader.start()
        return
    for each in readers:
        if isinstance(each, _Reader) and not isinstance(change, Add) and each.source == change.source:
            if isinstance(change, Remove):
                each.stop()
            else:
                each.pause(isinstance(change, Pause))


def _messages(source: Source, cut_every: int = 0) -> Iterator[Message]:
    try:
        begin = source.open()
        if begin is not None:
            yield begin
            for frame in source.read():
                yield frame
                if cut_every and (frame.index + 1) % cut_every == 0:
                    yield Cut(frame.source, frame.index + 1, {"decode": source.state()})
        yield source.end()
    except SourceError as error:
        yield source.end(str(error))


class _Reader(Thread):
    """A thread that reads one source into a mailbox."""

    def __init__(self, source: Live, changed: Condition) -> None:
        super().__init__(name="source", daemon=True)
        self._source = source
        self._mailbox: Mailbox[Frame] = Mailbox(changed)
        self._begin: Begin | None = None
        self._end: End | None = None
        self._error: BaseException | None = None
        self._told: Status | None = None
        self._cut_s = time.monotonic()
        self._stopped_s: float | None = None
        self._paused = False
        self.source = source.status.source
        """Its name."""
        self.ended = False
        """True once its End was given."""

    def run(self) -> None:
        try:
            for message in _messages(self._source):
                if self._stopped_s is not None and not isinstance(message, End):
                    end = self._source.end()
                    unread = isinstance(message, Frame)  # read when it was too late
                    self._end = structs.replace(end, frames=end.frames - unread, stopped=True, problem="")
                    break
                self._keep(message)
        except BaseException as error:
            self._error = error
        finally:
            self._source.close()
            self._mailbox.close()

    def stop(self) -> None:
        """Read no further."""
        self._stopped_s = self._stopped_s or time.monotonic()

    def pause(self, paused: bool) -> None:
        """Take no more frames, or take them again; what comes meanwhile is dropped."""
        with self._mailbox.changed:
            self._paused = paused
            if paused:
                self._mailbox.empty("paused")

    @property
    def ready(self) -> bool:
        """True if `waiting` has something to give, if only that it has ended."""
        return not self.ended and self._mailbox.ready

    def waiting(self) -> Iterator[Message]:
        """What has come since the last time: Begin, Status, the newest Frame, End; at most one of each.

        A thread that does not come back within a second after `stop` is left behind, with an End.

        Raises:
            Exception: what ended the thread, if it was no SourceError.
        """
        done = self._mailbox.done  # asked first: what is then found missing will not come
        taken = self._mailbox.take(0)
        if self._begin is not None:
            yield self._begin
            self._begin = None
        if (status := self._status()) != self._told:
            self._told = status
            yield status
        if taken is not None:
            frame, lost = taken
            yield structs.replace(frame, dropped=dict(sorted(lost.items())))
            yield from self._cut(frame)
        elif done:
            self.ended = True
            if self._error is not None:
                raise self._error
            if self._end is not None:
                yield self._counted(self._end)
        elif self._stopped_s is not None and time.monotonic() - self._stopped_s > _LEAVE_S:
            self.ended = True
            yield self._counted(structs.replace(self._source.end(), stopped=True))

    def _status(self) -> Status:
        status = self._source.status
        return Status(status.source, "paused") if self._paused and status.state != "failed" else status

    def _counted(self, end: End) -> End:
        """The End with the frames that lay in the mailbox and were not taken."""
        dropped = self._mailbox.dropped
        return structs.replace(end, frames=end.frames - sum(dropped.values()), lost=end.lost | dropped)

    def _cut(self, frame: Frame) -> Iterator[Cut]:
        """A cut each second, so that the stages behind can be restarted with what they remembered."""
        now_s = time.monotonic()
        if now_s - self._cut_s >= _CUT_S:
            self._cut_s = now_s
            yield Cut(frame.source, frame.index + 1)

    def _keep(self, message: Message) -> None:
        match message:
            case Begin():
                self._begin = message
            case Frame():
                with self._mailbox.changed:  # no frame slips in while a pause begins
                    before = message.dropped
                    self._mailbox.drop("paused", before) if self._paused else self._mailbox.put(message, before)
            case End():
                self._end = message


class _Row(Thread):
    """A thread that reads recordings in turn; each message waits until it is taken."""

    def __init__(self, sources: Sequence[Source], changed: Condition) -> None:
        super().__init__(name="recordings", daemon=True)
        self._sources, self._changed = sources, changed
        self._message: Message | None = None
        self._error: BaseException | None = None
        self._stopped = self._done = False
        self._stopped_s = 0.0
        self.ended = False
        """True once all of its messages were given."""

    def run(self) -> None:
        try:
            for message in in_turn(self._sources, lambda: self._stopped):
                with self._changed:
                    self._changed.wait_for(lambda: self._message is None or self._stopped)
                    if not self._changed.wait_for(lambda: self._message is None, _LEAVE_S):
                        return  # nobody takes any more
                    self._message = message
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def stop(self) -> None:
        """Read no further."""
        with self._changed:
            self._stopped_s = self._stopped_s or time.monotonic()
            self._stopped = True
            self._changed.notify_all()

    @property
    def ready(self) -> bool:
        """True if `waiting` has something to give, if only that it has ended."""
        return not self.ended and (self._message is not None or self._done)

    def waiting(self) -> Iterator[Message]:
        """The message that waits, if one does; a thread that does not come back after `stop` is left behind.

        Raises:
            Exception: what ended the thread.
        """
        with self._changed:
            message, self._message = self._message, None
            late = self._stopped and time.monotonic() - self._stopped_s > _LEAVE_S
            self.ended = message is None and (self._done or late)
            self._changed.notify_all()
        if self.ended and self._error is not None:
            raise self._error
        if message is not None:
            yield message
