"""A run over recordings that was interrupted in any way ends with the bytes of one that was not."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numbered
import pytest
from media import noisy, write_video

from configs.errors import OutputError
from configs.load import load
from configs.schema import Settings
from stream.launch import launch
from stream.outputs import output_folders
from stream.runtime.progress import Progress
from stream.runtime.recovers import StageError
from stream.sources.find import find
from stream.summary import Summary

COUNT, EVERY = 120, 8
FACTORY = "numbered:Filmed"
RUN = """
import sys
from configs.schema import Settings
from stream.launch import launch
from stream.outputs import output_folders
from stream.sources.find import find
settings = Settings.model_validate_json(sys.argv[1])
with output_folders(find(["clip.mp4"]), settings) as specs:
    def watch(progress):
        if "clip" in progress.began:
            print(progress.cuts["clip"].index if "clip" in progress.cuts else 0, flush=True)
    launch(settings, specs, lambda: 0, watch, "numbered:Filmed")
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    """A folder with a clip, whose workers find the tests' stages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(numbered.__file__).parent))
    shutil.copy2(runs / "clip.mp4", ".")


def settings(folder: str, *more: str) -> Settings:
    fixed = {"source.uris": ["clip.mp4"], "output.folder": folder, "infer.workers": 1}
    return load(None, [f"runtime.cut_every={EVERY}", *more], fixed)


def run(
    wanted: Settings, watch: Callable[[Progress], None] = lambda _: None, stops: Callable[[], int] = lambda: 0
) -> tuple[Summary, Exception | None]:
    with output_folders(find(wanted.source.uris), wanted) as specs:
        return launch(wanted, specs, stops, watch, FACTORY)


def outputs(folder: str) -> dict[str, bytes]:
    """What is in a folder but run.json, which says how long the run took."""
    found = {path.name: path.read_bytes() if path.is_file() else b"" for path in Path(folder).iterdir()}
    assert found.pop("run.json")
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip, the outputs of a run that nothing happened to, and those of one that poison ended."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(Path(numbered.__file__).parent))
        write_video(Path("clip.mp4"), [noisy(n) for n in range(COUNT)], audio="aac")
        assert run(settings("whole"))[1] is None
        Path("poison").write_text("infer cut 32")
        summary, failure = run(settings("unfinished"))
        Path("poison").unlink()
    assert isinstance(failure, StageError)
    assert (failure.exit_code, str(failure)) == (7, "stage infer left with exit code 9")
    assert sum("begin again" in note for note in summary.run.notes) == 5
    assert not summary.sources[0].complete
    return folder


@pytest.fixture
def whole(runs: Path) -> dict[str, bytes]:
    """The outputs of a run that nothing happens to."""
    made = outputs(str(runs / "whole"))
    assert sorted(made) == ["keypoints.jsonl", "overlay.mp4"]
    assert made["keypoints.jsonl"].count(b"\n") == COUNT
    return made


@pytest.fixture
def unfinished(runs: Path) -> None:
    """Puts what an ended run has left into the folder `out`."""
    shutil.copytree(runs / "unfinished", "out")


@pytest.mark.parametrize(
    ("number", "group"),
    [
        *((signal.SIGKILL, group) for group in ("decode", "infer", "nms+track+records", "render+video")),
        (signal.SIGSTOP, "render+video"),
    ],
)
def test_stages_that_die_or_hang_begin_again_at_the_last_commit(
    group: str, number: signal.Signals, whole: dict[str, bytes]
) -> None:
    hurt: list[int] = []

    def watch(progress: Progress) -> None:
        if not hurt and "clip" in progress.cuts:
            hurt.append(progress.cuts["clip"].index)
            os.kill(progress.pids[group], number)

    summary, failure = run(settings("out", "runtime.hang_after_s=1.5"), watch)
    assert failure is None
    assert hurt
    assert outputs("out") == whole
    assert (summary.frames, summary.exit_code, summary.sources[0].complete) == (COUNT, 0, True)
    said = [note for note in summary.run.notes if "begin again" in note]
    assert said
    # on a busy machine a stage that is well may be late, too
    assert re.search(r"all stages begin again at the last commit \(\d of 5 restarts in 60 s\)$", said[-1])


def test_a_run_whose_stages_kept_dying_can_be_continued(unfinished: None, whole: dict[str, bytes]) -> None:
    summary, failure = run(settings("out"))
    assert failure is None
    assert f"continues clip at frame 24 of {COUNT}" in summary.run.notes
    assert outputs("out") == whole


@pytest.mark.parametrize("frames", [0, 8, 64])
def test_a_killed_run_is_continued_by_the_same_command(frames: int, whole: dict[str, bytes]) -> None:
    wanted = settings("out")
    command = [sys.executable, "-c", RUN, wanted.model_dump_json()]
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}) as killed:
        assert killed.stdout is not None
        assert any(int(line) >= frames for line in killed.stdout)
        killed.kill()
    summary, failure = run(wanted)
    assert failure is None
    assert outputs("out") == whole
    assert summary.frames == COUNT
    said = [int(note.split()[4]) for note in summary.run.notes if note.startswith("continues clip at frame ")]
    assert said == [] if frames == 0 and not said else said[0] >= frames


def test_a_stopped_run_is_continued_and_a_finished_one_left_alone(whole: dict[str, bytes]) -> None:
    cut: list[int] = []

    def watch(progress: Progress) -> None:
        if "clip" in progress.cuts and not cut:
            cut.append(1)

    summary, _ = run(settings("out"), watch, lambda: len(cut))
    assert not summary.sources[0].complete
    assert run(settings("out"))[1] is None
    assert outputs("out") == whole
    before = Path("out/overlay.mp4").stat().st_mtime_ns
    summary, failure = run(settings("out"))
    assert failure is None
    assert summary.run.notes == ["clip is finished in out: nothing is to be done"]
    assert (summary.frames, summary.done, summary.exit_code) == (COUNT, 0, 0)
    assert Path("out/overlay.mp4").stat().st_mtime_ns == before
    assert sorted(os.listdir()) == ["clip.mp4", "out"]


def other_source(_: Settings) -> None:
    write_video(Path("clip.mp4"), [noisy(n) for n in range(COUNT - 1)])


@pytest.mark.parametrize(
    ("more", "harm", "said"),
    [
        (["track.confirm_s=0.5"], None, "track.confirm_s was 0.08 and is 0.5"),
        (["decode.start_s=1"], None, "--start was 0.0 and is 1.0"),
        ([], other_source, "the source is another one, or was changed since"),
    ],
)
def test_an_unfinished_run_of_another_kind_is_refused_and_overwritten_if_asked(
    unfinished: None, more: list[str], harm: Callable[[Settings], None] | None, said: str
) -> None:
    if harm:
        harm(settings("out"))
    with pytest.raises(OutputError) as caught:
        run(settings("out", *more))
    assert str(caught.value) == (
        f"output out holds an unfinished run of another kind: {said}; --overwrite begins anew, "
        "another --output keeps it"
    )
    summary, failure = run(settings("out", "output.overwrite=true", *more))
    assert failure is None
    assert summary.sources[0].complete
    assert not [note for note in summary.run.notes if "continues" in note]


def test_what_changes_no_output_does_not_matter(unfinished: None, whole: dict[str, bytes]) -> None:
    summary, failure = run(settings("out", "runtime.quiet=true", "runtime.hang_after_s=60", "runtime.transport=inproc"))
    assert failure is None
    assert f"continues clip at frame 24 of {COUNT}" in summary.run.notes
    assert outputs("out") == whole


def test_a_damaged_commit_is_told(unfinished: None) -> None:
    path = Path("out/.segments/commit")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OutputError, match=r"commit is damaged, so the run cannot go on; --overwrite begins anew$"):
        run(settings("out"))
