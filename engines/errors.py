"""What callers of the engine may want to catch."""

from __future__ import annotations


class EngineError(RuntimeError):
    """The network cannot be loaded or run."""


EXIT_ENGINE = 6
"""The exit code of a command that was stopped by an EngineError."""
EXIT_INTERRUPTED = 130
"""The exit code of a command that was stopped by Ctrl-C."""
