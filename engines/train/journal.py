"""What is told of a training: a line of progress, log.jsonl, TensorBoard's events and curves as a picture."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from configs.errors import OutputError
from engines.evaluation import plots
from engines.train.budget import line
from engines.train.events import Events
from engines.train.loop import Step

_EVERY_S = {True: 0.5, False: 20.0}
"""How often progress is shown: on a terminal, where the line is written over, and elsewhere."""
_LOG_EVERY_S = 10.0
_FORGETS = 0.98
"""Losses jump from step to step; shown is their moving average."""


class Journal:
    """The diary of one run in its folder; a resumed run goes on in it."""

    def __init__(self, folder: Path, quiet: bool, resumed_at: int | None = None) -> None:
        """Open the files.

        Args:
            folder: of the run.
            quiet: nothing is shown, all is written.
            resumed_at: the step that a resumed run begins with: what was written of later ones is dropped; None: anew.

        Raises:
            OutputError: they cannot be written.
        """
        self._quiet, self._path = quiet, folder / "log.jsonl"
        self.entries = _kept(self._path, resumed_at)
        self._smooth: dict[str, float] = {}
        self._count, self._shown_at, self._logged_at = 0, 0.0, time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = self._path.open("w", encoding="utf-8")
            self._log.writelines(f"{json.dumps(entry)}\n" for entry in self.entries)
            self._log.flush()
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}") from error
        self._events = Events(folder / "events", time.time())

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()
        self._events.__exit__(kind, error, trace)
        if not self._quiet and sys.stderr.isatty():
            print(file=sys.stderr)

    def step(self, step: Step) -> None:
        """Take note of a step; now and then it is shown and written."""
        for name, value in step.losses.items():
            self._smooth[name] = self._smooth.get(name, 0.0) * _FORGETS + (1 - _FORGETS) * value
        self._count += 1
        now = time.monotonic()
        losses = {name: value / (1 - _FORGETS**self._count) for name, value in self._smooth.items()}
        if now - self._logged_at >= _LOG_EVERY_S or step.done >= 1 or self._count == 1:
            self._logged_at = now
            self._write(step, {f"loss/{name}": value for name, value in losses.items()} | {"rate": step.rate})
        terminal = sys.stderr.isatty()
        if not self._quiet and (now - self._shown_at >= _EVERY_S[terminal] or step.done >= 1):
            self._shown_at = now
            speed = step.samples / step.elapsed_s if step.elapsed_s else 0.0
            text = line(step.number, step.done, step.elapsed_s, speed, losses)
            print(f"\r{text:<118.118}" if terminal else text, end="" if terminal else "\n", file=sys.stderr, flush=True)

    def score(self, step: Step, scores: Mapping[str, float]) -> None:
        """Take note of how good the network is after a step, and draw the curves anew."""
        self._write(step, {f"score/{name}": value for name, value in scores.items()})
        if not self._quiet:
            said = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
            before = "\n" if sys.stderr.isatty() else ""
            print(f"{before}step {step.number}: {said}", file=sys.stderr, flush=True)
        try:
            plots.write_training(self.entries, self._path.with_name("curves.png"))
        except OSError as error:
            raise OutputError(f"curves.png cannot be written: {error.strerror}") from error

    def best(self, name: str) -> float:
        """The highest score of that name so far; -inf: there is none."""
        return max((entry[f"score/{name}"] for entry in self.entries if f"score/{name}" in entry), default=-math.inf)

    def _write(self, step: Step, values: Mapping[str, float]) -> None:
        about = {"step": step.number, "samples": step.samples, "elapsed_s": round(step.elapsed_s, 2)}
        entry: dict[str, Any] = about | {name: round(value, 6) for name, value in values.items()}
        self.entries.append(entry)
        try:
            self._log.write(f"{json.dumps(entry)}\n")
            self._log.flush()
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}") from error
        self._events.add(step.number, values, time.time())


def _kept(path: Path, resumed_at: int | None) -> list[dict[str, Any]]:
    """What is in the log of the steps up to the one that a run is resumed at."""
    if resumed_at is None or not path.exists():
        return []
    entries = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(text)
        except ValueError:  # cut short when the run was killed
            continue
        if entry["step"] <= resumed_at:
            entries.append(entry)
    return entries
