"""An architecture to its network."""

from __future__ import annotations

from torch import nn

from engines.bottom_up.network import BottomUp
from engines.model.architecture import Architecture
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.network import Network
from engines.model.norm import Norm


def network_of(architecture: Architecture, norm: Norm = nn.Identity) -> Network:
    """A network with weights by chance; `norm` follows the convolutions of its body."""
    return (BottomUp if architecture.limbs else KeypointRCNN)(architecture, norm)
