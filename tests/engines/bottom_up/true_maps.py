"""Crowds whose maps are as a perfect network would give them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from engines.bottom_up import targets
from engines.bottom_up.tags import CELLS
from engines.ops.candidates import Candidates
from engines.ops.skeleton import COCO
from engines.train.body import Build, any_pose, joints

F = NDArray[np.floating[Any]]


class Crowd(NamedTuple):
    """N people with all of their keypoints in the picture, and maps of h x w cells."""

    xy: F
    """(N, 17, 2) in cells."""
    heat: F
    """(17, h, w) in 0..1."""
    tags: F
    """(34, h, w): each keypoint's leads to the middle of its person."""
    fields: F
    """(38, h, w)."""


def crowd(seed: int, columns: int, rows: int, cells: float, tall: float) -> Crowd:
    """People in columns and rows so many cells apart, each up to a fifth of that beside its place and so tall."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
    middles = (places + rng.uniform(-0.2, 0.2, places.shape)) * cells + 0.8 * tall
    shapes = np.stack([joints(any_pose(rng), Build()).keypoints()[:, :2] for _ in middles])
    shapes = shapes - (shapes.max(1, keepdims=True) + shapes.min(1, keepdims=True)) / 2
    xy = (middles[:, None] + tall * shapes).astype(np.float32)
    hw = (int((rows - 1) * cells + 1.6 * tall), int((columns - 1) * cells + 1.6 * tall))
    return maps(xy, np.ones(xy.shape[:2], bool), hw)


def maps(xy: F, labelled: NDArray[np.bool_], hw: tuple[int, int]) -> Crowd:
    """The maps of people whose keypoints (N, 17, 2) are given in cells."""
    given, known = torch.from_numpy(xy), torch.from_numpy(labelled)
    heat = targets.heat(given, known, hw, torch.full((len(xy),), 1.2))
    fields, _ = targets.fields(given, known, COCO.limbs, hw, torch.ones(len(xy)))
    return Crowd(xy, heat.numpy(), _tags(xy, labelled, hw), fields.flatten(0, 1).numpy())


def _tags(xy: F, labelled: NDArray[np.bool_], hw: tuple[int, int]) -> F:
    tags = np.zeros((xy.shape[1], 2, *hw), np.float32)
    ys, xs = np.mgrid[: hw[0], : hw[1]]
    nearest = np.full((xy.shape[1], *hw), np.inf)
    for person, known in zip(xy, labelled, strict=True):
        middle = person[known].mean(0)
        for kind in np.flatnonzero(known):
            away = np.hypot(xs - person[kind, 0], ys - person[kind, 1])
            mine = away < nearest[kind]
            nearest[kind][mine] = away[mine]
            way = np.stack((middle[0] - xs, middle[1] - ys)) / CELLS
            tags[kind][:, mine] = way[:, mine]
    return tags.reshape(-1, *hw)


def whose(found: Candidates, people: NDArray[np.intp], xy: F) -> set[int]:
    """Numbers of the people (N, K, 2), in cells, all of whose keypoints were grouped, with those of nobody else."""
    whole = set()
    for person in people[(people >= 0).all(1)]:
        off = np.linalg.norm(found.xy[person] - xy, axis=-1).max(1)
        whole |= set(np.flatnonzero(off < 0.5).tolist())
    return whole
