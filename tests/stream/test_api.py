"""Records for Python, and what is said of sources that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest
from media import cut_index, noisy, numbered, spoil, write_video

from configs.errors import ConfigError, SourceError
from stream.api import Problem, tracks

QUICK = {"model": "lite", "backend": "eager", "imgsz": 64, "proposals": 10}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cut file, a damaged one, a good one."""
    folder = tmp_path_factory.mktemp("clips")
    good = write_video(folder / "c_good.mp4", [numbered(at) for at in range(3)])
    cut_index(good, folder / "a_cut.mp4")
    whole = write_video(folder / "b.avi", [noisy(at) for at in range(8)], codec="mpeg4", g="1")
    spoil(whole, folder / "b_damaged.mkv", every=4)
    whole.unlink()
    return folder


def test_a_bad_file_stops_no_other_and_is_told_when_its_turn_has_come(clips: Path) -> None:
    problems: list[Problem] = []
    seen = [(record.source, len(problems)) for record in tracks(clips, on_problem=problems.append, **QUICK)]
    assert [name for name, _ in seen if name == "c_good"] == ["c_good"] * 3
    assert ("b_damaged", 1) in seen
    assert seen[-1] == ("c_good", 2)
    cut, damaged = problems
    assert (cut.source, cut.unusable) == ("a_cut", True)
    assert cut.text.startswith(f"{clips / 'a_cut.mp4'}: its index is missing")
    assert (damaged.source, damaged.unusable) == ("b_damaged", False)
    assert damaged.text.startswith(f"{clips / 'b_damaged.mkv'}: ")
    assert damaged.text.endswith(" of its parts are damaged")


def test_without_a_callback_a_file_that_cannot_be_read_is_raised_at_the_end(clips: Path) -> None:
    names = []
    with pytest.raises(SourceError, match=r"a_cut\.mp4: its index is missing.*$") as caught:  # noqa: PT012
        for record in tracks(clips, **QUICK):
            names.append(record.source)
    assert names[-3:] == ["c_good"] * 3
    assert len(str(caught.value).splitlines()) == 1, "damage alone is no error"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"img_size": 64}, r"^img_size is unknown; did you mean imgsz\?$"),
        ({"output": "x"}, r"^output is unknown; known are recursive, .*conf.*, and settings as nms_oks_max$"),
        ({"conf": 7}, r"^conf is 7; it should be less than or equal to 1$"),
        ({"start": "1:x"}, r"^start: '1:x' is no time; it should be seconds"),
        ({"track_lost_afer_s": 2}, r"^track_lost_afer_s is unknown; did you mean lost_after_s\?$"),
        ({"track_lost_after_s": -2}, r"^track_lost_after_s is -2; it should be greater than or equal to 0$"),
    ],
)
def test_a_mistake_is_raised_by_the_call_itself_and_named_as_it_was_written(
    clips: Path, options: dict, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        tracks(clips, **options)


def test_a_source_that_is_not_there_is_raised_by_the_call_itself(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        tracks(tmp_path / "missing.mp4")


def test_options_are_those_of_the_command_line(clips: Path) -> None:
    settings = {"engine_model": "lite", "engine_backend": "eager", "engine_imgsz": 64, "engine_proposals": 10}
    first, *more = tracks(clips / "c_good.mp4", **QUICK, smooth="none", conf=0.5, start="0:00.04")
    assert [first, *more] == list(
        tracks(clips / "c_good.mp4", **settings, smooth_method="none", track_score_high=0.5, decode_start_s=0.04)
    )
    assert len([first, *more]) == 2
