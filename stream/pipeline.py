"""posestream's own stages: which there are, and how each is made."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence

from configs.schema import Settings
from engines.ops.skeleton import Skeleton
from stream.changes import Change, no_changes
from stream.messages import Message, SourceSpec
from stream.stage import Stage

PIPELINE = "stream.pipeline:Pipeline"
"""Where a worker finds it."""


class Pipeline:
    """Makes the stages that the settings name; heavy libraries are loaded here and nowhere earlier."""

    def source(
        self,
        specs: Sequence[SourceSpec],
        settings: Settings,
        stop: Callable[[], bool],
        changes: Callable[[], Iterable[Change]] = no_changes,
    ) -> Generator[Message, None, None]:
        """The messages of the first stage, until `stop()`: files in turn, live sources side by side."""
        if specs[0].kind == "messages":
            from stream.sources.replay import replay

            return replay(specs, settings.decode, settings.skeleton.names, stop)
        from stream.decode import decode

        return decode(specs, settings.decode, stop, settings.live, settings.runtime.cut_every, changes)

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

            return Track(settings.track, settings.smooth, skeleton, with_others=settings.render.blur_faces)
        return self._sink(name, settings, skeleton)

    def _sink(self, name: str, settings: Settings, skeleton: Skeleton) -> Stage:
        if name == "records":
            from stream.sinks.records import RecordsSink

            return RecordsSink()
        if name == "dump":
            from stream.sinks.dump import Dump

            return Dump(settings.dump, skeleton)
        if name == "publish":
            from stream.sinks.publish import Publish

            return Publish(settings.publish, skeleton, settings.live.credentials)
        if name == "web":
            from stream.sinks.web import Web

            return Web(settings.web, settings.render, skeleton)
        if name == "render":
            from stream.render import Render

            return Render(settings.render, skeleton)
        if name == "restream":
            from stream.sinks.restream import Restream

            return Restream(settings.restream, settings.live)
        if name == "show":
            from stream.sinks.window import Show

            return Show()
        if name == "video":
            from stream.sinks.video import VideoSink

            return VideoSink(settings.video, settings.runtime.cut_every)
        raise ValueError(f"no stage is called {name!r}")
