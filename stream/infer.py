"""Frames to poses: gathers frames into batches and asks the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from configs.schema import EngineSettings, InferSettings
from engines.pose_engine import PoseEngine
from stream.messages import Begin, End, Frame, Message, Poses
from stream.stage import Stage


class Infer(Stage):
    """Frame in, Poses out; the frames of a source keep their order.

    A batch of a source that loses nothing holds frames of that source alone, always as many as
    may be, the last ones excepted: so its results do not depend on how fast anything ran. Live
    frames are batched across sources, with whatever waits when the engine is free.
    """

    def __init__(self, engine: EngineSettings, infer: InferSettings, slots: int) -> None:
        """Load the engine.

        Args:
            engine: how.
            infer: how frames are gathered.
            slots: as many frames of a source there can be at once: to wait for more would be to wait forever.
        """
        self._engine = PoseEngine(engine)
        self.notes = self._engine.notes
        # By default half of them, so that the next batch is decoded meanwhile.
        self._batch_max = min(infer.batch_max or min(self._engine.batch_best, max(1, slots // 2)), slots)
        self.patience_s = infer.delay_s_max
        self._live: set[str] = set()
        self._held: dict[str, list[Frame]] = {}
        """Frames that wait, by source; those of live sources together under the empty name."""

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Begin(live=True):
                self._live.add(message.spec.name)
                yield message
            case Frame():
                held = self._held.setdefault(self._queue(message.source), [])
                held.append(message)
                if len(held) >= self._batch_max:
                    yield from self._give("")  # live frames first: files are read as fast as they are worked off
                    yield from self._give(self._queue(message.source))
            case End():
                yield from self._give(self._queue(message.source))
                self._live.discard(message.source)
                yield message
            case _:
                yield message

    def pause(self) -> Iterable[Message]:
        return self._give("")

    def flush(self) -> Iterator[Message]:
        for queue in list(self._held):
            yield from self._give(queue)

    def _queue(self, source: str) -> str:
        return "" if source in self._live else source

    def _give(self, queue: str) -> Iterator[Message]:
        frames = self._held.pop(queue, [])
        if not frames:
            return
        found = self._engine([frame.pixels.array for frame in frames])
        for frame, people in zip(frames, found, strict=True):
            yield Poses(frame, people)
