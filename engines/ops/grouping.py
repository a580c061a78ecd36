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
_SHARES = np.linspace(0, 1, 11, dtype=np.float32)
"""Where on its way a limb is looked at."""
_MIDDLE = _SHARES[5:6]
_FIELD_MIN = 0.2
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

    A candidate is the end of one limb of a kind at most, and a person has one candidate of a keypoint at most.

    Args:
        found: the candidates.
        fields: (2L, h, w) x and y of each limb's unit vectors, from its first to its second keypoint.
        limbs: L pairs of keypoints.
        keypoints: K.

    Source: https://arxiv.org/abs/1611.08050; greedy over all limbs at once.
    """
    of = [found.of(kind) for kind in range(keypoints)]
    number = np.repeat(np.arange(len(limbs)), [len(of[start]) * len(of[end]) for start, end in limbs])
    first = np.concatenate([np.repeat(of[start], len(of[end])) for start, end in limbs])
    second = np.concatenate([np.tile(of[end], len(of[start])) for start, end in limbs])
    scores = limb_scores(found.xy.take(first, 0), found.xy.take(second, 0), fields, number)
    sure = np.flatnonzero(scores)
    sure = sure[np.argsort(-scores[sure], kind="stable")]
    return _joined(found, number[sure], first[sure], second[sure], keypoints)


def _joined(found: Candidates, number: I, first: I, second: I, keypoints: int) -> I:
    """(P, K) people where limbs are joined in this order: of each its kind and its two candidates."""
    kinds = [1 << kind for kind in found.kind.tolist()]  # of each person, a bit a keypoint
    members = [[at] for at in range(len(found))]
    whose = list(range(len(found)))
    begun, ended = set[int](), set[int]()
    begins, ends = (number * len(found) + first).tolist(), (number * len(found) + second).tolist()
    for begin, end, one, other in zip(begins, ends, first.tolist(), second.tolist(), strict=True):
        if begin in begun or end in ended:
            continue
        begun.add(begin)
        ended.add(end)
        mine, theirs = whose[one], whose[other]
        if not kinds[mine] & kinds[theirs]:
            kinds[mine] |= kinds[theirs]
            members[mine] += members[theirs]
            for at in members[theirs]:
                whose[at] = mine
    person, row = np.unique(whose, return_inverse=True)
    people = np.full((len(person), keypoints), -1)
    people[row, found.kind] = np.arange(len(found))
    return people


def limb_scores(starts: F, ends: F, fields: Maps, number: I) -> F:
    """(P,) how well limbs' fields run along the ways from P places to P others; 0: they do not.

    The mean of the field along the way, in a row of points that reaches from one end to the other. It is 0 where the
    field in the middle does not go along, so most pairs are done with after one point.

    Args:
        starts: (P, 2) in cells.
        ends: (P, 2) in cells.
        fields: (2L, h, w).
        number: (P,) which limb.
    """
    scores = np.zeros(len(number), np.float32)
    some = np.flatnonzero(_along(starts, ends, fields, number, _MIDDLE)[:, 0] > _FIELD_MIN)
    along = _along(starts[some], ends[some], fields, number[some], _SHARES)
    scores[some] = np.where((along > _FIELD_MIN).mean(-1) >= _ALONG_MIN, along.mean(-1), 0)
    return scores


def _along(starts: F, ends: F, fields: Maps, number: I, shares: F) -> F:
    """(P, S) the part of the field that goes along the way, at shares (S,) of it; 0 where the way has no length."""
    h, w = fields.shape[1:]
    way_x, way_y = (ends - starts).T
    length = np.maximum(np.hypot(way_x, way_y), np.finfo(np.float32).tiny)
    x = np.rint(starts[:, :1] + way_x[:, None] * shares).astype(np.intp).clip(0, w - 1)
    y = np.rint(starts[:, 1:] + way_y[:, None] * shares).astype(np.intp).clip(0, h - 1)
    at = (2 * h * w * number)[:, None] + y * w + x
    flat = fields.reshape(-1)
    along: F = flat.take(at) * (way_x / length)[:, None] + flat.take(at + h * w) * (way_y / length)[:, None]
    return along
