"""MOT Challenge: boxes and identities as its evaluation programs read them."""

from __future__ import annotations

import csv
from pathlib import Path

from stream.export.clip import Clip
from stream.export.format import Format


def write(clip: Clip, path: Path) -> None:
    """Write frame, id, left, top, width, height, score, -1, -1, -1; frames and pixels count from 1, as it asks for."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for record in clip:
            for person in record.people:
                x1, y1, x2, y2 = person.box
                box = (round(x1 + 1, 2), round(y1 + 1, 2), round(x2 - x1, 2), round(y2 - y1, 2))
                writer.writerow((record.index + 1, person.id, *box, person.score, -1, -1, -1))


MOT = Format("mot", "mot.txt", write)
