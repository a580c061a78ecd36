"""What a training begins with: weights of the same network, of a smaller one, or of a body alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from configs.errors import EngineError
from configs.train import InitSettings
from engines.model.architecture import ARCHITECTURES
from engines.model.network import Network
from engines.model.norm import FrozenBatchNorm, Norm
from engines.ops.skeleton import COCO
from engines.weights import state_dict, zoo
from engines.weights.folding import fold_batch_norm, modern_names
from engines.weights.load import load_model
from engines.weights.networks import network_of

_NORMS: Mapping[str, Norm] = {"none": nn.Identity, "frozen": FrozenBatchNorm, "batch": nn.BatchNorm2d}
_BODY, _FPN, _HEADS = "backbone.body.", "backbone.fpn.", "roi_heads."
_QUIET = 0.01
"""Deviation of the weights through which a finer level enters: the others hardly notice."""
_FRESH = 0.7
"""How large weights by chance are in added channels, as a share of what torch begins with."""
_EPS = 1e-5


class Started(NamedTuple):
    """A network at the beginning of a training."""

    network: Network
    note: str
    """A line to be shown: what was taken from where."""


def start(settings: InitSettings, keypoints: int) -> Started:
    """The network of a training; what is by chance follows torch's seed.

    Raises:
        EngineError: its first weights cannot be read or are of no use to it.
    """
    architecture = replace(ARCHITECTURES[settings.model], keypoints=keypoints)
    if architecture.limbs and keypoints != COCO.size:
        raise EngineError(
            f"model {settings.model} joins COCO's {COCO.size} keypoints and skeleton.names has {keypoints}: "
            "use init.model=lite"
        )
    network = network_of(architecture, _NORMS[settings.norm])
    if settings.weights is None:
        if settings.norm == "frozen":
            raise EngineError("init.norm is frozen, which needs weights to begin with: give them by --weights")
        _random(network)
        return Started(network, f"model {settings.model} begins by chance")
    given = _given(settings.weights)
    names = [name for name in given if name.endswith(".running_var")]
    if names and settings.norm == "none":
        given = fold_batch_norm(given, _EPS)
    if settings.norm != "none" and not names:
        raise EngineError(f"weights {settings.weights} hold no batch norm: use --set init.norm=none")
    taken = transferred(network.state_dict(), given)
    if not taken:
        raise EngineError(f"weights {settings.weights} hold nothing that fits model {settings.model}")
    network.load_state_dict({**network.state_dict(), **taken})
    whole = len(network.state_dict())
    return Started(network, f"model {settings.model}: {len(taken)} of {whole} tensors begin as in {settings.weights}")


def transferred(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a network's tensors those that another network's weights say something of.

    Tensors of the same name and shape are taken. A pyramid with finer levels takes the coarser ones as they are; a
    finer one looks around as the finest given one does, and hardly sees anything at first. A wider head keeps its
    function: what is added is not yet listened to.

    Args:
        wanted: the network's own state, for shapes, and for numbers by chance where channels are added.
        given: the other weights; a body alone, as of a classifier, may lack the prefix `backbone.body.`.
    """
    if not any(name.startswith("backbone.") for name in given):
        given = {f"{_BODY}{name}": tensor for name, tensor in given.items()}
    finer = _levels(wanted) - _levels(given)
    if _levels(given) and finer:
        given = _shifted(given, finer, wanted)
    same_channels = _channels(wanted) == _channels(given)
    taken = {}
    for name, tensor in given.items():
        own = wanted.get(name)
        if own is not None and own.shape == tensor.shape:
            taken[name] = tensor.clone().to(own.dtype)
        elif own is not None and name.startswith(_HEADS) and same_channels and _wider(name, own, tensor):
            taken[name] = _widened(name, own, tensor)
    return taken


def _given(weights: str) -> dict[str, Tensor]:
    if weights in ARCHITECTURES:
        return load_model(weights).state_dict()
    if weights in zoo.ENTRIES:
        return load_model(zoo.ENTRIES[weights].model, weights).state_dict()
    return {name: tensor.float() for name, tensor in modern_names(state_dict.read(Path(weights))).items()}


def _levels(state: Mapping[str, Tensor]) -> int:
    return sum(name.startswith(f"{_FPN}inner_blocks.") and name.endswith(".weight") for name in state)


def _channels(state: Mapping[str, Tensor]) -> int:
    found = state.get(f"{_FPN}layer_blocks.0.0.weight")
    return 0 if found is None else len(found)


def _shifted(given: Mapping[str, Tensor], finer: int, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with names of a pyramid that has so many finer levels before the given ones."""
    shifted = {}
    for name, tensor in given.items():
        kind, _, rest = name.removeprefix(_FPN).partition(".")
        level, _, last = rest.partition(".")
        shifted[f"{_FPN}{kind}.{int(level) + finer}.{last}" if name.startswith(_FPN) else name] = tensor
    for at in range(finer):
        for part in ("weight", "bias"):
            shifted[f"{_FPN}layer_blocks.{at}.0.{part}"] = given[f"{_FPN}layer_blocks.0.0.{part}"]
        inner = wanted[f"{_FPN}inner_blocks.{at}.0.weight"]
        shifted[f"{_FPN}inner_blocks.{at}.0.weight"] = torch.randn(inner.shape) * _QUIET
        shifted[f"{_FPN}inner_blocks.{at}.0.bias"] = torch.zeros_like(wanted[f"{_FPN}inner_blocks.{at}.0.bias"])
    return shifted


def _wider(name: str, own: Tensor, given: Tensor) -> bool:
    """Whether a head's tensor is that of a wider layer; keypoints are none that could be added so."""
    if own.dim() != given.dim() or any(new < old for new, old in zip(own.shape, given.shape, strict=True)):
        return False
    return "kps_score" not in name or (own.dim() > 1 and own.shape[1:] == given.shape[1:])


def _widened(name: str, own: Tensor, given: Tensor) -> Tensor:
    """A wider layer that does what the narrower one did: old outputs do not listen to added inputs."""
    rows = slice(0, given.shape[0])
    if "kps_score" in name or own.dim() == 1:  # transposed: its first dimension counts the inputs
        wide = torch.zeros_like(own)
        wide[tuple(slice(0, size) for size in given.shape)] = given
        return wide
    wide = own * _FRESH
    wide[rows] = 0
    wide[rows, : given.shape[1]] = given
    return wide


def _random(network: Network) -> None:
    """Weights by chance that let signals through, as He et al. say; source: https://arxiv.org/abs/1502.01852."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and name.startswith(_BODY):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
