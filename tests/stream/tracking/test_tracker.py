from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import SmoothSettings, TrackSettings
from engines.ops.people import People, nobody
from stream.tracking.tracker import Followed, Tracker

S = 1_000_000_000
TRACK = TrackSettings(score_high=0.5, score_low=0.2, match_min=0.25, confirm_s=0.08, lost_after_s=1.0)
STICK = np.random.default_rng(7).uniform([-18, -58], [18, 58], (17, 2))


def crowd(centres: Sequence[tuple[float, float]], scores: float | Sequence[float] = 0.9) -> People:
    """Make people 40 px by 120 px who all hold the same pose."""
    if not centres:
        return nobody()
    centre = np.array(centres, np.float32)
    boxes = np.concatenate([centre - [20, 60], centre + [20, 60]], 1).astype(np.float32)
    sure = np.full((len(centre), 17), 0.6, np.float32)
    xy = (centre[:, None] + STICK).astype(np.float32)
    return People(boxes, np.broadcast_to(np.float32(scores), len(centre)).copy(), xy, sure, sure)


def new(track: TrackSettings = TRACK, method: str = "ema") -> Tracker:
    return Tracker(track, SmoothSettings(method=method))


def fed(tracker: Tracker, frames: Sequence[People], fps: float = 25, start_s: float = 0) -> list[Followed]:
    return [tracker.update(people, int((start_s + at / fps) * S)) for at, people in enumerate(frames)]


def test_who_stands_in_the_first_frame_is_shown_at_once() -> None:
    (shown,) = fed(new(), [crowd([(100, 100), (300, 100)])])
    assert shown.ids.tolist() == [1, 2]
    assert shown.smooth == pytest.approx(shown.people.keypoints)


@pytest.mark.parametrize(("fps", "frames"), [(10, 2), (25, 3), (50, 5)])
def test_who_comes_later_is_shown_after_being_followed_for_so_long(fps: int, frames: int) -> None:
    shown = fed(new(), [nobody()] + [crowd([(100, 100)])] * frames, fps)
    assert [len(frame.ids) for frame in shown] == [0] * frames + [1]


def test_a_single_sighting_later_on_shows_nobody_and_uses_no_id() -> None:
    flash, stay = crowd([(100, 100), (400, 100)]), crowd([(100, 100)])
    shown = fed(new(), [stay, flash, stay, stay, stay, stay] + [crowd([(100, 100), (700, 100)])] * 4)
    assert [frame.ids.tolist() for frame in shown] == [[1]] * 8 + [[1, 2]] * 2


def test_sightings_far_apart_in_time_do_not_add_up_to_a_person() -> None:
    frames = [nobody(), crowd([(100, 100)])] + [nobody()] * 10 + [crowd([(100, 100)]), nobody()]
    assert [len(frame.ids) for frame in fed(new(), frames)] == [0] * 14


def test_two_who_cross_keep_their_ids() -> None:
    paths = [[(100 + 8 * t, 100), (500 - 8 * t, 104)] for t in range(50)]
    hidden = [path if abs(path[0][0] - path[1][0]) > 30 else path[:1] for path in paths]  # one hides the other
    last = fed(new(), [crowd(path) for path in hidden])[-1]
    assert last.ids.tolist() == [1, 2]
    assert last.people.boxes[:, 0] == pytest.approx([100 + 8 * 49 - 20, 500 - 8 * 49 - 20])


def test_ids_do_not_depend_on_the_order_in_which_people_are_found() -> None:
    rng, places = np.random.default_rng(0), [(100, 100), (160, 100), (220, 100), (280, 100)]
    frames = [crowd(places)] + [crowd(places).take(rng.permutation(4)) for _ in range(20)]
    for shown in fed(new(), frames):
        assert shown.ids.tolist() == [1, 2, 3, 4]
        assert shown.people.boxes[:, 0].tolist() == [80, 140, 200, 260]


@pytest.mark.parametrize("seed", range(5))
def test_the_same_walk_sampled_unevenly_gives_the_same_ids(seed: int) -> None:
    steps_s = np.random.default_rng(seed).choice([0.01, 0.02, 0.04, 0.1], 80)
    tracker = new()
    for now_s in np.cumsum(steps_s):
        # At 150 px/s and steps of up to 0.1 s only one who minds the time knows where to look.
        walk = crowd([(100 + 150 * now_s, 100), (130 + 150 * now_s, 100), (1200 - 150 * now_s, 400)])
        assert tracker.update(walk, int(now_s * S)).ids.tolist() == [1, 2, 3]


