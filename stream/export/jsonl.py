"""Our own keypoints.jsonl: what other programs' records become."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stream.export.clip import RECORDS, Clip
from stream.export.format import Format


def write(clip: Clip, path: Path) -> None:
    """Write a record a line."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for record in clip:
            file.write(encoder.encode(record) + b"\n")


JSONL = Format("jsonl", RECORDS, write)
