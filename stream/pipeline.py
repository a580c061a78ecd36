"""posestream's own stages: which there are, and how each is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from configs.schema import Settings
from engines.ops.skeleton import Skeleton
from stream.messages import Message, SourceSpec
from stream.stage import Stage

PIPELINE = "stream.pipeline:Pipeline"
"""Where a worker finds it."""


class Pipeline:
    """Makes the stages that the settings name; heavy libraries are loaded here and nowhere earlier."""

    def source(self, specs: Sequence[SourceSpec], settings: Settings, stop: Callable[[], bool]) -> Iterator[Message]:
        """The messages of the first stage, until `stop()`: files in turn, live sources side by side."""
        from stream.decode import decode

        return decode(specs, settings.decode, stop, settings.live, settings.runtime.cut_every)

    def stage(self, name: str, settings: Settings) -> Stage:
        """A stage but the first.

        Raises:
            EngineError: a model or a library cannot be loaded.
        """
        skeleton = Skeleton(settings.skeleton)
        if name == "infer":
            from stream.infer import Infer

            return Infer(settings.engine, settings.infer, settings.runtime.slots, skeleton)
        if name == "nms":
            from stream.nms import Nms

            return Nms(settings.nms, skeleton)
        if name == "track":
            from stream.track import Track

            return Track(settings.track, settings.smooth, skeleton)
        return self._sink(name, settings, skeleton)

    def _sink(self, name: str, settings: Settings, skeleton: Skeleton) -> Stage:
        if name == "records":
            from stream.sinks.records import RecordsSink

            return RecordsSink()
        if name == "publish":
            from stream.sinks.publish import Publish

            return Publish(settings.publish, skeleton, settings.live.credentials)
        if name == "web":
            from stream.sinks.web import Web

            return Web(settings.web, settings.render, skeleton)
        if name == "render":
            from stream.render import Render

            return Render(settings.render, skeleton)
        if name == "video":
            from stream.sinks.video import VideoSink

            return VideoSink(settings.video)
        raise ValueError(f"no stage is called {name!r}")