def test_who_is_missing_for_half_a_second_keeps_the_id_also_on_the_move() -> None:
    walk = [crowd([(100 + 4 * t, 100)]) if not 25 <= t < 37 else nobody() for t in range(60)]
    shown = fed(new(), walk)
    assert [len(frame.ids) for frame in shown] == [1] * 25 + [0] * 12 + [1] * 23
    assert shown[-1].ids.tolist() == [1]


def test_after_a_gap_without_frames_a_walker_is_sought_further_on_with_box_and_keypoints() -> None:
    strict = new(TRACK.model_copy(update={"match_min": 0.65}))
    gathers = [100 + 200 * s * s for s in np.arange(0, 1, 0.04)]
    steady = [300 + 400 * s for s in np.arange(0, 1, 0.04)]
    fed(strict, [crowd([(x, 100)]) for x in gathers + steady])
    far = steady[-1] + 400 * 0.3  # three times as far as she is wide
    assert strict.update(crowd([(far, 100)]), int(2.26 * S)).ids.tolist() == [1]


def test_who_is_missing_for_two_seconds_gets_a_new_id_and_the_old_one_never_returns() -> None:
    frames = ([crowd([(100, 100)])] * 10 + [nobody()] * 50) * 3
    shown = [frame.ids.tolist() for frame in fed(new(), frames)]
    assert [ids for at, ids in enumerate(shown) if ids and (at == 0 or shown[at - 1] != ids)] == [[1], [2], [3]]


def test_frames_that_are_far_apart_still_show_the_same_person() -> None:
    assert fed(new(), [crowd([(100, 100)])] * 5, fps=0.5)[-1].ids.tolist() == [1]


def test_a_low_score_continues_a_person_but_starts_none() -> None:
    frames = [crowd([(100, 100)])] + [crowd([(100, 100), (400, 100)], [0.3, 0.3])] * 60
    assert [frame.ids.tolist() for frame in fed(new(), frames)] == [[1]] * 61


def test_a_low_score_does_not_confirm_a_person_not_yet_shown() -> None:
    frames = [nobody(), crowd([(100, 100)])] + [crowd([(100, 100)], 0.3)] * 20
    assert [len(frame.ids) for frame in fed(new(), frames)] == [0] * 22


def test_two_trackers_share_nothing() -> None:
    one, other = new(), new()
    fed(one, [crowd([(100, 100), (300, 100)])] * 3)
    assert fed(other, [crowd([(300, 100)])] * 3)[-1].ids.tolist() == [1]


def test_smooth_belongs_to_the_same_person_as_the_detection_beside_it() -> None:
    rng, places = np.random.default_rng(0), [(100, 100), (200, 100), (300, 100)]
    for shown in fed(new(), [crowd(places).take(rng.permutation(3)) for _ in range(20)]):
        assert shown.smooth == pytest.approx(shown.people.keypoints, abs=1e-3)


def test_after_a_while_unseen_smooth_is_where_the_person_is_now() -> None:
    shown = fed(new(), [crowd([(100, 100)])] * 5 + [nobody()] * 15 + [crowd([(110, 100)])])
    assert shown[-1].smooth == pytest.approx(shown[-1].people.keypoints, abs=0.1)


def test_a_new_clock_keeps_who_stands_where_they_stood() -> None:
    tracker = new()
    fed(tracker, [crowd([(100 + 6 * t, 100)]) for t in range(20)], start_s=50)
    tracker.restart(keep=True)
    shown = fed(tracker, [crowd([(220, 100), (500, 100)])] * 2)
    assert [frame.ids.tolist() for frame in shown] == [[1, 2], [1, 2]]
    assert shown[0].smooth == pytest.approx(shown[0].people.keypoints)


def test_a_new_clock_forgets_where_people_were_going() -> None:
    tracker = new()
    fed(tracker, [crowd([(100 + 6 * t, 100)]) for t in range(20)])
    tracker.restart(keep=True)
    assert fed(tracker, [crowd([(214, 100)])] + [nobody()] * 15 + [crowd([(214, 100)])])[-1].ids.tolist() == [1]


