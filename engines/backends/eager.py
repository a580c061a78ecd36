"""The reference: ordinary torch in fp32, on a CPU or a GPU."""

from __future__ import annotations

import torch

from engines.backends.parts import Parts
from engines.model.keypoint_rcnn import BoxHeadPart, FeaturesPart, KeypointHeadPart, KeypointRCNN


def build(network: KeypointRCNN, device: torch.device) -> Parts:
    """Move a network to a device and give its parts."""
    network = network.to(device)
    # Channels last: what oneDNN and cuDNN are quickest with, and how cells are cut out.
    for weights in network.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return Parts(FeaturesPart(network), BoxHeadPart(network), KeypointHeadPart(network), device)
