"""The process that encodes the frames of one source and sends them: `python -m stream.sinks.restream_process`."""

from __future__ import annotations

import msgspec

from configs.sources import LiveSettings
from stream.messages import Frame
from stream.sinks.restream import SendOrders
from stream.sinks.restream_video import LiveVideo, SendError
from stream.sinks.side_process import Parent, Said
from stream.sources.retry import Retry


def main() -> None:
    """Send what the stage hands over until it has no more."""
    parent = Parent()
    sender = _Sender(msgspec.json.decode(parent.orders, type=SendOrders), parent)
    for message in parent.messages():
        if isinstance(message, Frame):
            sender.send(message)
    sender.finish()


class _Sender:
    """A connection that is made again when it breaks."""

    def __init__(self, orders: SendOrders, parent: Parent) -> None:
        self._orders, self._parent = orders, parent
        self._retry = Retry(LiveSettings.model_validate_json(orders.live))
        self._video: LiveVideo | None = None
        self._said = ""

    def send(self, frame: Frame) -> None:
        try:
            self._send(frame)
        except SendError as error:
            self._video = None
            self._say(Said(note=f"restream {self._orders.target.label}: {error}; it is tried again and again", lost=1))
            self._parent.has_come(self._retry.next_s(error.denied) or 0.0)  # nothing was asked for: only the end can

    def finish(self) -> None:
        if self._video is not None:
            try:
                self._video.finish()
            except SendError as error:
                self._say(Said(note=f"restream {self._orders.target.label}: {error}"))

    def _send(self, frame: Frame) -> None:
        if self._video is not None and not self._video.takes(frame):
            self._video.finish()
            self._video = None
        if self._video is None:
            self._video = LiveVideo(self._orders.target, frame, self._orders.fps)
        try:
            self._video.send(frame)
        except SendError:
            self._video.abandon()
            raise
        self._retry.reset()
        self._say(Said(note=f"the annotated video is sent to {self._orders.target.label}"))

    def _say(self, said: Said) -> None:
        """Say it; a note that was the last one too is not repeated."""
        repeated, self._said = said.note == self._said, said.note
        if not repeated or said.lost:
            self._parent.say(Said(note="" if repeated else said.note, lost=said.lost))


if __name__ == "__main__":
    main()
