"""A source that goes on from its state gives the frames that were left, and says in the end what it would have said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from media import noisy, numbered, spoil, write_png, write_video
from msgspec import structs

from configs.sources import DecodeSettings
from stream.decode import decode
from stream.messages import Cut, End, Frame, Message, SourceSpec
from stream.sources.find import find

COUNT = 40


def two_clocks(folder: Path) -> Path:
    """Two transport streams in one file: the clock starts anew in the middle."""
    parts = [write_video(folder / f"{n}.ts", [numbered(20 * n + k) for k in range(20)]) for n in range(2)]
    whole = folder / "v.ts"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def images(folder: Path) -> Path:
    (folder / "pictures").mkdir()
    for number in range(COUNT):
        write_png(folder / f"pictures/{number}.png", numbered(number))
    (folder / "pictures/7.png").write_bytes(b"none")
    return folder / "pictures"


def video(name: str, **options: str) -> Callable[[Path], Path]:
    return lambda folder: write_video(folder / name, [numbered(n) for n in range(COUNT)], **options)


def uneven(folder: Path) -> Path:
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.2, COUNT)).tolist()
    return write_video(folder / "v.mkv", [numbered(n) for n in range(COUNT)], times)


MADE = {
    "mp4": video("v.mp4", g="8", bf="2"),
    "one key frame": video("v.mp4", g="999"),
    "transport stream": video("v.ts", g="8"),
    "raw": video("v.h264", bf="2"),
    "avi": video("v.avi", codec="mpeg4"),
    "webm": video("v.webm", codec="libvpx"),
    "uneven": uneven,
    "two clocks": two_clocks,
    "damaged": lambda folder: spoil(video("v.mkv", g="8")(folder), folder / "bad.mkv", 9),
    "images": images,
}


def read(spec: SourceSpec, **settings: float) -> list[Message]:
    return list(decode([spec], DecodeSettings.model_validate(settings), lambda: False, cut_every=1))


def told(messages: list[Message]) -> list[tuple[object, ...]]:
    return [
        (each.index, each.epoch, each.pts_ns, each.flags, each.picture.tobytes())
        for each in messages
        if isinstance(each, Frame)
    ]


@pytest.mark.parametrize("settings", [{}, {"start_s": 0.3, "end_s": 1.3}], ids=["whole", "part"])
@pytest.mark.parametrize("kind", MADE)
def test_a_source_continued_after_any_frame_gives_the_rest(
    tmp_path: Path, kind: str, settings: dict[str, float]
) -> None:
    (spec,) = find([str(MADE[kind](tmp_path))])
    whole = read(spec, **settings)
    frames = told(whole)
    cuts = [each for each in whole if isinstance(each, Cut)]
    assert [cut.index for cut in cuts] == list(range(1, len(frames) + 1))
    for cut in cuts[: len(frames) - 1 : 5]:
        rest = read(structs.replace(spec, states=cut.states), **settings)
        assert told(rest) == frames[cut.index :], f"continued before frame {cut.index}"
        assert isinstance(rest[-1], End)
        assert isinstance(whole[-1], End)
        assert rest[-1] == whole[-1]


def test_a_file_is_not_decoded_again_up_to_there(tmp_path: Path) -> None:
    """What lies before the key frame may even be gone."""
    (spec,) = find([str(write_video(tmp_path / "v.mp4", [noisy(n) for n in range(COUNT)], g="8"))])
    cut = next(each for each in read(spec) if isinstance(each, Cut) and each.index == 30)
    torn = tmp_path / "torn.mp4"
    shutil.copy(spec.path, torn)
    data = bytearray(torn.read_bytes())
    start = data.index(b"mdat") + 8
    data[start : start + 2000] = bytes(2000)
    torn.write_bytes(data)
    rest = read(structs.replace(spec, uri=str(torn), states=cut.states))
    assert [each.index for each in rest if isinstance(each, Frame)] == list(range(30, COUNT))
    assert not any(each.flags for each in rest if isinstance(each, Frame))
