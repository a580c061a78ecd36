"""NumPy: one .npz with an array a field; D detections over all frames, K keypoints."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from stream.export.clip import Clip
from stream.export.format import Format
from stream.records import Record

_CHUNK_BYTES = 1 << 16


def write(clip: Clip, path: Path) -> None:
    """Write arrays that `numpy.load` reads, their rows gathered in temporary files.

    Of each of the T frames: frame (T,), time_s (T,), epoch (T,). Of each of the D detections: at (D,) its frame's
    place in the former, id (D,), score (D,), box (D, 4), keypoints (D, K, 3), raw_keypoints (D, K, 2), predicted (D,).
    Besides: names (K,), size (2,) width and height of the last frame.
    """
    count, size = 0, (0, 0)
    with ExitStack() as opened, ZipFile(path, "w", ZIP_DEFLATED) as archive:
        columns: dict[str, _Column] = {}
        for count, record in enumerate(clip, 1):
            size = (record.width, record.height)
            for name, values in _values(record, count - 1, clip.skeleton.size):
                if name not in columns:
                    columns[name] = _Column(opened.enter_context(tempfile.TemporaryFile()))
                columns[name].add(values)
        for name, column in columns.items():
            column.copy(archive, name)
        for name, array in (("names", np.array(clip.skeleton.names)), ("size", np.array(size))):
            with archive.open(f"{name}.npy", "w") as file:
                npy.write_array(file, array)


def _values(record: Record, at: int, keypoints: int) -> Iterator[tuple[str, NDArray[Any]]]:
    people = record.people
    yield "frame", np.array([record.index])
    yield "time_s", np.array([record.pts_s])
    yield "epoch", np.array([record.epoch])
    yield "at", np.full(len(people), at)
    yield "id", np.array([person.id for person in people], int)
    yield "score", np.array([person.score for person in people], float)
    yield "box", np.array([person.box for person in people], float).reshape(-1, 4)
    yield "keypoints", np.array([person.keypoints for person in people], float).reshape(-1, keypoints, 3)
    yield "raw_keypoints", np.array([person.raw_keypoints for person in people], float).reshape(-1, keypoints, 2)
    yield "predicted", np.array([person.tracked != "seen" for person in people], bool)


class _Column:
    """An array that grows by rows, in a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._rows = file, 0
        self._last: NDArray[Any] = np.zeros(0)

    def add(self, rows: NDArray[Any]) -> None:
        self._file.write(rows.tobytes())
        self._rows, self._last = self._rows + len(rows), rows

    def copy(self, archive: ZipFile, name: str) -> None:
        header = {
            "descr": npy.dtype_to_descr(self._last.dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._last.shape[1:]),
        }
        self._file.seek(0)
        with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
            npy.write_array_header_2_0(file, header)
            while chunk := self._file.read(_CHUNK_BYTES):
                file.write(chunk)


NPZ = Format("npz", "keypoints.npz", write)
