"""The reference: ordinary torch in fp32, on a CPU or a GPU."""

from __future__ import annotations

import torch

from engines.backends.parts import Parts
from engines.model.keypoint_rcnn import BoxHeadPart, FeaturesPart, KeypointHeadPart, KeypointRCNN


def build(network: KeypointRCNN, device: torch.device) -> Parts:
    """Move a network to a device and give its parts."""
    # Channels last: what oneDNN and cuDNN are quickest with, and how cells are cut out.
    network = network.to(device=device, memory_format=torch.channels_last)
    return Parts(FeaturesPart(network), BoxHeadPart(network), KeypointHeadPart(network), device)
