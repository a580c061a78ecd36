"""What can go wrong that is not a fault of the program: each kind is also a builtin and knows its exit code."""

from __future__ import annotations

EXIT_FAILED = 7
"""Of a run that ended by a failed stage, or by a fault of the program."""
EXIT_INTERRUPTED = 130
"""Of a command that was stopped by Ctrl-C."""


class PosestreamError(Exception):
    """An error whose text is for people: what is wrong, with what, and what to do; a line for each thing wrong."""

    exit_code: int = EXIT_FAILED


class ConfigError(PosestreamError, ValueError):
    """Settings or options that cannot be used."""

    exit_code = 2


class SourceError(PosestreamError, OSError):
    """A source that cannot be used."""

    exit_code = 3


class OutputError(PosestreamError, OSError):
    """An output cannot be written."""

    exit_code = 5


class EngineError(PosestreamError, RuntimeError):
    """A model, an engine or a device cannot be loaded or run."""

    exit_code = 6


class RefusedError(PosestreamError, PermissionError):
    """Something that would be unsafe."""

    exit_code = 8
