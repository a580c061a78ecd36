"""How well identities are kept: IDF1, MOTA and identity switches, of tracks beside labelled people.

Letters: T tracks and G labelled people of a frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

F = NDArray[np.floating[Any]]

NEAR = 0.5
"""A track can be somebody from this similarity on."""


class Frame(NamedTuple):
    """The tracks of one frame beside its labels."""

    tracks: Sequence[int]
    """T identities, each once."""
    truth: Sequence[int]
    """G identities, each once."""
    similarity: F
    """(T, G) in 0..1, such as the overlap of boxes."""


class Identities(NamedTuple):
    """How well identities were kept over a clip."""

    idf1: float
    """Harmonic mean of the shares of tracks' and of people's frames that agree, when each track is one person."""
    switches: int
    """How often somebody got another track than the one before."""
    found: float
    """Share of people's frames in which a track was there at all."""
    mota: float
    """1 less misses, tracks of nobody and switches, each a share of people's frames; below 0 where there are more."""


def identities(frames: Sequence[Frame]) -> Identities:
    """Scores of a clip's frames in their order.

    Each is NaN where there is neither a track nor anybody. Source of IDF1: https://arxiv.org/abs/1609.01775; of MOTA
    and switches: https://doi.org/10.1155/2008/246309, where who was a person's track stays so while it is near enough.
    """
    together, tracks, people = Counter[tuple[int, int]](), Counter[int](), Counter[int]()
    track_of: dict[int, int] = {}
    switches = found = 0
    for frame in frames:
        tracks.update(frame.tracks)
        people.update(frame.truth)
        for at, whom in np.argwhere(frame.similarity >= NEAR).tolist():
            together[frame.tracks[at], frame.truth[whom]] += 1
        for person, track in _matched(frame, track_of).items():
            found += 1
            switches += track_of.get(person, track) != track
            track_of[person] = track
    whole = tracks.total() + people.total()
    wrong = people.total() - found + tracks.total() - found + switches
    return Identities(
        idf1=2 * _agreeing(together) / whole if whole else float("nan"),
        switches=switches,
        found=found / people.total() if people else float("nan"),
        mota=1 - wrong / people.total() if people else float("nan"),
    )


def _matched(frame: Frame, track_of: dict[int, int]) -> dict[int, int]:
    """Of each person who is found the track: the one from before where it is near, else as many as can be."""
    similarity = np.where(frame.similarity >= NEAR, frame.similarity, -1.0)
    for whom, person in enumerate(frame.truth):
        if track_of.get(person) in frame.tracks:
            at = list(frame.tracks).index(track_of[person])
            if similarity[at, whom] >= NEAR:
                similarity[at, whom] += len(frame.truth) + 1  # outweighs all others together
    rows, columns = linear_sum_assignment(-similarity)
    return {
        frame.truth[whom]: frame.tracks[at]
        for at, whom in zip(rows.tolist(), columns.tolist(), strict=True)
        if similarity[at, whom] >= NEAR
    }


def _agreeing(together: Counter[tuple[int, int]]) -> int:
    """Frames in which tracks are where their people are, when each track stands for one person, as well as can be."""
    if not together:
        return 0
    rows, columns = sorted({track for track, _ in together}), sorted({person for _, person in together})
    counts = np.array([[together[track, person] for person in columns] for track in rows])
    return int(counts[linear_sum_assignment(-counts)].sum())
