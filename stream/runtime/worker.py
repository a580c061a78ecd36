"""A process that runs one group of stages: `python -m stream.runtime.worker FD`, its orders on that descriptor."""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import os
import signal
import sys

import msgspec
from msgspec import Struct

from configs.schema import Settings
from engines.memory import keep_freed_memory
from stream.runtime.frame_store import FrameStore, StoreFds
from stream.runtime.group import run_group
from stream.runtime.topology import Factory, GroupSpec
from stream.runtime.transport import new_context

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, and its end, reach the whole terminal; the supervisor decides. A worker is started with these blocked."""

_PR_SET_PDEATHSIG = 1


class Orders(Struct, frozen=True):
    """What a worker is to do."""

    group: GroupSpec
    settings: str
    """The settings as JSON."""
    factory: str
    """Where stages come from, as module:class."""
    stores: dict[int, StoreFds]
    """Number of each frame store -> its file descriptors here."""
    slots: int
    """How many each has."""
    parent: int
    """Process id of the supervisor."""


def main() -> None:
    """Run the group that the orders describe."""
    with open(int(sys.argv[1]), "rb") as pipe:
        orders = msgspec.json.decode(pipe.read(), type=Orders)
    _die_with(orders.parent)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED)
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # the supervisor asks where a hung stage hangs
    if "infer" not in orders.group.stages:
        # The network's threads wait for each other: one that is kept from its core holds up all. Not further down:
        # beside other programs that keep all cores busy these stages would hardly run at all.
        os.nice(10)
    keep_freed_memory()
    settings = Settings.model_validate_json(orders.settings)
    stores = {number: FrameStore(number, fds, orders.slots) for number, fds in orders.stores.items()}
    context = new_context()
    run_group(orders.group, settings, load_factory(orders.factory), context, stores)
    context.term()


def load_factory(path: str) -> Factory:
    """The factory that module:class names."""
    module, _, name = path.partition(":")
    factory: Factory = getattr(importlib.import_module(module), name)()
    return factory


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when the supervisor is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before the line above
        sys.exit(1)


if __name__ == "__main__":
    main()
