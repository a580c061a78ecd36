"""Candidates become people by tags or along limbs: as slow, obvious searches have it, and exactly from true maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations

import numpy as np
import pytest

from engines.bottom_up.tags import tags_at
from engines.ops.candidates import Candidates, candidates
from engines.ops.grouping import TAG_MAX, by_limbs, by_tags, limb_scores
from engines.ops.skeleton import COCO
from tests.engines.bottom_up.true_maps import Crowd, crowd, whose

People = set[frozenset[int]]
LIMBS = ((0, 1), (1, 2), (0, 2), (2, 3))


def some(rng: np.random.Generator, keypoints: int, least: int, most: int, hw: tuple[int, int]) -> Candidates:
    counts = rng.integers(least, most + 1, keypoints)
    kind = np.repeat(np.arange(keypoints), counts)
    xy = rng.uniform(0, np.array(hw[::-1]) - 1, (len(kind), 2)).astype(np.float32)
    return Candidates(kind, xy, rng.uniform(0.3, 1, len(kind)).astype(np.float32), np.rint(xy).astype(np.intp))


def sets(people: np.ndarray) -> People:
    return {frozenset(person[person >= 0].tolist()) for person in people}


def matchings(rows: Sequence[int], columns: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """Every way of pairing some of the rows with some of the columns."""
    for size in range(min(len(rows), len(columns)) + 1):
        for chosen in combinations(rows, size):
            for others in permutations(columns, size):
                yield list(zip(chosen, others, strict=True))


def slow_by_tags(found: Candidates, tags: np.ndarray, order: Sequence[int]) -> People:
    people: list[list[int]] = []
    for kind in order:
        mine = found.of(kind).tolist()
        means = [tags[person].mean(0) for person in people]
        costs = {
            (at, number): float(np.linalg.norm(tags[at] - mean)) for at in mine for number, mean in enumerate(means)
        }
        allowed = [
            pairs for pairs in matchings(mine, range(len(people))) if all(costs[pair] < TAG_MAX for pair in pairs)
        ]
        best = min(
            allowed,
            key=lambda pairs: (-len(pairs), sum(costs[pair] - 1e-3 * float(found.scores[pair[0]]) for pair in pairs)),
        )
        taken = {at for at, _ in best}
        for at, number in best:
            people[number].append(at)
        people += [[at] for at in mine if at not in taken]
    return {frozenset(person) for person in people}


def slow_by_limbs(found: Candidates, fields: np.ndarray, limbs: Sequence[tuple[int, int]]) -> People:
    joined = []
    for number, (start, end) in enumerate(limbs):
        for one in found.of(start).tolist():
            for other in found.of(end).tolist():
                score = slow_limb(found.xy[one], found.xy[other], fields[2 * number : 2 * number + 2])
                joined.append((score, number, one, other))
    people = [{at} for at in range(len(found))]
    ends: list[tuple[int, int]] = []
    for score, number, one, other in sorted(joined, reverse=True):
        if score > 0 and (number, one) not in ends and (number, other) not in ends:
            ends += [(number, one), (number, other)]
            mine, theirs = (next(person for person in people if at in person) for at in (one, other))
            if mine is not theirs and not {found.kind[at] for at in mine} & {found.kind[at] for at in theirs}:
                people.remove(theirs)
                mine |= theirs
    return {frozenset(person) for person in people}


def slow_limb(start: np.ndarray, end: np.ndarray, field: np.ndarray) -> float:
    """The mean of the field along a row of 11 points, if the middle one and seven in ten of all go along it."""
    unit = (end - start) / np.linalg.norm(end - start)
    h, w = field.shape[1:]
    along = []
    for share in np.linspace(0, 1, 11, dtype=np.float32):
        x, y = np.rint(start + share * (end - start)).astype(int)
        along.append(float(field[:, min(max(y, 0), h - 1), min(max(x, 0), w - 1)] @ unit))
    return float(np.mean(along)) if along[5] > 0.2 and np.mean(np.array(along) > 0.2) >= 0.7 else 0.0


@pytest.mark.parametrize("seed", range(12))
def test_tags_group_as_the_slow_search_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = some(rng, 4, 0, 3, (20, 20))
    tags = rng.uniform(0, 2.5, (len(found), 2)).astype(np.float32)
    order = rng.permutation(4).tolist()
    assert sets(by_tags(found, tags, 4, order)) == slow_by_tags(found, tags, order)


@pytest.mark.parametrize("seed", range(12))
def test_limbs_group_as_the_slow_search_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = some(rng, 4, 2, 4, (16, 24))
    fields = rng.normal(0.5, 0.4, (2 * len(LIMBS), 16, 24)).astype(np.float32)
    got = by_limbs(found, fields, LIMBS, 4)
    assert sets(got) == slow_by_limbs(found, fields, LIMBS)
    assert max(len(person) for person in sets(got)) > 1  # or nothing is compared


def test_a_limb_has_the_score_of_the_slow_search() -> None:
    rng = np.random.default_rng(5)
    starts, ends = rng.uniform(-1, 24, (2, 300, 2)).astype(np.float32)
    field = rng.normal(0.5, 0.4, (2, 16, 24)).astype(np.float32)
    fields = np.concatenate((np.zeros_like(field), field))
    scores = limb_scores(starts, ends, fields, np.ones(300, np.intp))
    slow = [slow_limb(start, end, field) for start, end in zip(starts, ends, strict=True)]
    np.testing.assert_allclose(scores, slow, atol=1e-5)
    assert 0.1 < (scores > 0).mean() < 0.9


def grouped(kind: str, from_maps: Crowd) -> tuple[Candidates, np.ndarray]:
    found = candidates(from_maps.heat, 0.3, 200)
    if kind == "paf":
        return found, by_limbs(found, from_maps.fields, COCO.limbs, 17)
    return found, by_tags(found, tags_at(from_maps.tags, found.kind, found.cells), 17, range(17))


@pytest.mark.parametrize("kind", ["tags", "paf"])
def test_fifty_people_are_grouped_exactly_from_true_maps(kind: str) -> None:
    fifty = crowd(seed=3, columns=10, rows=5, cells=20, tall=17)
    found, people = grouped(kind, fifty)
    assert len(people) == 50
    assert whose(found, people, fifty.xy) == set(range(50))


def test_tags_part_people_who_stand_in_each_other() -> None:
    crossed = crowd(seed=4, columns=6, rows=1, cells=10, tall=40)
    found, people = grouped("tags", crossed)
    boxes = np.concatenate((crossed.xy.min(1), crossed.xy.max(1)), 1)
    assert (boxes[:-1, 2] > boxes[1:, 0]).any()  # or nobody stands in anybody
    assert whose(found, people, crossed.xy) == set(range(6))


@pytest.mark.parametrize("kind", ["tags", "paf"])
def test_who_is_who_does_not_hang_on_the_order_of_candidates(kind: str) -> None:
    few = crowd(seed=5, columns=3, rows=2, cells=20, tall=17)
    found, _ = grouped(kind, few)
    order = np.lexsort((np.random.default_rng(0).random(len(found)), found.kind))
    shuffled = Candidates(found.kind[order], found.xy[order], found.scores[order], found.cells[order])
    group: Callable[[Candidates], np.ndarray] = (
        (lambda some: by_limbs(some, few.fields, COCO.limbs, 17))
        if kind == "paf"
        else (lambda some: by_tags(some, tags_at(few.tags, some.kind, some.cells), 17, range(17)))
    )
    assert {frozenset(order[list(person)].tolist()) for person in sets(group(shuffled))} == sets(group(found))


def test_a_limb_without_length_joins_nothing() -> None:
    place = np.full((1, 2), 3, np.float32)
    assert limb_scores(place, place, np.ones((2, 8, 8), np.float32), np.zeros(1, np.intp)) == 0


@pytest.mark.parametrize("kind", ["tags", "paf"])
def test_nobody_is_made_of_nothing(kind: str) -> None:
    empty = Crowd(np.zeros((0, 17, 2)), np.zeros((17, 8, 8), np.float32), np.zeros((34, 8, 8)), np.zeros((38, 8, 8)))
    assert grouped(kind, empty)[1].shape == (0, 17)
