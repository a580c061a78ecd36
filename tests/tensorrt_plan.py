"""Ask torch_tensorrt how it would cut up the network's parts, on a machine without TensorRT and without a GPU.

    python -m tests.tensorrt_plan 256x320 lite r50     # a line of JSON for each part

Its partitioner is Python and needs TensorRT only for names, so names is all that the stand-in for `tensorrt` has. That
is why this runs in a process of its own. It shows that each operator has a converter for these shapes, and how many
engines come out; not that TensorRT finds a kernel for them, how fast that is, or how exact.
"""

from __future__ import annotations

import contextlib
import enum
import importlib
import importlib.machinery
import io
import json
import logging
import os
import re
import sys
import types
import warnings
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import torch


class Plan(NamedTuple):
    operators: int
    converted: int
    engines: int


class _Names(type):
    """A class that has any attribute it is asked for."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(cls, name, MagicMock(name=name))
        return getattr(cls, name)


class _TensorRT(types.ModuleType):
    __version__ = "11.0.0.114"
    _package_name = "tensorrt"
    DataType = enum.Enum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8 FP8 BF16 INT64 INT4 FP4 E8M0", start=0)

    class Logger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        class Severity:
            INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        min_severity = 2

        def __init__(self, *_: object) -> None: ...

        def log(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, _Names(name, (), {}))
        return self.__dict__[name]


def imported() -> Any:
    """Give the real torch_tensorrt, with nothing but names where TensorRT and a GPU should be."""
    tensorrt = _TensorRT("tensorrt")
    tensorrt.__path__ = []
    tensorrt.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None, is_package=True)
    tensorrt.tensorrt = tensorrt
    tensorrt.init_libnvinfer_plugins = lambda *_: True
    tensorrt.get_plugin_registry = MagicMock
    proxy = types.ModuleType("torch_tensorrt._TensorRTProxyModule")
    proxy.package_name = "tensorrt"
    sys.modules.update({"tensorrt": tensorrt, "tensorrt.tensorrt": tensorrt, proxy.__name__: proxy})
    if not torch.cuda.is_available():
        _pretend_a_gpu()
    is_file = os.path.isfile
    # Its native library would look for TensorRT's.
    os.path.isfile = lambda path: "libtorchtrt" not in str(path) and is_file(path)
    logging.disable(logging.ERROR)
    try:
        torch_tensorrt = importlib.import_module("torch_tensorrt")
    finally:
        os.path.isfile = is_file
        logging.disable(logging.NOTSET)
    # What it would leave to torch it moves to the GPU.
    importlib.import_module("torch_tensorrt.dynamo._compiler").to_torch_device = lambda _: torch.device("cpu")
    return torch_tensorrt


def _pretend_a_gpu() -> None:
    card = types.SimpleNamespace(major=9, minor=0, name="none", total_memory=80 << 30, multi_processor_count=132)
    if not hasattr(torch._C, "_CudaDeviceProperties"):
        torch._C._CudaDeviceProperties = type("_CudaDeviceProperties", (), {})
    torch.cuda.get_device_capability = lambda *_, **__: (9, 0)
    torch.cuda.get_device_properties = lambda *_, **__: card
    torch.cuda.get_device_name = lambda *_: card.name
    torch.cuda.current_device = lambda: 0
    torch.cuda.mem_get_info = lambda *_: (card.total_memory, card.total_memory)
    torch.cuda.empty_cache = torch.cuda.synchronize = lambda *_: None


def plan(torch_tensorrt: Any, program: torch.export.ExportedProgram, given: Any) -> Plan:
    """Give how a graph would be cut up; nothing is built."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        torch_tensorrt.dynamo.compile(program, arg_inputs=[given], dryrun=True, min_block_size=1)
    report = printed.getvalue()
    counts = re.search(r"consists of (\d+) Total Operators, of which (\d+) operators are supported", report)
    if counts is None:
        raise RuntimeError(f"torch_tensorrt printed no plan: {report[-500:]!r}")
    return Plan(int(counts[1]), int(counts[2]), len(re.findall(r"TRT Engine #\d+ ", report)))


def main(height: int, width: int, models: list[str]) -> None:
    torch_tensorrt = imported()
    from engines.model.architecture import ARCHITECTURES
    from engines.model.keypoint_rcnn import KeypointRCNN

    for model in models:
        with torch.device("meta"):
            network = KeypointRCNN(ARCHITECTURES[model])
        network = network.to_empty(device="cpu").requires_grad_(False)
        for weights in network.parameters():
            weights.fill_(0.01)
        show(torch_tensorrt, model, network, (height, width))


def show(torch_tensorrt: Any, model: str, network: Any, image_hw: tuple[int, int]) -> None:
    from engines.backends.exported import exported_part

    for name, part in network.parts().items():
        program, rows, shape = exported_part(part, image_hw, torch.float16), part.rows, part.row_of(image_hw)
        given = torch_tensorrt.Input(
            min_shape=(1, *shape), opt_shape=(rows.usual, *shape), max_shape=(rows.most, *shape), dtype=torch.float32
        )
        heavy = [node for node in program.graph.nodes if re.search("conv|linear", str(node.target))]
        dtypes = sorted({str(node.meta["val"].dtype) for node in heavy if node.op == "call_function"})
        facts = {"model": model, "part": name, "dtypes": dtypes, **plan(torch_tensorrt, program, given)._asdict()}
        print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*map(int, sys.argv[1].split("x")), sys.argv[2:])
