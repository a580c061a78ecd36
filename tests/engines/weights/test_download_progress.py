"""What is said of a download while it goes on."""

from __future__ import annotations

import io
import os
import pty
import sys
from collections.abc import Sequence

import pytest

from engines.weights.download import on_stderr

WHOLE_MIB = 226
SAID = [(mib << 20, WHOLE_MIB << 20) for mib in (0, *range(WHOLE_MIB + 1))]
"""The begin twice, as when a server has to be asked again."""


def on_terminal(
    said: Sequence[tuple[int, int | None]], monkeypatch: pytest.MonkeyPatch, ticks_s: Sequence[float]
) -> str:
    """Give what a terminal gets; it ends each line with a carriage return too."""
    screen, end = pty.openpty()
    times_s = iter(ticks_s)
    with os.fdopen(end, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        show = on_stderr("coco_v1", lambda: next(times_s))
        for done, total in said:
            show(done, total)
    text = b""
    try:
        while chunk := os.read(screen, 4096):
            text += chunk
    except OSError:  # so Linux says that nobody writes any more
        pass
    os.close(screen)
    return text.decode()


def on_log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    show = on_stderr("coco_v1")
    for done, total in SAID:
        show(done, total)
    return screen.getvalue().splitlines()


def test_a_log_gets_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_log(monkeypatch) == [
        "downloading weights coco_v1: 0 of 226 MiB",
        "downloading weights coco_v1: 226 of 226 MiB",
    ]


def test_a_terminal_gets_a_line_each_tenth_in_the_place_of_what_stood_there(monkeypatch: pytest.MonkeyPatch) -> None:
    at_tenths = [-(-WHOLE_MIB * tenth // 10) for tenth in range(11)]
    assert on_terminal(SAID, monkeypatch, []) == "".join(
        f"\r\x1b[2Kdownloading weights coco_v1: {mib} of 226 MiB\r\n" for mib in at_tenths
    )


def test_without_a_length_a_terminal_is_told_each_5_s(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks_s = [100, 101, 104.9, 105, 109, 113, 114]
    said = [*((mib << 20, None) for mib in range(len(ticks_s))), (9 << 20, 9 << 20)]
    assert on_terminal(said, monkeypatch, ticks_s) == "".join(
        f"\r\x1b[2Kdownloading weights coco_v1: {progress} MiB\r\n" for progress in ("0", "3", "5", "9 of 9")
    )


def test_without_a_length_it_says_how_much_came(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    show = on_stderr("coco_v1")
    show(0, None)
    show(5 << 20, 5 << 20)
    assert screen.getvalue().splitlines() == [
        "downloading weights coco_v1: 0 MiB",
        "downloading weights coco_v1: 5 of 5 MiB",
    ]


def test_who_wants_quiet_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSESTREAM_QUIET", "1")
    assert on_log(monkeypatch) == []
    assert on_terminal(SAID, monkeypatch, []) == ""
    monkeypatch.setenv("POSESTREAM_QUIET", "0")
    assert len(on_log(monkeypatch)) == 2
