"""Names for what was made of a network: they change with all that it depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch
from torch import nn

from engines import model

_KEPT_AS: Final = "_weights_hash"


def weights_hash(network: nn.Module) -> str:
    """64 hexadecimal digits that change with any name, shape, type or value of a network's weights.

    Computed once and kept on the network, until one of its tensors is written to or replaced.
    """
    tensors = (*network.parameters(), *network.buffers())
    state = [(id(tensor), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]
    known = vars(network).get(_KEPT_AS)
    if known is None or known[0] != state:
        known = vars(network)[_KEPT_AS] = state, _hash(network)
    digest: str = known[1]
    return digest


def _hash(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def code_hash(more: Iterable[Path] = ()) -> str:
    """64 hexadecimal digits that change with the network's code, and with that of these files."""
    digest = hashlib.sha256()
    for file in (*more, *sorted(Path(model.__path__[0]).glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()
