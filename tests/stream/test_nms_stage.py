from __future__ import annotations

import numpy as np

from configs.schema import NmsSettings
from engines.ops.people import People
from stream.messages import Begin, End, Frame, Pixels, Poses, SourceSpec
from stream.nms import Nms
from stream.stage import run_here

FRAME = Frame("a", 0, 3, 0, 0, 0, 640, 480, Pixels(np.zeros((480, 640, 3), np.uint8)), flags=("damaged",))


def people(shifts_px: list[float], scores: list[float]) -> People:
    """Make one person several times, each moved to the right."""
    pose = np.random.default_rng(0).uniform(0, 100, (17, 2))
    shift = np.array(shifts_px)
    boxes = np.stack([shift, 0 * shift, shift + 100, 0 * shift + 100], 1)
    xy, sure = pose + np.stack([shift, 0 * shift], 1)[:, None], np.full((len(shift), 17), 0.7)
    return People(*(np.array(a, np.float32) for a in (boxes, scores, xy, sure, sure)))


def test_of_two_poses_of_one_person_the_better_scored_goes_on_with_its_frame() -> None:
    (out,) = Nms(NmsSettings()).process(Poses(FRAME, people([0, 3, 300], [0.6, 0.9, 0.7])))
    assert isinstance(out, Poses)
    assert out.frame is FRAME
    assert out.people.boxes[:, 0].tolist() == [3, 300]


def test_how_alike_two_may_be_is_a_setting() -> None:
    strict, lax = (
        next(iter(Nms(NmsSettings(oks_max=oks_max)).process(Poses(FRAME, people([0, 6], [0.9, 0.8])))))
        for oks_max in (0.3, 0.99)
    )
    assert isinstance(strict, Poses)
    assert isinstance(lax, Poses)
    assert (len(strict.people), len(lax.people)) == (1, 2)


def test_begin_and_end_pass_through_in_their_order() -> None:
    begin, end = Begin(SourceSpec("a", "file", "a.mp4"), 640, 480, 25.0), End("a", 1)
    out = list(run_here([begin, Poses(FRAME, people([], [])), end], Nms(NmsSettings())))
    assert out[0] is begin
    assert out[2] is end
    assert len(out) == 3