def test_a_new_clock_and_size_end_everybody() -> None:
    tracker = new()
    fed(tracker, [crowd([(100, 100)])] * 5)
    tracker.restart(keep=False)
    assert fed(tracker, [crowd([(100, 100)])])[0].ids.tolist() == [2]


def test_what_was_given_out_does_not_change_later() -> None:
    tracker, frames = new(), [crowd([(100 + 4 * t, 100)]) for t in range(10)]
    first = tracker.update(frames[0], 0)
    before = first.people.keypoints.copy(), first.smooth.copy()
    fed(tracker, frames[1:], start_s=0.04)
    assert (first.people.keypoints == before[0]).all()
    assert (first.smooth == before[1]).all()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from(["ema", "one-euro", "none"]))
def test_whatever_is_found_ids_rise_and_nothing_is_nan(seed: int, method: str) -> None:
    rng, tracker, newest, pts_ns = np.random.default_rng(seed), new(method=method), 0, 0
    for _ in range(100):
        n, pts_ns = int(rng.integers(0, 6)), pts_ns + int(rng.choice([0, 1, 10**7, 10**8, 3 * 10**9]))
        people = crowd([tuple(centre) for centre in rng.uniform(0, 150, (n, 2))], list(rng.random(n)))
        shown = tracker.update(people, pts_ns)
        assert (np.diff(shown.ids) > 0).all()
        assert [i for i in shown.ids if i > newest] == list(range(newest + 1, max(newest, *shown.ids, 0) + 1))
        assert len(shown.people) == len(shown.ids) == len(shown.smooth) <= n
        assert np.isfinite(shown.smooth).all()
        assert all((box == people.boxes).all(1).any() for box in shown.people.boxes)
        newest = max(newest, *shown.ids.tolist(), 0)


def walking(frames: int) -> list[People]:
    return [crowd([(100 + 4 * n, 100), (500 - 3 * n, 120)]) for n in range(frames)]


def test_people_carried_over_a_frame_are_where_the_next_one_finds_them() -> None:
    tracker = new(method="none")
    fed(tracker, walking(20))
    carried = tracker.carry_on(20 * S // 25)
    (truth,) = fed(new(method="none"), walking(21)[20:])
    assert carried.ids.tolist() == [1, 2]
    assert carried.people.boxes == pytest.approx(truth.people.boxes, abs=1.5)
    assert carried.smooth == pytest.approx(truth.smooth, abs=1.5)


def test_frames_in_which_nobody_was_looked_for_change_nothing_later_on() -> None:
    plain, carrying = new(), new()
    for n, people in enumerate(walking(30)):
        if n % 3:
            carrying.carry_on(n * S // 25)
        else:
            one, other = plain.update(people, n * S // 25), carrying.update(people, n * S // 25)
            assert one.ids.tolist() == other.ids.tolist()
            assert one.smooth == pytest.approx(other.smooth, abs=1e-3)


def test_somebody_who_was_missed_in_the_last_frame_is_not_carried_on() -> None:
    tracker = new()
    fed(tracker, [*walking(10), crowd([(140, 100)])])
    assert tracker.carry_on(11 * S // 25).ids.tolist() == [1]


def test_a_spread_stays_with_its_person() -> None:
    def unsure(centres: Sequence[tuple[float, float]], spread_px: Sequence[float]) -> People:
        each = np.repeat(np.float32(spread_px), 17 * 2).reshape(-1, 17, 2)
        return replace(crowd(centres), spread_px=each)

    one, two = (100, 100), (300, 100)
    frames = [unsure([one, two], [1, 2])] * 4 + [unsure([two, one], [5, 4])]
    *_, before, last = fed(new(), frames)
    assert before.people.spread_px is not None
    assert last.people.spread_px is not None
    of_id = dict(zip(before.ids.tolist(), before.people.spread_px[:, 3, 1].tolist(), strict=True))
    now = dict(zip(last.ids.tolist(), last.people.spread_px[:, 3, 1].tolist(), strict=True))
    first, second = (number for number, spread in sorted(of_id.items(), key=lambda each: each[1]))
    assert now == {first: 4, second: 5}
