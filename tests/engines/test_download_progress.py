"""What is said of a download while it goes on."""

from __future__ import annotations

import io
import re
import sys

import pytest

from engines.download import on_stderr


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stderr", screen)
    show = on_stderr("coco_v1")
    for mib in (0, 0, 100, 101, 226):
        show(mib << 20, 226 << 20)
    return screen.getvalue()


def test_a_log_gets_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(io.StringIO(), monkeypatch).splitlines() == [
        "downloading weights coco_v1: 0 of 226 MiB",
        "downloading weights coco_v1: 226 of 226 MiB",
    ]


def test_a_terminal_gets_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    text = written(_Terminal(), monkeypatch)
    assert re.findall(r"(\d+) of 226 MiB", text) == ["0", "100", "101", "226"]
    assert (text.count("\r"), text.count("\n"), text[-1]) == (3, 1, "\n")


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
