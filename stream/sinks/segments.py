"""Where the overlay of a live source goes: one file, or one a stretch of time, the oldest deleted."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from configs.video import VideoSettings
from stream.messages import Begin, Frame


class Segments:
    """The overlay files of one live source."""

    def __init__(self, begin: Begin, video: VideoSettings) -> None:
        self._folder, self._again = Path(begin.spec.folder), begin.again
        self._segment_s, self._keep_s, self._keep_bytes = video.segment_s, video.keep_s, video.keep_bytes
        self._began_ns = 0

    def next(self, first: Frame) -> Path:
        """The file for the frames from this one on: `overlay.mp4`, or overlay-20261125T120000Z.mp4.

        Stages that were restarted go on in another file. Files that are not to be kept any longer are deleted.
        """
        self._began_ns = first.wall_ns
        self._prune(first.wall_ns / 1e9)
        if self._segment_s is None:
            wanted = self._folder / "overlay.mp4"
            return _free(wanted) if self._again else wanted
        at = datetime.fromtimestamp(first.wall_ns / 1e9, UTC)
        return _free(self._folder / f"overlay-{at:%Y%m%dT%H%M%SZ}.mp4")

    def is_over(self, frame: Frame) -> bool:
        """Whether this frame begins another file."""
        return self._segment_s is not None and frame.wall_ns - self._began_ns >= self._segment_s * 1e9

    def _prune(self, now_s: float) -> None:
        files = sorted(self._folder.glob("overlay-*Z*.mp4"))
        sizes = {path: path.stat() for path in files}
        total = sum(status.st_size for status in sizes.values())
        for path, status in sizes.items():
            is_old = self._keep_s is not None and now_s - status.st_mtime > self._keep_s
            if is_old or (self._keep_bytes is not None and total > self._keep_bytes):
                with suppress(OSError):  # somebody looks at it, or has deleted it
                    path.unlink()
                total -= status.st_size


def _free(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free
