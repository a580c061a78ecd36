from __future__ import annotations

import subprocess
import sys

import pytest

_CODE = """
import ctypes, resource
from engines.memory import keep_freed_memory
if {keep}:
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
for _ in range(10):
    blocks = [libc.malloc(ctypes.c_size_t(20 << 20)) for _ in range(5)]
    for block in blocks:
        ctypes.memset(block, 1, 20 << 20)
    for block in blocks:
        libc.free(ctypes.c_void_p(block))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def _faults(keep: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _CODE.format(keep=keep)], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_memory_that_was_freed_is_not_mapped_anew() -> None:
    assert _faults(keep=True) < 0.5 * _faults(keep=False)
