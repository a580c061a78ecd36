"""What the drawing stage draws, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from configs.errors import ConfigError
from configs.load import load
from configs.options import TYPED, changes
from configs.video import RenderSettings
from engines.ops.people import People
from stream.draw import Canvas, colour_of
from stream.messages import Begin, End, Frame, Pixels, Slot, SourceSpec, Tracks
from stream.render import Render
from stream.stage import run_here

ROOT = Path(__file__).parents[2]
PLAIN = RenderSettings(hud=False, labels=False)
STANDING = np.array(
    [(50, 8), (54, 5), (46, 5), (60, 7), (40, 7), (70, 25), (30, 25), (78, 45), (22, 45), (82, 62), (18, 62), (62, 60),
     (38, 60), (64, 80), (36, 80), (66, 98), (34, 98)], np.float32,
)  # fmt: skip
"""Percent of the box, from the front: the left side is on the right."""


def picture(width: int = 640, height: int = 360) -> np.ndarray:
    made = np.full((height, width, 3), 90, np.uint8)
    made.setflags(write=False)
    return made


def tracks(
    boxes: list, pixels: np.ndarray, pts_s: float = 0.0, confidence: float = 0.9, source: str = "clip"
) -> Tracks:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    n = len(corners)
    keypoints = corners[:, None, :2] + STANDING / 100 * (corners[:, None, 2:] - corners[:, None, :2])
    sure = np.full((n, 17), confidence, np.float32)
    people = People(corners, np.full(n, 0.9, np.float32), keypoints, sure, sure)
    frame = Frame(source, 0, 7, round(pts_s * 1e9), 0, 0, pixels.shape[1], pixels.shape[0], Pixels(pixels))
    return Tracks(frame, people, np.arange(1, n + 1), keypoints)


def draw(message: Tracks, settings: RenderSettings = PLAIN) -> np.ndarray:
    (drawn,) = Render(settings).process(message)
    return drawn.frame.picture


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(2)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    y, x = np.nonzero(mask)
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def test_the_source_s_picture_is_left_as_it_was_and_only_the_picture_is_replaced() -> None:
    before = picture()
    copy = before.copy()
    message = tracks([(100, 50, 200, 300)], before)
    (drawn,) = Render(RenderSettings()).process(message)
    assert (before == copy).all()
    assert changed(before, drawn.frame.picture).any()
    assert structs.replace(drawn.frame, pixels=message.frame.pixels) == message.frame


def test_the_slot_stays_with_the_frame_so_that_it_can_be_released() -> None:
    message = tracks([(100, 50, 200, 300)], picture())
    in_slot = structs.replace(message.frame, pixels=Pixels(picture(), Slot(0, 3, 1)))
    (drawn,) = Render(RenderSettings()).process(structs.replace(message, frame=in_slot))
    assert drawn.frame.pixels.slot == Slot(0, 3, 1)


def test_nothing_is_drawn_away_from_people_without_line_and_labels() -> None:
    x1, y1, x2, y2 = extent(changed(picture(), draw(tracks([(100, 50, 200, 300)], picture()))))
    assert 100 - 6 <= x1 < 100 < 200 < x2 <= 200 + 6
    assert 50 - 6 <= y1 < 50 < 300 < y2 <= 300 + 6


def test_an_empty_frame_stays_untouched_but_for_the_line_in_the_lower_left_corner() -> None:
    assert not changed(picture(), draw(tracks([], picture()))).any()
    _, y1, x2, _ = extent(changed(picture(), draw(tracks([], picture()), RenderSettings())))
    assert y1 > 320
    assert x2 < 320


def test_keypoints_under_the_threshold_are_not_drawn() -> None:
    inside = (slice(120, 230), slice(110, 190))  # what the corners of the box do not reach
    message = tracks([(100, 50, 200, 300)], picture(), confidence=0.29)
    assert not changed(picture(), draw(message))[inside].any()
    assert changed(picture(), draw(message, PLAIN.model_copy(update={"kpt_thr": 0.29})))[inside].any()


def test_a_limb_needs_both_its_ends() -> None:
    message = tracks([(100, 50, 200, 300)], picture(), confidence=0.9)
    message.people.confidence[:] = 0
    message.people.confidence[0, 11] = 0.9  # the left hip, at (162, 200)
    x1, y1, x2, y2 = extent(changed(picture(), draw(message))[120:230, 110:190])
    assert x2 - x1 == pytest.approx(y2 - y1, abs=1)
    assert x2 - x1 < 14


def test_a_surer_joint_is_larger() -> None:
    def size(confidence: float) -> int:
        canvas = Canvas(picture())
        only = np.zeros(17, np.float32)
        only[0] = confidence
        canvas.skeleton(STANDING + 100, only, 300, (255, 0, 0), 0.3)
        return int(changed(picture(), canvas.picture).sum())

    assert size(0.3) < size(0.6) < size(1.0)


def test_smoothed_keypoints_are_drawn_not_the_detected_ones() -> None:
    message = tracks([(100, 50, 200, 300)], picture())
    moved = structs.replace(message, smooth=message.smooth + np.float32([300, 0]))
    assert changed(picture(), draw(moved))[120:230, 410:490].any()
    assert not changed(picture(), draw(moved))[120:230, 110:190].any()


def test_a_person_keeps_a_colour_over_frames_and_places() -> None:
    stage = Render(PLAIN)
    first, later = ((100, 50, 200, 300), (400, 40, 500, 290)), ((400, 40, 500, 290), (100, 50, 200, 300))
    (one,) = stage.process(tracks(list(first), picture(), 0.0))
    (two,) = stage.process(structs.replace(tracks(list(later), picture(), 0.1), ids=np.array([2, 1])))
    assert (one.frame.picture == two.frame.picture).all()
    (swapped,) = stage.process(structs.replace(tracks(list(first), picture(), 0.2), ids=np.array([2, 1])))
    assert (one.frame.picture != swapped.frame.picture).any()


def test_neighbouring_ids_differ_plainly_and_none_is_dark() -> None:
    colours = np.array([colour_of(number) for number in range(1, 200)], int)
    for apart in (1, 2, 3, 4):
        assert np.abs(colours[apart:] - colours[:-apart]).max(1).min() > 60
    assert (colours @ [0.299, 0.587, 0.114]).min() > 0.5 * 255


def test_the_left_side_is_lighter_than_the_right() -> None:
    drawn = draw(tracks([(100, 50, 200, 300)], picture())).astype(int).sum(2)
    assert drawn[225, 150:180].max() > drawn[225, 120:150].max() + 60  # thighs; the person faces us


@pytest.mark.parametrize("far", [1e5, 1e9, 1e18, -1e18])
def test_keypoints_and_boxes_far_outside_are_no_trouble(far: float) -> None:
    message = tracks([(100, 50, 200, 300), (-abs(far), -abs(far), abs(far), abs(far))], picture())
    message.smooth[0, 9] = far
    message.smooth[1] = np.where(np.arange(34).reshape(17, 2) % 3, far, -far)
    drawn = draw(message, RenderSettings(trail_s=1))
    assert changed(picture(), drawn)[120:230, 110:190].any()


@pytest.mark.parametrize("size", [(2, 2), (32, 32), (320, 180), (180, 320), (3840, 2160), (4000, 40)])
def test_pictures_of_any_size_are_drawn_on(size: tuple[int, int]) -> None:
    width, height = size
    box = (0.1 * width, 0.1 * height, 0.9 * width, 0.9 * height)
    drawn = draw(tracks([box, box], picture(width, height)), RenderSettings(trail_s=1))
    assert drawn.shape == (height, width, 3)
    assert changed(picture(width, height), drawn).any()


def test_lines_grow_with_the_picture_and_are_thinner_for_a_small_person() -> None:
    def thickness(width: int, height: int, share: float) -> int:
        box = np.array([0.5 - share / 4, 0.5 - share / 2, 0.5 + share / 4, 0.5 + share / 2]) * ([width, height] * 2)
        before = picture(width, height)
        middle = round(box[0] + 0.5 * (box[2] - box[0]))  # the shoulder line crosses it, and the hips
        return int(
            changed(before, draw(tracks([box], before)))[round(box[1] + 0.2 * (box[3] - box[1])) :, middle].sum()
        )

    assert 2 < thickness(3840, 2160, 0.8) / thickness(1280, 720, 0.8) < 3.5  # soft edges stay a pixel wide
    assert thickness(320, 180, 0.8) >= 6  # two lines of three pixels at least
    assert thickness(1280, 720, 0.1) < 0.8 * thickness(1280, 720, 0.8)


@pytest.mark.parametrize("corner", [(-80, -80), (620, -80), (-80, 340), (620, 350), (300, 3), (300, 420)])
def test_a_label_is_whole_wherever_the_box_is(corner: tuple[float, float]) -> None:
    black = np.zeros((360, 640, 3), np.uint8)
    canvas = Canvas(black)
    canvas.label("#12", "0.87", np.array([*corner, corner[0] + 100, corner[1] + 100]), (255, 200, 100))
    x1, y1, x2, y2 = extent(changed(black, canvas.picture))
    free = Canvas(black)
    free.label("#12", "0.87", np.array([200, 200, 300, 300]), (255, 200, 100))
    u1, v1, u2, v2 = extent(changed(black, free.picture))
    assert (x2 - x1, y2 - y1) == (u2 - u1, v2 - v1)
    assert (u1, v2) == (200, 200)


def test_a_label_on_a_narrow_box_says_the_id_alone() -> None:
    def width(box_px: float) -> int:
        canvas = Canvas(np.zeros((360, 640, 3), np.uint8))
        canvas.label("#12", "0.87", np.array([200, 200, 200 + box_px, 300]), (255, 200, 100))
        x1, _, x2, _ = extent(canvas.picture.any(2))
        return int(x2 - x1)

    assert width(20) < 0.7 * width(200)


def walk(trail_s: float, steps: list[tuple[float, float]]) -> np.ndarray:
    """Somebody of 20 px by 20 px, of whom no joint shows, at x after so many seconds."""
    stage = Render(PLAIN.model_copy(update={"trail_s": trail_s}))
    for pts_s, x in steps:
        (drawn,) = stage.process(tracks([(x - 10, 170, x + 10, 190)], picture(), pts_s, confidence=0.0))
    return changed(picture(), drawn.frame.picture)


def test_a_trail_is_as_long_as_its_time_however_many_frames_that_is() -> None:
    steps = [(0.0, 50.0), (0.1, 150.0), (2.0, 250.0), (2.1, 300.0), (2.3, 350.0), (2.5, 450.0)]
    marked = walk(0.5, steps)
    assert not marked[:, 60:240].any()
    assert all(marked[:, x].any() for x in range(255, 445))
    assert not walk(0.0, steps)[:, 255:430].any()


def test_a_trail_stays_after_its_person_has_left_until_its_time_is_over() -> None:
    def empty_frame_at(pts_s: float) -> bool:
        stage = Render(PLAIN.model_copy(update={"trail_s": 1.0}))
        for x in range(3):
            list(stage.process(tracks([(100 + 50 * x, 170, 120 + 50 * x, 190)], picture(), 0.1 * x)))
        (drawn,) = stage.process(tracks([], picture(), pts_s))
        return bool(changed(picture(), drawn.frame.picture).any())

    assert empty_frame_at(0.5)
    assert not empty_frame_at(1.5)


@pytest.mark.parametrize("between", ["end", "epoch"])
def test_no_trail_leads_into_another_run_of_the_clock(between: str) -> None:
    stage = Render(PLAIN.model_copy(update={"trail_s": 9.0}))
    list(stage.process(tracks([(90, 170, 110, 190)], picture(), 0.0, 0.0)))
    if between == "end":
        list(stage.process(End("clip", 1)))
    message = tracks([(490, 170, 510, 190)], picture(), 0.1, 0.0)
    if between == "epoch":
        message = structs.replace(message, frame=structs.replace(message.frame, epoch=1))
    (drawn,) = stage.process(message)
    assert not changed(picture(), drawn.frame.picture)[:, 120:470].any()


def test_sources_do_not_share_trails() -> None:
    stage = Render(PLAIN.model_copy(update={"trail_s": 9.0}))
    list(stage.process(tracks([(90, 170, 110, 190)], picture(), 0.0, 0.0, source="one")))
    (drawn,) = stage.process(tracks([(490, 170, 510, 190)], picture(), 0.1, 0.0, source="two"))
    assert not changed(picture(), drawn.frame.picture)[:, 120:470].any()


def test_begin_and_end_pass_in_their_order() -> None:
    begin, end = Begin(SourceSpec("clip", "file", "clip.mp4"), 640, 360, 25.0), End("clip", 2)
    given = list(run_here([begin, tracks([], picture()), tracks([], picture(), 0.1), end], Render(RenderSettings())))
    assert (given[0], given[-1]) == (begin, end)
    assert [type(message) for message in given[1:-1]] == [Tracks, Tracks]


def test_the_skeleton_alone_is_that_of_the_overlay_on_black() -> None:
    message = tracks([(100, 50, 200, 300)], picture())
    on_black = draw(message, PLAIN.model_copy(update={"skeleton_only": True}))
    marked = changed(picture(), draw(message))
    assert (on_black[~marked] == 0).all()
    assert (on_black[marked].max(-1) > 0).mean() > 0.9  # but for the edges of dark lines


@pytest.mark.parametrize("only", [False, True])
def test_side_by_side_is_source_and_overlay_and_the_frame_says_so(only: bool) -> None:
    message = tracks([(100, 50, 200, 300)], picture())
    settings = RenderSettings(skeleton_only=only)
    (both,) = Render(settings.model_copy(update={"side_by_side": True})).process(message)
    assert (both.frame.width, both.frame.height) == (1280, 360)
    assert (both.frame.picture[:, :640] == picture()).all()
    assert (both.frame.picture[:, 640:] == draw(message, settings)).all()
    assert both.people is message.people


@pytest.mark.parametrize(("scale", "by"), [(0.5, 0.5), (2, 2), (320, 0.5), (960, 1.5)])
def test_what_is_drawn_is_drawn_at_the_size_that_is_wanted(scale: float, by: float) -> None:
    """The people are where they were; lines and letters are those of a picture of that size, so they can be read."""
    message = tracks([(100, 50, 200, 300)], picture())
    (made,) = Render(RenderSettings(scale=scale)).process(message)
    assert (made.frame.width, made.frame.height) == (640 * by, 360 * by)
    scaled = tracks([(100 * by, 50 * by, 200 * by, 300 * by)], picture(round(640 * by), round(360 * by)))
    assert (made.frame.picture == draw(scaled, RenderSettings())).all()


def test_a_scale_between_factor_and_width_is_refused() -> None:
    said = r"^--scale: 8 is neither a factor, at most 4, nor a width in pixels, at least 16$"
    with pytest.raises(ConfigError, match=said):
        load(None, (), changes({"scale": 8.0}), TYPED)


@pytest.mark.parametrize("live", [False, True])
def test_clocks_of_the_machine_show_in_live_overlays_only(live: bool) -> None:
    def at_age(age_ms: int) -> np.ndarray:
        stage = Render(RenderSettings())
        list(stage.process(Begin(SourceSpec("clip", "file", "clip.mp4"), 640, 360, 25.0, live=live)))
        message = tracks([(100, 50, 200, 300)], picture())
        late = structs.replace(message.frame, wall_ns=age_ms, times_ns={"track": age_ms * 1_000_000})
        (drawn,) = stage.process(structs.replace(message, frame=late))
        return drawn.frame.picture

    assert (at_age(10) != at_age(800)).any() == live


def test_opencv_that_cannot_load_says_in_one_line_what_to_install(tmp_path: Path) -> None:
    said = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({said!r})\n")
    code = "from stream.render import EngineError, check_opencv\ntry: check_opencv()\nexcept EngineError as e: print(e)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    wanted = f"OpenCV cannot be loaded: {said}; on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0\n"
    assert (done.stdout, done.stderr) == (wanted, "")
