"""The parts as OpenVINO runs them on a CPU, in fp32, or in 8 bits where `engines.quantize` has prepared them."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from configs.errors import EngineError
from engines.backends.openvino_models import converted, core, given, prepared, prepared_file
from engines.model.network import Network
from engines.model.parts import FP32_MAX, INT8_MAX, Parts, PartSpec, Run, SideBySide

_SIDE_BY_SIDE_MAX = 4
_SMALL = 16_000_000
"""Numbers in the weights of a network that leaves cores idle when all of them work on one picture: `lite`, not r50."""
_SHAPES_MAX = 16
"""Of so many shapes a small network's features are kept, each in 30 MB: pictures of 320 pixels come in 17."""


class Compiled:
    """One part as OpenVINO runs it; may be called from several threads."""

    def __init__(self, model: Any) -> None:
        """Take OpenVINO's own handle on it."""
        self.model = model
        self._own = threading.local()
        """A request for each thread: it holds what one call computes."""

    def __call__(self, x: Tensor) -> list[Tensor]:
        """The part's results."""
        # Read in place; if that cannot be, copied by numpy: torch's threads would still be spinning when OpenVINO's
        # begin. Results are copied: their memory is overwritten by the next call.
        if not hasattr(self._own, "request"):
            self._own.request = self.model.create_infer_request()
        results = self._own.request.infer([np.ascontiguousarray(x.numpy())], share_inputs=True, share_outputs=False)
        return [torch.from_numpy(result) for result in results.to_tuple()]


class PerShape:
    """One part, compiled for each shape that it is given, the latest ones kept; may be called from several threads.

    OpenVINO turns channels around, and back, where it does not know the sides of what it is given, and works out anew
    in each call what follows from them: `lite`'s features took 20.8 ms so, and take 18.7; in fp32 30.9 and 28.5.
    """

    def __init__(self, compiled: Callable[[tuple[int, ...]], Compiled]) -> None:
        """Take what compiles the part for a shape."""
        self.of = functools.lru_cache(_SHAPES_MAX)(compiled)

    def __call__(self, x: Tensor) -> list[Tensor]:
        """The part's results; a new shape is compiled first, which takes 0.2 to 0.5 s.

        Raises:
            EngineError: OpenVINO cannot compile it.
        """
        return self.of(tuple(x.shape))(x)


def build(network: Network, device: torch.device, int8: Collection[str] = ()) -> Parts:
    """A network's parts, run by as many threads as torch is set to.

    Args:
        network: the network.
        device: a CPU.
        int8: names of the parts that are to be computed in 8 bits where they are prepared.

    Raises:
        EngineError: the device is no CPU, or OpenVINO is not installed or cannot run the network.
    """
    if device.type != "cpu":
        raise EngineError(f"backend openvino runs on a CPU, not on {device}: use --device cpu or another backend")
    at_once = min(_SIDE_BY_SIDE_MAX, torch.get_num_threads())
    wanted = at_once > 1 and _small(network)
    beside = SideBySide(at_once, lambda: _parts(network, device, int8, at_once)) if wanted else None
    return replace(_parts(network, device, int8, streams=1), side_by_side=beside)


def _parts(network: Network, device: torch.device, int8: Collection[str], streams: int) -> Parts:
    compiled = compile_parts(network, int8, streams)
    specs = network.parts()
    unprepared = [name for name in int8 if prepared_file(network, name) is None]
    note = (
        f"mode fast computes {' and '.join(unprepared)} in fp32: python -m engines.quantize can prepare that for 8 bits"
    )
    return Parts(
        {name: _run(specs[name], part) for name, part in compiled.items()},
        device,
        INT8_MAX if len(unprepared) < len(int8) else FP32_MAX,
        (note,) if unprepared else (),
        # torch's threads spin for milliseconds after each of its calls, on the cores that OpenVINO's need next.
        # Measured on two cores: with two of torch's 61 ms a picture, with one 50.
        glue_threads=1,
    )


def _run(spec: PartSpec, part: Compiled | PerShape) -> Run:
    if spec.channels_last_results:
        return lambda rows: [found.permute(0, 3, 1, 2) for found in part(given(rows))]
    return lambda rows: part(given(rows))


def compile_parts(network: Network, int8: Collection[str] = (), streams: int = 1) -> dict[str, Compiled | PerShape]:
    """Compiled parts by name.

    Args:
        network: the network.
        int8: as in `build`.
        streams: how many calls share the threads that torch is set to; so many may be made at once.

    Raises:
        EngineError: OpenVINO is not installed or cannot run the network.
    """
    core()  # that it is not there is said in other words than that it cannot run the network
    settings = _settings(streams)
    with _in_one_line():
        models = {name: (name in int8 and prepared(network, name)) or part for name, part in converted(network).items()}
    per_shape = {name for name, spec in network.parts().items() if spec.takes_pictures and _small(network)}
    return {
        name: PerShape(functools.partial(_compile, settings, model)) if name in per_shape else _compile(settings, model)
        for name, model in models.items()
    }


def _settings(streams: int) -> dict[str, Any]:
    return {
        **({"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"NUM_STREAMS": streams}),
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # The other stages want these cores too: a thread tied to a busy core waits while another is free.
        "ENABLE_CPU_PINNING": False,
    }


def _compile(settings: dict[str, Any], part: Any, shape: tuple[int, ...] | None = None) -> Compiled:
    """Compile a part for inputs of one shape, or of any."""
    if shape:
        part = part.clone()
        part.reshape(shape)
    with _in_one_line():
        return Compiled(core().compile_model(part, "CPU", settings))


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(f"backend openvino cannot run this network: {reason}; use --backend eager") from error


def _small(network: Network) -> bool:
    return sum(weights.numel() for weights in network.parameters()) < _SMALL
