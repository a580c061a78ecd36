"""A line on the terminal that says where a run stands, and lines above it for what the stages have to say."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from stream.expected import Expected
from stream.live_rows import HEADINGS, LiveRows
from stream.runtime.progress import Progress

_WINDOW_S = 2.0
"""Over how long the rate and the limiting stage are taken."""


class ProgressLine:
    """Frames, frames a second, time left, people and the stage that limits; below it a row a live source.

    Nothing where there is no terminal, but for the notes.
    """

    def __init__(self, quiet: bool, expected: Expected) -> None:
        """Show on standard error, unless it is no terminal or `quiet`; `expected` tells what the whole is."""
        self._expected = expected
        console = self._console = Console(stderr=True, quiet=quiet)
        columns: list[ProgressColumn | str] = [
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}{task.fields[of]} frames"),
            TextColumn("{task.fields[fps]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[people]}{task.fields[limit]}"),
        ]
        self._shown = not quiet and console.is_terminal
        self._bar = Bar(*columns, console=console, auto_refresh=False)
        self._rows, self._table = LiveRows(), Table(box=None)
        self._live = Live(console=console, transient=True, get_renderable=lambda: Group(self._bar, self._table))
        self._task: TaskID = self._bar.add_task("loading the model", total=None, of="", fps="", people="", limit="")
        self._window: list[tuple[float, int, int, dict[str, float]]] = []
        self._notes_shown = 0

    def __enter__(self) -> ProgressLine:
        if self._shown:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Bring the line up to date, and put above it what is new to be said."""
        for note in progress.notes[self._notes_shown :]:
            self._console.print(note, markup=False, highlight=False, soft_wrap=True)
        self._notes_shown = len(progress.notes)
        if progress.started_s is None or not self._shown:
            return
        self._show_sources(progress)
        stages = progress.stages()
        done = progress.frames()
        people = sum(beat.people for beat in progress.beats.values())
        busy = {name: figures.busy_s for name, figures in stages.items()}
        self._window.append((time.monotonic(), done, people, busy))
        while self._window[-1][0] - self._window[0][0] > _WINDOW_S and len(self._window) > 2:
            self._window.pop(0)
        self._update(progress, done)

    def _show_sources(self, progress: Progress) -> None:
        rows = [figures.row() for figures in self._rows.figures(progress)]
        self._table = Table(*HEADINGS, box=None) if rows else Table(box=None)
        for row in rows:
            self._table.add_row(*(escape(cell) for cell in row))

    def _update(self, progress: Progress, done: int) -> None:
        (then_s, done_then, people_then, busy_then), (now_s, _, people, busy) = self._window[0], self._window[-1]
        spent_s, frames = now_s - then_s, done - done_then
        spent = {name: seconds - busy_then.get(name, 0.0) for name, seconds in busy.items()}
        slowest = max(spent, key=lambda name: spent[name], default="")
        total = self._expected.frames(progress)
        at = [name for name in progress.began if name not in progress.ended]
        self._bar.update(
            self._task,
            description=at[0] if at else "finishing",
            completed=done,
            total=total,
            of=f"/{total}" if total else "",
            fps=f"{frames / spent_s:.1f} fps" if spent_s > 0 else "",
            people=f"{(people - people_then) / frames:.1f} people" if frames else "",
            limit=f", limited by {slowest}" if spent_s > 0 and spent.get(slowest, 0) > 0.5 * spent_s else "",
        )
