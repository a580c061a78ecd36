"""A network's parts in OpenVINO's form, as made of its weights, and in 8 bits where `engines.quantize` prepared them.

To make them takes seconds, so they are kept in the cache folder, under a name that changes with the weights, this
code, the network's code and the versions.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import importlib
import sys
import threading
import warnings
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from configs.errors import EngineError
from engines import cache_folder
from engines.backends import openvino_cache
from engines.backends.fingerprint import code_hash, weights_hash
from engines.model.keypoint_rcnn import LinearReLU
from engines.model.network import Network
from engines.model.parts import PartSpec
from engines.weights.zoo import ASSETS

_ONE_AT_A_TIME: Final = threading.Lock()


def library() -> ModuleType:
    """The package openvino.

    Raises:
        EngineError: it is not installed.
    """
    # OpenVINO reports its use to its maker when it is imported, unless it finds this package missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        with _ONE_AT_A_TIME:
            openvino = importlib.import_module("openvino")
            # Were its first use made by two threads at once, both would wait for ever (2026.4): one fills a table and
            # wants the interpreter, the other holds the interpreter and wants the table.
            openvino.Type.f32.to_dtype()
        return openvino
    except (ImportError, OSError) as error:
        raise EngineError(
            "backend openvino needs a package that cannot be imported: pip install openvino, or use --backend eager"
        ) from error


def core() -> Any:
    """OpenVINO's core, one for the process.

    Each core changes where the process handles signals, and puts that back when it goes; when cores go in another order
    than they came, the next signal, as Ctrl-C, ends the process with a segmentation fault (2026.4).

    Raises:
        EngineError: OpenVINO is not installed.
    """
    openvino = library()
    with _ONE_AT_A_TIME:
        return _core(openvino)


@functools.cache
def _core(openvino: ModuleType) -> Any:
    return openvino.Core()


def given(x: Tensor) -> Tensor:
    """(rows, h, w, channels) of a part's input (rows, channels, h, w): the layout of its OpenVINO model."""
    return x.permute(0, 2, 3, 1)


def prepared_file(network: Network, part: str) -> Path | None:
    """Path of a part quantised to 8 bits; None if there is none for these weights."""
    name = prepared_name(network, part)
    return next((path for path in (ASSETS / name, prepared_folder() / name) if path.is_file()), None)


def prepared_folder() -> Path:
    """Folder of quantised parts that do not come with the project."""
    return cache_folder.folder() / "int8-nhwc"


def prepared_name(network: Network, part: str) -> str:
    """File name of a part quantised to 8 bits; it changes with the weights."""
    return f"{part}-{weights_hash(network)[:16]}.xml"


def save(model: Any, path: Path) -> None:
    """Write OpenVINO's two files, .xml and .bin, as they are.

    Raises:
        RuntimeError: they cannot be written.
    """
    library().save_model(model, path, compress_to_fp16=False)


def prepared(network: Network, part: str) -> Any | None:
    """A part quantised to 8 bits; None if there is none for these weights.

    Raises:
        RuntimeError: it cannot be read.
    """
    path = prepared_file(network, part)
    return core().read_model(path) if path else None


def converted(network: Network) -> dict[str, Any]:
    """OpenVINO models of the parts, by name: read from the cache, else converted and kept there.

    Raises:
        EngineError: OpenVINO is not installed.
        RuntimeError: it cannot take the network.
    """
    openvino = library()
    parts = network.parts()
    folder = cache_folder.folder() / "openvino" / _key(network)
    models = openvino_cache.read(core(), folder, parts)
    if models is None:
        models = {name: _convert(openvino, part) for name, part in parts.items()}
        with contextlib.suppress(OSError, RuntimeError):  # not kept: that costs seconds at the next start, nothing else
            openvino_cache.keep(openvino, models, folder)
    return models


class _ChannelsLast(nn.Module):
    """A part that takes channels last, and where it says so gives them: so OpenVINO computes."""

    def __init__(self, part: PartSpec) -> None:
        super().__init__()
        self.takes_them = part.channels_last is not None
        self.gives_them = part.channels_last_results
        self.part = _unfused(part.channels_last() if part.channels_last else part.module)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = self.part(x if self.takes_them else x.permute(0, 3, 1, 2))
        return tuple(each.permute(0, 2, 3, 1) for each in found) if self.gives_them else found


class _NotFused(nn.Module):
    """A linear layer whose ReLU OpenVINO does not see as one.

    What it fuses with a ReLU it multiplies with a routine that takes twice as long: lite's first layer, 80 rows, took
    1.9 ms, and takes 0.9; r50's, 1000 rows, 201 and 170.
    """

    def __init__(self, layer: LinearReLU) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(functional.linear(x, self.layer.weight, self.layer.bias), torch.zeros(1))


def _unfused(part: nn.Module) -> nn.Module:
    """The part with `_NotFused` layers where they are quicker; the one that is given is left as it is."""
    if not any(map(_is_wide, part.modules())):
        return part
    part = copy.deepcopy(part)
    for module in list(part.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, LinearReLU) and _is_wide(layer):
                module.register_module(name, _NotFused(layer))
    return part


def _is_wide(layer: nn.Module) -> bool:
    return isinstance(layer, LinearReLU) and layer.in_features > layer.out_features


def _convert(openvino: ModuleType, part: PartSpec) -> Any:
    channels, height, width = part.row
    example = torch.zeros(2, height or 64, width or 64, channels)
    shape = openvino.PartialShape([-1, height or -1, width or -1, channels])
    with warnings.catch_warnings(), torch.no_grad():
        # torch.export, which torch would rather have used, takes twice as long to the same result.
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(_ChannelsLast(part).eval(), example, check_trace=False)
        return openvino.convert_model(traced, input=shape)


def _key(network: Network) -> str:
    what = (torch.__version__, version("openvino"), code_hash([Path(__file__)]), weights_hash(network))
    return hashlib.sha256("\n".join(what).encode()).hexdigest()[:32]
