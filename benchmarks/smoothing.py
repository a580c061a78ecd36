"""Jitter, lag and error of each way to smooth keypoints, on made motion with its truth and on real clips.

    python benchmarks/smoothing.py                       # made motion
    python benchmarks/smoothing.py clip.mp4 other.mp4    # and clips: jitter, and distance from the raw keypoints

Made motion: 10 people of 17 keypoints for 20 s, each a sum of swings of 0.2 to 2 Hz, seen with noise of 1.5 % of the
person's size, confidence 0.3 to 1, and a slip of 0.15 to 0.4 of the size for 30 to 130 ms every 3 s. Jitter is how far
a keypoint lies from the line between the frames before and after it, lag the shift at which the error is least. All
but lag are root mean squares in % of the person's size, the square root of its box.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.schema import SmoothSettings
from engines.evaluation.jitter import off_the_line
from stream.api import tracks
from stream.records import Person
from stream.tracking.offline import smooth_track
from stream.tracking.smooth import Smoother

F = NDArray[np.float64]
SIZE_PX, SECONDS, PEOPLE = 200.0, 20, 10
SURE = 0.3
METHODS = ("none", "ema", "one-euro", "offline")


class Track(NamedTuple):
    times_s: F
    xy: F
    confidence: F
    sizes_px: F
    truth: F | None = None


def smooth(track: Track, method: str) -> F:
    if method == "offline":
        return smooth_track(track.times_s, track.xy, track.confidence, track.sizes_px, SmoothSettings())
    smoother = Smoother(track.xy.shape[1], SmoothSettings.model_validate({"method": method}))
    smoother.add(track.xy[:1])
    everybody, made = np.array([0]), [track.xy[0]]
    for at, dt_s in enumerate(np.diff(track.times_s), 1):
        seen = (track.xy[at][None], track.confidence[at][None], track.sizes_px[at : at + 1])
        smoother.update(everybody, *seen, np.array([dt_s]))
        made.append(smoother.xy[0].copy())
    return np.array(made)


def made_motion(fps: float) -> Iterator[Track]:
    for seed in range(PEOPLE):
        rng = np.random.default_rng(seed)
        times_s = np.arange(0, SECONDS, 1 / fps)
        truth = np.zeros((len(times_s), 17, 2))
        for reach, least, most in ((0.15, 0.2, 0.5), (0.08, 0.5, 1.0), (0.04, 1.0, 2.0)):
            hz, phase = rng.uniform(least, most, (17, 2)), rng.uniform(0, 7, (17, 2))
            truth += reach * SIZE_PX * np.sin(2 * np.pi * hz * times_s[:, None, None] + phase)
        xy = truth + rng.normal(0, 0.015 * SIZE_PX, truth.shape)
        for keypoint in range(17):
            for begin in rng.uniform(0, SECONDS, SECONDS // 3):
                slip = (times_s >= begin) & (times_s < begin + rng.uniform(0.03, 0.13))
                xy[slip, keypoint] += rng.uniform(0.15, 0.4) * SIZE_PX * rng.choice([-1, 1], 2) / np.sqrt(2)
        yield Track(times_s, xy, rng.uniform(SURE, 1, xy.shape[:2]), np.full(len(times_s), SIZE_PX), truth)


def of_clip(path: str) -> Iterator[Track]:
    seen: dict[int, list[tuple[float, Person]]] = {}
    for record in tracks(path, smooth="none", end="40"):
        for person in record.people:
            seen.setdefault(person.id, []).append((record.pts_s, person))
    for sightings in seen.values():
        people = [person for _, person in sightings]
        boxes = np.array([person.box for person in people])
        yield Track(
            np.array([time_s for time_s, _ in sightings]),
            np.array([person.raw_keypoints for person in people]),
            np.array([[sure for _, _, sure in person.keypoints] for person in people]),
            np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1)),
        )


def jitter(track: Track, xy: F) -> F:
    sure = np.where(track.confidence[..., None] >= SURE, xy, np.nan)
    return off_the_line(track.times_s, sure, track.sizes_px)


def off(track: Track, xy: F, truth: F) -> F:
    far = np.sqrt(np.square(xy - truth).sum(-1)) / track.sizes_px[:, None]
    return np.where(track.confidence >= SURE, far, np.nan)


def rms_percent(track_of: Callable[[Track], F], tracks: list[Track]) -> float:
    return 100 * float(np.sqrt(np.nanmean(np.concatenate([np.square(track_of(each)).ravel() for each in tracks]))))


def lag_ms(tracks: list[Track], smoothed: list[F]) -> float:
    """The shift of time at which what was smoothed is nearest to the truth."""
    shifts_ms = np.arange(-50, 151, 2.5)

    def error(shift_ms: float) -> float:
        total = 0.0
        for track, xy in zip(tracks, smoothed, strict=True):
            assert track.truth is not None
            inner = (track.times_s > 1) & (track.times_s < SECONDS - 1)
            flat = track.truth.reshape(len(xy), -1).T
            earlier = np.array([np.interp(track.times_s - shift_ms / 1e3, track.times_s, each) for each in flat]).T
            total += float(np.abs(xy.reshape(len(xy), -1) - earlier)[inner].mean())
        return total

    return float(shifts_ms[np.argmin([error(shift_ms) for shift_ms in shifts_ms])])


def main(paths: list[str]) -> None:
    print("| | fps | | jitter % | error % | worst 1 % | lag ms |\n|---|---|---|---|---|---|---|")
    for fps in (15.0, 30.0, 60.0):
        made = list(made_motion(fps))
        for method in METHODS:
            smoothed = [smooth(each, method) for each in made]
            of = dict(zip(map(id, made), smoothed, strict=True))
            far = np.concatenate([off(each, of[id(each)], each.truth).ravel() for each in made])
            trembles = rms_percent(lambda each, of=of: jitter(each, of[id(each)]), made)
            error, worst = 100 * np.sqrt(np.mean(far**2)), 100 * np.quantile(far, 0.99)
            lag = lag_ms(made, smoothed)
            print(f"| made | {fps:g} | {method} | {trembles:.2f} | {error:.2f} | {worst:.1f} | {lag:g} |")
    for path in paths:
        found = [each for each in of_clip(path) if len(each.times_s) >= 3]
        step_s = np.median(np.concatenate([np.diff(each.times_s) for each in found]))
        for method in METHODS:
            of = {id(each): smooth(each, method) for each in found}
            trembles = rms_percent(lambda each, of=of: jitter(each, of[id(each)]), found)
            away = rms_percent(lambda each, of=of: off(each, of[id(each)], each.xy), found)
            name = path.rpartition("/")[2]
            print(f"| {name} | {1 / step_s:.0f} | {method} | {trembles:.2f} | {away:.2f} from raw | | |")


if __name__ == "__main__":
    main(sys.argv[1:])
