"""CSV: a row a person and frame, for spreadsheets, pandas and R."""

from __future__ import annotations

import csv
from pathlib import Path

from stream.export.clip import Clip
from stream.export.format import Format
from stream.export.table import columns, rows


def write(clip: Clip, path: Path) -> None:
    """Write the table of `stream.export.table`, names of the columns first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns(clip.skeleton))
        writer.writerows(rows(clip))


CSV = Format("csv", "keypoints.csv", write)
