"""posestream's own stages: which there are, and how each is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from configs.schema import Settings
from stream.messages import Message, SourceSpec
from stream.stage import Stage

PIPELINE = "stream.pipeline:Pipeline"
"""Where a worker finds it."""


class Pipeline:
    """Makes the stages that the settings name; heavy libraries are loaded here and nowhere earlier."""

    def source(self, specs: Sequence[SourceSpec], settings: Settings, stop: Callable[[], bool]) -> Iterator[Message]:
        """The messages of the first stage, until `stop()`: files in turn, live sources side by side."""
        from stream.decode import decode

        return decode(specs, settings.decode, stop, settings.live)

    def stage(self, name: str, settings: Settings) -> Stage:
        """A stage but the first.

        Raises:
            EngineError: a model or a library cannot be loaded.
        """
        if name == "infer":
            from stream.infer import Infer

            # The tracker looks at everybody down to its low score, in any mode, and at nobody below.
            score_min = max(settings.engine.score_min or 0.0, settings.track.score_low)
            engine = settings.engine.model_copy(update={"score_min": score_min})
            return Infer(engine, settings.infer, settings.runtime.slots)
        if name == "nms":
            from stream.nms import Nms

            return Nms(settings.nms)
        if name == "track":
            from stream.track import Track

            return Track(settings.track, settings.smooth)
        return self._sink(name, settings)

    def _sink(self, name: str, settings: Settings) -> Stage:
        if name == "records":
            from stream.sinks.records import RecordsSink

            return RecordsSink()
        if name == "render":
            from stream.render import Render

            return Render(settings.render)
        if name == "video":
            from stream.sinks.video import VideoSink

            return VideoSink(settings.video)
        raise ValueError(f"no stage is called {name!r}")
