"""What cannot be read is known before anything is loaded, and one bad file keeps no other from being read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from media import numbered, write_video

from configs.errors import SourceError
from configs.sources import DecodeSettings
from stream.messages import Begin
from stream.sources.find import find
from stream.sources.probe import check, probe

NO_VIDEO = "not a video that can be read"


def bad(folder: Path, name: str) -> Path:
    (folder / name).write_text("no video\n" * 99)
    return folder / name


def test_each_source_is_said_to_be_what_it_is(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", [numbered(n) for n in range(50)])
    found = list(probe(find([str(good), str(bad(tmp_path, "bad.mp4"))]), DecodeSettings()))
    assert isinstance(found[0], Begin)
    assert (found[0].width, found[0].frames, found[0].spec.name) == (128, 50, "good")
    assert isinstance(found[1], SourceError)
    assert str(found[1]) == f"{tmp_path / 'bad.mp4'}: {NO_VIDEO}"


def test_a_bad_file_among_good_ones_passes_and_bad_ones_alone_are_all_named(tmp_path: Path) -> None:
    good = write_video(tmp_path / "z.mp4", [numbered(n) for n in range(2)])
    paths = [str(bad(tmp_path, "a.mp4")), str(bad(tmp_path, "b.mp4"))]
    check(find([*paths, str(good)]), DecodeSettings())
    with pytest.raises(SourceError) as caught:
        check(find(paths), DecodeSettings())
    assert str(caught.value).splitlines() == [f"{path}: {NO_VIDEO}" for path in paths]


def test_a_range_is_not_looked_for(tmp_path: Path) -> None:
    """To find out whether --start lies in a raw stream all of it would have to be decoded."""
    write_video(tmp_path / "v.h264", [numbered(n) for n in range(10)])
    check(find([str(tmp_path / "v.h264")]), DecodeSettings(start_s=5000))


def test_a_folder_of_images_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    bad(tmp_path, "a.png")
    with pytest.raises(SourceError, match="none of its 1 images can be read"):
        check(find([str(tmp_path)]), DecodeSettings())


def test_nothing_heavier_than_the_decoder_is_loaded() -> None:
    code = "import sys, stream.sources.probe; print(*sorted(set(sys.modules) & {'torch', 'cv2', 'zmq', 'openvino'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
