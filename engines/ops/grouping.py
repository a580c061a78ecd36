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

    A candidate is the end of one limb of a kind at most, and a person has one candidate of a keypoint at most.

    Args:
        found: the candidates.
        fields: (2L, h, w) x and y of each limb's unit vectors, from its first to its second keypoint.
        limbs: L pairs of keypoints.
        keypoints: K.

    Source: https://arxiv.org/abs/1611.08050; greedy over all limbs at once.
    """
    pairs = [np.meshgrid(found.of(start), found.of(end), indexing="ij") for start, end in limbs]
    number = np.repeat(np.arange(len(limbs)), [first.size for first, _ in pairs])
    first, second = (np.concatenate([each[side].ravel() for each in pairs]) for side in (0, 1))
    scores = limb_scores(found.xy.take(first, 0), found.xy.take(second, 0), fields, number)
    sure = np.flatnonzero(scores)
    sure = sure[np.argsort(-scores[sure], kind="stable")]
    people: list[dict[int, int]] = [{kind: at} for at, kind in enumerate(found.kind.tolist())]
    whose = list(range(len(found)))
    taken: set[tuple[int, int]] = set()
    for limb, one, other in zip(number[sure].tolist(), first[sure].tolist(), second[sure].tolist(), strict=True):
        if (limb, one) in taken or (limb, -1 - other) in taken:
            continue
        taken |= {(limb, one), (limb, -1 - other)}
        mine, theirs = whose[one], whose[other]
        if mine != theirs and not people[mine].keys() & people[theirs].keys():
            people[mine] |= people[theirs]
            for at in people[theirs].values():
                whose[at] = mine
            people[theirs] = {}
    whole = [person for person in people if person]
    rows = np.full((len(whole), keypoints), -1)
    for at, person in enumerate(whole):
        rows[at, list(person)] = list(person.values())
    return rows


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
    way = ends - starts
    unit = way / np.maximum(np.hypot(way[:, :1], way[:, 1:]), np.finfo(np.float32).tiny)
    x, y = (
        np.clip(np.rint(starts[:, axis, None] + way[:, axis, None] * shares).astype(np.intp), 0, side - 1)
        for axis, side in ((0, w), (1, h))
    )
    at = (2 * h * w * number)[:, None] + y * w + x
    flat = fields.reshape(-1)
    along: F = flat.take(at) * unit[:, :1] + flat.take(at + h * w) * unit[:, 1:]
    return along
