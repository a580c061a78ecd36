"""Poses to poses: drops those that repeat a better-scored one of the same frame."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from configs.schema import NmsSettings
from engines.ops.oks import oks_nms
from engines.ops.skeleton import COCO, Skeleton
from stream.messages import Message, Poses
from stream.stage import Stage


class Nms(Stage):
    """Poses in, Poses out, best score first.

    The network has dropped boxes that overlap; what is left are two boxes on one person that overlap little,
    such as the whole body and its upper half.
    """

    def __init__(self, nms: NmsSettings, skeleton: Skeleton = COCO) -> None:
        self._oks_max, self._sigmas = nms.oks_max, skeleton.sigmas

    def process(self, message: Message) -> Iterator[Message]:
        if isinstance(message, Poses) and message.people is not None:
            keep = oks_nms(message.people, self._sigmas, self._oks_max)
            message = msgspec.structs.replace(message, people=message.people.take(keep))
        yield message
