"""Names for what was made of a network: they change with all that it depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from engines import model


def weights_hash(network: nn.Module) -> str:
    """Give 64 hexadecimal digits that change with any name, shape, type or value of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def code_hash(more: Iterable[Path] = ()) -> str:
    """Give 64 hexadecimal digits that change with the network's code, and with that of these files."""
    digest = hashlib.sha256()
    for file in (*more, *sorted(Path(model.__path__[0]).glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()
