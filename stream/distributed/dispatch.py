"""Which task comes next, and what becomes of those whose runner was lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from configs.errors import PosestreamError
from stream.distributed.tasks import Files, Finish, Outcome, Part, Plan, Task
from stream.messages import SourceSpec

_IN_VAIN_MAX = 5


class Dispatch:
    """The tasks of a run: each is with one runner at most, and is given again until it is done.

    What a lost runner has committed is there for the next one, so that a task done twice is done once.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._waiting = deque(tasks)
        self._under_way: dict[int, Task] = {}
        """Runner -> its task."""
        self._in_vain: dict[str, int] = {}
        """Label of a task -> how often its runner was lost since something of it was done."""
        self._frames: dict[str, int] = {}
        """Label of a task -> how many of its frames were done when it was last heard of."""
        self._parts: dict[str, set[int]] = {}
        """Recording that is done in parts -> first frames of those that are not done."""
        self._whole: dict[str, SourceSpec] = {}
        """The same recordings -> all of it."""

    @property
    def is_over(self) -> bool:
        """Whether all is done."""
        return not self._waiting and not self._under_way

    @property
    def waiting(self) -> int:
        """Tasks that no runner has, those that a plan is expected to give among them."""
        planned = (*self._waiting, *self._under_way.values())
        return len(self._waiting) + sum(task.parts for task in planned if isinstance(task, Plan))

    def give(self, runner: int) -> Task | None:
        """The next task, for a runner that has none; None: all are under way or done."""
        if not self._waiting:
            return None
        task = self._under_way[runner] = self._waiting.popleft()
        return task

    def advance(self, runner: int, frames: int) -> None:
        """Take note that a runner has done so many frames of its task."""
        label = self._under_way[runner].label
        if frames > self._frames.get(label, 0):
            self._frames[label], self._in_vain[label] = frames, 0

    def done(self, runner: int, outcome: Outcome) -> str:
        """Take note that a runner is done with its task, and of what follows from it; a line for people, or none."""
        task = self._under_way.pop(runner)
        self._in_vain.pop(task.label, None)
        self._frames.pop(task.label, None)
        if isinstance(task, Plan):
            return self._cut(task.spec, outcome.parts)
        if isinstance(task, Part) and task.spec.name in self._parts:
            return self._join(task, outcome.unfit)
        return ""

    def _cut(self, spec: SourceSpec, parts: Sequence[Part]) -> str:
        if not parts:
            self._waiting.appendleft(Files((spec,)))
            return f"{spec.name} is done whole: its frames cannot be told apart without decoding them"
        self._whole[spec.name] = spec
        self._parts[spec.name] = {part.frames.first for part in parts}
        self._waiting.extendleft(reversed(parts))
        return f"{spec.name}: its frames are shared out in {len(parts)} parts"

    def _join(self, part: Part, unfit: str) -> str:
        name = part.spec.name
        if unfit:
            del self._parts[name]
            others = [task for task in self._waiting if not (isinstance(task, Part) and task.spec.name == name)]
            self._waiting = deque([Files((self._whole.pop(name),)), *others])
            return f"{name} is done whole: {unfit}"
        self._parts[name].discard(part.frames.first)
        if self._parts[name]:
            return ""
        del self._parts[name]
        self._waiting.appendleft(Finish(self._whole.pop(name)))
        return f"{name}: people are found in all its frames; they are tracked now, and the outputs written"

    def lost(self, runner: int, reason: str) -> str:
        """Take a task back that a runner could not do, to be given again, before all others; a line that says so.

        Raises:
            PosestreamError: that has happened too often, with nothing done in between.
        """
        task = self._under_way.pop(runner)
        count = self._in_vain[task.label] = self._in_vain.get(task.label, 0) + 1
        if count >= _IN_VAIN_MAX:
            raise PosestreamError(f"{task.label}: given up after {count} attempts: {reason}")
        self._waiting.appendleft(task)
        return f"{task.label}: {reason}; goes on elsewhere at the last commit (attempt {count + 1} of {_IN_VAIN_MAX})"
