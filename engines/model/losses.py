"""What keypoints cost: each loss says it for every keypoint alone, (N, K); the last functions make one number of them.

A keypoint that is not labelled has weight 0. Letters: N people, K keypoints, h x w cells; places are in cells as in
`targets`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from engines.model import targets


def one_hot(logits: Tensor, xy_cells: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the softmax over all cells of logits (N, K, h, w) with the cell that each keypoint lies in.

    Returns:
        (N, K) the loss, 0 for places beyond the map, and (N, K) 1 on the map, else 0: a factor for the weights.

    Source: https://arxiv.org/abs/1703.06870.
    """
    which, inside = targets.one_hot(xy_cells, (logits.shape[2], logits.shape[3]))
    loss = -logits.flatten(2).log_softmax(2).gather(2, which[..., None])[..., 0]
    return torch.where(inside, loss, 0), inside.to(logits.dtype)


def soft_cells(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of the softmax over all cells with shares (N, K, h, w) that sum to 1: see `targets.soft_cells`."""
    return -(shares.flatten(2) * logits.flatten(2).log_softmax(2)).sum(2)


def pixel_bce(logits: Tensor, heat: Tensor) -> Tensor:
    """Mean binary cross-entropy of each cell's own sigmoid with a heat map in 0..1."""
    return functional.binary_cross_entropy_with_logits(logits, heat, reduction="none").mean((2, 3))


def mse(maps: Tensor, heat: Tensor) -> Tensor:
    """Mean squared difference of maps from heat maps."""
    return (maps - heat).square().mean((2, 3))


def focal(logits: Tensor, heat: Tensor, alpha: float = 2.0, beta: float = 4.0) -> Tensor:
    """Penalty-reduced focal loss of each cell's own sigmoid: the highest cell of the heat map is the only positive.

    Args:
        logits: (N, K, h, w).
        heat: (N, K, h, w) in 0..1: the nearer to 1 a cell is, the less it costs to take it for the keypoint.
        alpha: how little easy cells cost.
        beta: how little cells near the keypoint cost.

    Source: https://arxiv.org/abs/1808.01244, equation 1.
    """
    share = logits.sigmoid()
    positive = heat == heat.amax((2, 3), keepdim=True)
    hit = (1 - share).pow(alpha) * functional.logsigmoid(logits)
    miss = (1 - heat).pow(beta) * share.pow(alpha) * functional.logsigmoid(-logits)
    return -torch.where(positive, hit, miss).sum((2, 3))


def distance(xy_cells: Tensor, truth_cells: Tensor, beta: float = 1.0) -> Tensor:
    """Smooth L1 distance of places (N, K, 2), as those of `targets.soft_argmax`; quadratic below `beta` cells."""
    return functional.smooth_l1_loss(xy_cells, truth_cells, beta=beta, reduction="none").sum(2)


def offsets(predicted: Tensor, xy_cells: Tensor, radius: float) -> Tensor:
    """Mean L1 distance of offsets (N, K, 2, h, w) from true ones, over the cells within the radius of the keypoint."""
    true, near = targets.offsets(xy_cells, (predicted.shape[3], predicted.shape[4]), radius)
    off = (predicted - true).abs().sum(2) * near
    return off.sum((2, 3)) / near.sum((2, 3)).clamp(min=1)


def visibility(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of logits (N, K, 3) with what (N, K) says: 0 not labelled, 1 hidden, 2 visible."""
    return functional.cross_entropy(logits.flatten(0, 1), truth.flatten().long(), reduction="none").view(truth.shape)


def distillation(logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """How far the softmax over all cells is from a teacher's, both (N, K, h, w) at a temperature: KL divergence.

    Times the temperature's square, which keeps its gradients as large. A teacher's points are no case for this: they
    are labels, weighted by its confidence. Source: https://arxiv.org/abs/1503.02531.
    """
    own, wanted = ((maps / temperature).flatten(2).log_softmax(2) for maps in (logits, teacher))
    return (wanted.exp() * (wanted - own)).sum(2) * temperature**2


def mean(losses: Tensor, weights: Tensor) -> Tensor:
    """The mean of losses (N, K) by weights (N, K); 0 where all weights are 0."""
    return (losses * weights).sum() / weights.sum().clamp(min=torch.finfo(losses.dtype).tiny)


def hardest_mean(losses: Tensor, weights: Tensor, count: int) -> Tensor:
    """The mean over the `count` keypoints of each person that cost most, by weights ("online hard keypoint mining").

    Source: https://arxiv.org/abs/1711.07319.
    """
    hardest = (losses * (weights > 0)).topk(min(count, losses.shape[1]), dim=1).indices
    return mean(losses.gather(1, hardest), weights.gather(1, hardest))


def total(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of the losses of all tasks; one that has no weight counts as it is.

    Raises:
        ValueError: a weight is for a loss that is not there.
    """
    unknown = sorted(set(weights) - set(losses))
    if unknown:
        raise ValueError(f"a weight is given for {', '.join(unknown)}; the losses are {', '.join(sorted(losses))}")
    return torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
