"""A builder that `Prebuild` can start: it says what it was told, then waits until it is let go, or fails.

    python -m tests.engines.backends.made_builder --child-of PID FOLDER --imgsz HxW

FOLDER/HxW becomes a pipe: who opens it for writing lets the builder end, with the exit code in FOLDER/code, or 0.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engines.backends.prebuild import die_with

if __name__ == "__main__":
    _, parent, folder, _, size = sys.argv[1:]
    die_with(int(parent))
    print("building", size, flush=True)
    code = Path(folder) / "code"
    if not code.exists():
        pipe = Path(folder) / size
        os.mkfifo(pipe)
        pipe.open().read()
    sys.exit(int(code.read_text()) if code.exists() else 0)
