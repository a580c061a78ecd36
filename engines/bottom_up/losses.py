"""What the maps of a picture cost. Letters: N people, K keypoints, L limbs, h x w cells."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

MARGIN = 2.0
"""Tags of two people differ by at least this; those of one person lie within half of it."""
_TINY = 1e-6
"""Keeps the slope of a root finite at 0."""
_BACKGROUND = 0.1
"""How much a cell without a limb counts, beside one that a limb crosses."""


def heat(logits: Tensor, wanted: Tensor, mask: Tensor, people: int) -> Tensor:
    """Focal loss of heat maps (K, h, w) with targets in 0..1 that need not be 0 or 1, a person's keypoint.

    It is least where the sigmoid equals the target, so peaks between cells stay between cells.
    Source: https://arxiv.org/abs/2006.04388, equation 3.
    """
    off = (wanted - logits.sigmoid()).square()
    each = off * functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (each * mask).sum() / (max(people, 1) * len(logits))


def tags(found: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    """Pull: how far tags (N, K, D) are from their person's mean; push: how much less than `MARGIN` means are apart.

    Source: https://arxiv.org/abs/1611.05424, with a margin in place of the Gaussian, and a pull that grows no faster
    than the distance, lest a large person's outweighs all others'.
    """
    seen = labelled.any(1)
    found, counted = found[seen], labelled[seen].to(found.dtype)
    nothing = found.sum() * 0
    if not len(found):
        return nothing, nothing
    means = (found * counted[..., None]).sum(1) / counted.sum(1, keepdim=True)
    off = 2 * ((1 + (found - means[:, None]).square().sum(-1)).sqrt() - 1)
    pull = ((off * counted).sum(1) / counted.sum(1)).mean()
    if len(means) == 1:
        return pull, nothing
    first, second = torch.triu_indices(len(means), len(means), 1, device=means.device)
    apart = (means[first] - means[second]).square().sum(-1)
    gaps = (MARGIN - (apart + _TINY).sqrt()).clamp(min=0).square()
    return pull, gaps.mean()


def fields(found: Tensor, wanted: Tensor, there: Tensor, mask: Tensor) -> Tensor:
    """Mean squared length of the difference of fields (L, 2, h, w); cells without a limb count a tenth."""
    weights = torch.where(there > 0, 1.0, _BACKGROUND) * mask
    off = (found - wanted).square().sum(1)
    return (off * weights).sum() / (there * mask).sum().clamp(min=1)
