"""Several sources to one row of messages: recordings one after another, live sources side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Condition, Thread

from msgspec import structs

from configs.errors import SourceError
from stream.messages import Begin, Cut, End, Frame, Message
from stream.sources.mailbox import Mailbox
from stream.sources.source import Source

_TICK_S = 0.1  # how soon a stop is noticed while no live source has a frame
_LEAVE_S = 5.0  # a reader that does not come back by then is left behind; it is a daemon


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


def merged(sources: Sequence[Source], stop: Callable[[], bool]) -> Iterator[Message]:
    """Messages of live sources as they come, round robin: each is read by a thread, of whose frames the newest counts.

    `Frame.dropped` says how many of its source were replaced since the one before. Ends when all sources have ended;
    once `stop()` is true they are asked to.
    """
    changed = Condition()
    readers = [_Reader(source, changed) for source in sources]
    try:
        for reader in readers:
            reader.start()
        while waited_for := [reader for reader in readers if not reader.ended]:
            for reader in waited_for:
                yield from reader.waiting()
            if stop():
                for reader in waited_for:
                    reader.stop()
            with changed:
                changed.wait_for(lambda: any(reader.ready for reader in readers), _TICK_S)
    finally:
        for reader in readers:
            reader.stop()
        for reader in readers:
            reader.join(_LEAVE_S)


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

    def __init__(self, source: Source, changed: Condition) -> None:
        super().__init__(name="source", daemon=True)
        self._source = source
        self._mailbox: Mailbox[Frame] = Mailbox(changed)
        self._begin: Begin | None = None
        self._end: End | None = None
        self._error: BaseException | None = None
        self._stopped = False
        self.ended = False
        """True once its End was given."""

    def run(self) -> None:
        try:
            for message in _messages(self._source):
                if self._stopped and not isinstance(message, End):
                    self._end = structs.replace(self._source.end(), stopped=True)
                    break
                self._keep(message)
        except BaseException as error:
            self._error = error
        finally:
            self._source.close()
            self._mailbox.close()

    def stop(self) -> None:
        """Read no further."""
        self._stopped = True

    @property
    def ready(self) -> bool:
        """True if `waiting` has something to give, if only that it has ended."""
        return not self.ended and self._mailbox.ready

    def waiting(self) -> Iterator[Message]:
        """What has come since the last time: Begin, the newest Frame, End; at most one of each.

        Raises:
            Exception: what ended the thread, if it was no SourceError.
        """
        done = self._mailbox.done  # asked first: what is then found missing will not come
        if self._begin is not None:
            yield self._begin
            self._begin = None
        if (taken := self._mailbox.take(0)) is not None:
            frame, lost = taken
            yield structs.replace(frame, dropped=frame.dropped + lost)
        elif done:
            self.ended = True
            if self._error is not None:
                raise self._error
            if self._end is not None:
                yield self._end

    def _keep(self, message: Message) -> None:
        match message:
            case Begin():
                self._begin = message
            case Frame():
                self._mailbox.put(message)
            case End():
                self._end = message
