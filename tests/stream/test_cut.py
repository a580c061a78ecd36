"""A run that is cut between any two frames and continued from the snapshots gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from msgspec import structs

from configs.schema import SmoothSettings, TrackSettings
from configs.video import RenderSettings
from engines.ops.people import People
from stream.messages import Begin, Cut, End, Frame, Message, Pixels, Poses, SourceSpec, Tracks
from stream.records import record_of
from stream.render import Render
from stream.runtime.metrics import Metered, StageMeter
from stream.stage import Chain, run_here
from stream.track import Track

FRAMES = 24
BEGIN = Begin(SourceSpec("a", "file", "a"), 320, 240, 25.0)


def walk() -> list[Message]:
    """Three people who walk, cross and are missed now and then; the clock breaks once."""
    rng = np.random.default_rng(3)
    pose = rng.uniform([-20, 0], [20, 120], (17, 2))
    made: list[Message] = []
    for n in range(FRAMES):
        seen = rng.random(3) > 0.2
        x = np.array([40 + 6 * n, 280 - 7 * n, 150 + 2 * n])[seen]
        boxes = np.stack([x - 20, 60 + 0 * x, x + 20, 180 + 0 * x], 1)
        xy = pose + np.stack([x, 60 + 0 * x], 1)[:, None] + rng.normal(0, 2, (len(x), 17, 2))
        sure = rng.uniform(0.2, 1, (len(x), 17))
        arrays = (boxes, np.full(len(x), 0.9), xy, sure, sure)
        pixels = Pixels(rng.integers(0, 256, (240, 320, 3), np.uint8))
        frame = Frame("a", int(n > 14), n, (n % 15) * 40_000_000, 0, 0, 320, 240, pixels)
        made.append(Poses(frame, People(*(np.array(each, np.float32) for each in arrays))))
    return made


def stages(method: str) -> Chain:
    made = {
        "track": Track(TrackSettings(), SmoothSettings.model_validate({"method": method})),
        "render": Render(RenderSettings(trail_s=0.3)),
    }
    return Chain([Metered(name, stage, StageMeter()) for name, stage in made.items()])


def outputs(messages: Sequence[Message], method: str) -> tuple[list[bytes], Cut | None]:
    given = list(run_here(messages, stages(method)))
    tracks = [message for message in given if isinstance(message, Tracks)]
    rows = [msgspec.json.encode(record_of(one)) + one.frame.picture.tobytes() for one in tracks]
    return rows, next((message for message in given if isinstance(message, Cut)), None)


@pytest.mark.parametrize("method", ["ema", "one-euro"])
def test_a_run_cut_at_any_frame_goes_on_as_if_it_had_not_been(method: str) -> None:
    frames, end = walk(), End("a", FRAMES)
    whole, _ = outputs([BEGIN, *frames, end], method)
    assert any(b'"id":3' in row for row in whole), "nobody is followed: nothing would be shown"
    for at in range(1, FRAMES):
        first, cut = outputs([BEGIN, *frames[:at], Cut("a", at)], method)
        assert cut is not None
        begin = structs.replace(BEGIN, spec=structs.replace(BEGIN.spec, states=cut.states))
        rest, _ = outputs([begin, *frames[at:], end], method)
        assert first + rest == whole, f"cut before frame {at}"
