"""A command whose output nobody takes: closed, broken or full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def shell(command: str) -> subprocess.CompletedProcess[str]:
    run = f"'{sys.executable}' '{ROOT / 'run_pipeline.py'}'"
    return subprocess.run(
        ["bash", "-c", command.format(run=run)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("{run} --help | true; exit ${{PIPESTATUS[0]}}", 0),
        ("{run} --help > /dev/full", 0),
        ("{run} --version > /dev/full", 0),
        ("{run} --version >&-", 0),
        ("{run} --version <&- >&- 2>&-", 0),
        ("{run} missing.mp4 2>&-", 3),
        ("{run} missing.mp4 2>/dev/full", 3),
        ("{run} --bogus 2>&- | cat; exit ${{PIPESTATUS[0]}}", 2),
    ],
)
def test_nothing_is_said_of_output_that_nobody_takes(command: str, code: int) -> None:
    done = shell(command)
    assert (done.returncode, done.stderr, done.stdout) == (code, "", "")


def test_errors_do_not_end_up_on_standard_output_when_standard_error_is_closed() -> None:
    assert shell("{run} missing.mp4 2>&-").stdout == ""


def test_a_closed_descriptor_is_not_taken_by_the_next_file() -> None:
    code = (
        "import os; from stream.standard_streams import make_unfailing; make_unfailing(); "
        "print(open('/dev/zero').fileno() > 2, os.get_inheritable(2))"
    )
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -c \"{code}\" 2>&-"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "True True\n"


def test_a_character_that_the_terminal_lacks_is_escaped() -> None:
    done = shell("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {run} $'m\\303\\274.mp4'")
    assert done.returncode == 3
    assert done.stderr.startswith("posestream: m")
    assert ".mp4: no such file" in done.stderr
