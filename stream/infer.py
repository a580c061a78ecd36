"""Frames to poses: gathers frames into batches and asks the engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

from configs.schema import EngineSettings, InferSettings
from engines.ops.people import nobody
from engines.ops.skeleton import COCO, Skeleton
from engines.pose_engine import PoseEngine
from stream.messages import Begin, Cut, Drop, End, Frame, Message, Poses
from stream.pace import Pace
from stream.runtime.frame_store import SLOTS_MAX
from stream.square import squared, unsquared
from stream.stage import Stage


class Infer(Stage):
    """Frame in, Poses or Drop out; the frames of a source keep their order.

    A batch of a source that loses nothing holds frames of that source alone, always as many as
    may be, the last ones excepted: so its results do not depend on how fast anything ran. Live
    frames are batched across sources, with whatever waits when the engine is free; one that
    has grown too old by then is dropped. Where a rate is to be held, frames may pass unseen.
    """

    def __init__(
        self,
        engine: EngineSettings,
        infer: InferSettings,
        slots: int | None,
        skeleton: Skeleton = COCO,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Load the engine.

        Args:
            engine: how.
            infer: how frames are gathered.
            slots: as many frames of a source there can be at once: to wait for more would be to wait forever. None:
                as many as this stage asks for.
            skeleton: what the network's heat maps are of.
            now_ns: the clock that frames are captured by.
        """
        self._engine, self._keypoints = PoseEngine(engine, skeleton), skeleton.size
        self.notes: list[str] = self._engine.notes
        # By default at most half of them, so that the next batch is decoded meanwhile.
        best = self._engine.batch_best if slots is None else min(self._engine.batch_best, max(1, slots // 2))
        self._batch_max = min(infer.batch_max or best, slots or SLOTS_MAX)
        self.together, self.slots_wanted = self._batch_max, 2 * self._batch_max + 2
        self._now_ns, self._age_ns_max = now_ns, infer.max_age_s * 1e9
        self.patience_s = infer.delay_s_max
        self._pace = Pace(infer.target_fps) if infer.target_fps else None
        self._passed: dict[str, int] = {}
        """Frames of each live source handed on since the pace was judged."""
        self._busy_ns = 0
        self._live: set[str] = set()
        self._alone: set[str] = set()
        """Sources whose frames are seen one by one."""
        self._held: dict[str, list[Frame]] = {}
        """Frames that wait, by source; those of live sources together under the empty name."""

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Begin():
                self._live |= {message.spec.name} if message.live else set()
                self._alone |= {message.spec.name} if message.spec.alone else set()
                yield message
            case Frame():
                held = self._held.setdefault(self._queue(message.source), [])
                held.append(message)
                if len(held) >= (1 if message.source in self._alone else self._batch_max):
                    yield from self._give("")  # live frames first: files are read as fast as they are worked off
                    yield from self._give(self._queue(message.source))
            case Cut() | End():
                yield from self._give(self._queue(message.source))
                if isinstance(message, End):
                    self._live.discard(message.source)
                    self._alone.discard(message.source)
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
        if queue == "":
            oldest_ns = self._now_ns() - self._age_ns_max
            yield from (Drop(frame, "late") for frame in frames if frame.captured_ns < oldest_ns)
            frames = [frame for frame in frames if frame.captured_ns >= oldest_ns]
        if not frames:
            return
        if queue == "" and self._pace:
            yield from self._paced(frames, self._pace)
        else:
            yield from self._found(frames)

    def _paced(self, frames: list[Frame], pace: Pace) -> Iterator[Poses]:
        """Poses of those frames that the pace leaves time for; of the others nobody's."""
        seen = [frame for frame in frames if frame.index % pace.step.every == 0]
        began_ns = self._now_ns()
        found = {(poses.frame.source, poses.frame.index): poses for poses in self._found(seen)}
        self._busy_ns += self._now_ns() - began_ns
        for frame in frames:
            self._passed[frame.source] = self._passed.get(frame.source, 0) + 1
            yield found.get((frame.source, frame.index), Poses(frame, None))
        if pace.is_over(now_ns := self._now_ns()):
            passed = {source: self._passed.get(source, 0) for source in self._live}
            scale = pace.step.scale
            if line := pace.judge(now_ns, passed, self._busy_ns):
                self.notes.append(line)
            if pace.step.scale != scale:
                self._engine.scale_input(pace.step.scale)
            self._passed, self._busy_ns = {}, 0

    def _found(self, frames: list[Frame]) -> Iterator[Poses]:
        seen = [frame for frame in frames if "error" not in frame.flags]
        pictures = [squared(frame.picture, frame.pixel_aspect) for frame in seen]
        people = iter(self._engine(pictures, [_seed(frame) for frame in seen]) if seen else ())
        for frame in frames:
            of_frame = nobody(self._keypoints) if "error" in frame.flags else next(people)
            yield Poses(frame, unsquared(of_frame, frame.pixel_aspect))


def _seed(frame: Frame) -> int:
    """A frame's own: whichever worker looks at it, and whatever is looked at beside it, chance plays the same."""
    identity = f"{frame.source} {frame.epoch} {frame.index}".encode(errors="surrogateescape")
    return int.from_bytes(blake2b(identity, digest_size=8).digest())
