"""TRC: a file a person, as Pose2Sim, Sports2D and OpenSim read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from engines.ops.skeleton import Skeleton
from stream.export.clip import Clip
from stream.export.format import Format
from stream.export.spans import Span, spans
from stream.records import Person, Record


def write(clip: Clip, folder: Path) -> None:
    """Write person_7.trc and so on; a row for each frame from a person's first to their last, empty where unseen.

    Y points up from the picture's lower edge and Z is 0. A pixel stands as a millimetre: OpenSim knows no pixels.
    """
    of_people, opened = spans(clip), dict[int, IO[str]]()
    try:
        for at, record in enumerate(clip):
            people = {person.id: person for person in record.people}
            for number in people.keys() - opened.keys():
                path = folder / f"person_{number}.trc"
                opened[number] = path.open("w", encoding="utf-8")
                opened[number].writelines(_header(path.name, clip.fps, of_people[number], clip.skeleton))
            for number, file in list(opened.items()):
                file.write(_row(record, people.get(number), clip.skeleton))
                if of_people[number].last == at:
                    opened.pop(number).close()
    finally:
        for file in opened.values():
            file.close()


def _header(name: str, fps: float, span: Span, skeleton: Skeleton) -> Iterator[str]:
    names = ["_".join(each.split()) for each in skeleton.names]
    rate, frames = f"{fps:.3f}", span.last - span.first + 1
    yield f"PathFileType\t4\t(X/Y/Z)\t{name}\n"
    yield "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
    yield f"{rate}\t{rate}\t{frames}\t{len(names)}\tmm\t{rate}\t{span.first_index + 1}\t{frames}\n"
    yield "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t\n"
    yield "\t\t" + "\t".join(f"X{at}\tY{at}\tZ{at}" for at in range(1, len(names) + 1)) + "\n"


def _row(record: Record, person: Person | None, skeleton: Skeleton) -> str:
    cells = [""] * 3 * skeleton.size
    if person is not None:
        cells = [cell for x, y, _ in person.keypoints for cell in (f"{x:.2f}", f"{record.height - y:.2f}", "0")]
    return f"{record.index + 1}\t{record.pts_s:.6f}\t" + "\t".join(cells) + "\n"


TRC = Format("trc", "trc/", write)
