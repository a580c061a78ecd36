"""Candidates to people: by tags (associative embedding) or along limbs (part affinity fields).

Both give (P, K) indices of candidates, -1 where a person lacks a keypoint. Letters: M candidates, P people, K
keypoints, L limbs, h x w cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from engines.ops.candidates import Candidates, F, I, Maps

TAG_MAX = 1.0
"""Tags of one person differ by less."""
_NEVER = 1e6
_POINTS = 12
"""A limb is looked at in so many points."""
_FIELD_MIN = 0.1
"""A point of a limb counts where the field along it is at least this..."""
_ALONG_MIN = 0.7
"""...and a limb that has at least this share of such points may be one."""


def by_tags(found: Candidates, tags: Maps, keypoints: int, order: Sequence[int]) -> I:
    """People whose tags are alike, joint by joint: each is given to the person whose mean tag is nearest.

    Args:
        found: the candidates.
        tags: (M, D) of each.
        keypoints: K.
        order: in which keypoints are looked at; those that are seen best first.

    Source: https://arxiv.org/abs/1611.05424, with an optimal assignment a joint.
    """
    people = np.full((len(found), keypoints), -1)  # never more people than candidates
    sums, counts = np.zeros_like(tags, np.float64), np.zeros((len(found), 1))
    count = 0
    for kind in order:
        mine = found.of(kind)
        apart = np.linalg.norm(tags[mine][:, None] - sums[:count] / np.maximum(counts[:count], 1), axis=-1)
        # Of two that are as near the surer one: a thousandth of the distance, at most.
        cost = np.where(apart < TAG_MAX, apart - 1e-3 * found.scores[mine][:, None], _NEVER)
        rows, columns = linear_sum_assignment(cost)
        fits = cost[rows, columns] < _NEVER
        whom = np.full(len(mine), -1)
        whom[rows[fits]] = columns[fits]
        alone = np.flatnonzero(whom < 0)
        whom[alone] = count + np.arange(len(alone))
        count += len(alone)
        people[whom, kind] = mine
        sums[whom] += tags[mine]
        counts[whom] += 1
    return people[:count]


def by_limbs(found: Candidates, fields: Maps, limbs: Sequence[tuple[int, int]], keypoints: int) -> I:
    """People whose keypoints are joined by limbs that the fields show; the surest limbs are joined first.

    Args:
        found: the candidates.
        fields: (2L, h, w) x and y of each limb's unit vectors, from its first to its second keypoint.
        limbs: L pairs of keypoints.
        keypoints: K.

    Source: https://arxiv.org/abs/1611.08050.
    """
    joined: list[tuple[float, int, int]] = []
    for number, (start, end) in enumerate(limbs):
        first, second = found.of(start), found.of(end)
        scores = limb_scores(found.xy[first], found.xy[second], fields[2 * number], fields[2 * number + 1])
        rows, columns = linear_sum_assignment(-scores)
        sure = scores[rows, columns] > 0
        joined += zip(
            scores[rows, columns][sure].tolist(),
            first[rows[sure]].tolist(),
            second[columns[sure]].tolist(),
            strict=True,
        )
    people: list[dict[int, int]] = [{int(kind): at} for at, kind in enumerate(found.kind)]
    whose = list(range(len(found)))
    for _, one, other in sorted(joined, key=lambda each: (-each[0], each[1], each[2])):
        mine, theirs = whose[one], whose[other]
        if mine != theirs and not people[mine].keys() & people[theirs].keys():
            people[mine] |= people[theirs]
            for at in people[theirs].values():
                whose[at] = mine
            people[theirs] = {}
    whole = [person for person in people if person]
    rows = np.full((len(whole), keypoints), -1)
    for number, person in enumerate(whole):
        rows[number, list(person)] = list(person.values())
    return rows


def limb_scores(starts: F, ends: F, x: Maps, y: Maps) -> F:
    """(A, B) how well a limb's field (h, w) runs along the way from each of A places to each of B; 0: it does not.

    The mean of the field along the way, in a row of points that reaches from one end to the other.
    """
    way = ends[None] - starts[:, None]
    length = np.linalg.norm(way, axis=-1)
    unit = way / np.maximum(length, 1e-6)[..., None]
    points = starts[:, None, None] + way[:, :, None] * np.linspace(0, 1, _POINTS, dtype=np.float32)[:, None]
    h, w = x.shape
    columns = np.clip(np.rint(points[..., 0]).astype(np.intp), 0, w - 1)
    rows = np.clip(np.rint(points[..., 1]).astype(np.intp), 0, h - 1)
    along = x[rows, columns] * unit[..., None, 0] + y[rows, columns] * unit[..., None, 1]
    runs = (along > _FIELD_MIN).mean(-1) >= _ALONG_MIN
    scores: F = np.where(runs & (length > 0), along.mean(-1), 0).astype(np.float32)
    return scores
