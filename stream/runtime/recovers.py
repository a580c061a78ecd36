"""A failed stage, and who may say that the run begins again after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from configs.errors import EXIT_FAILED, EngineError, PosestreamError
from stream.runtime.reports import Failed, Reached

MAY_PASS = (EXIT_FAILED, EngineError.exit_code)
"""Exit codes of failures after which beginning again may help; after a full disk or a wrong setting it does not."""


class StageError(PosestreamError, RuntimeError):
    """A stage failed, and the run with it."""

    def __init__(self, group: str, failed: Failed) -> None:
        super().__init__(failed.text)
        self.group = group
        self.exit_code = failed.exit_code
        if failed.trace:
            self.add_note(f"in stage {group}: {failed.trace}")


class At(NamedTuple):
    """A frame of a source."""

    source: str
    frame: int


class Death(NamedTuple):
    """How and where a group failed."""

    failed: Failed
    reads: bool
    """The group reads the sources."""
    at: Sequence[At]
    """The frames that it was working on; of a group that reads, the one that it was to give next."""


class Recovers(Protocol):
    """Keeps what is done, and decides whether a run that loses nothing begins again after a failure."""

    def keep(self, reached: Reached) -> None:
        """Keep what is done at a cut."""

    def grants(self, death: Death) -> bool:
        """Whether all groups are to be started again: they are then killed, and `run` raises the failure."""
