"""Where the outputs of a run go; what is there already is never overwritten unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from configs.errors import OutputError
from stream.messages import SourceSpec


def with_folders(specs: Sequence[SourceSpec], output: Path | None, overwrite: bool) -> list[SourceSpec]:
    """Give each source a folder of its own, made now.

    Args:
        specs: the sources.
        output: the folder of a single source, or the parent of several; None: runs/, here.
        overwrite: use a folder that is there; else the next free of name, name-2, name-3 is taken.

    Raises:
        OutputError: a folder cannot be made.
    """
    if output is None:
        wanted = [Path("runs") / spec.name for spec in specs]
    elif len(specs) == 1:
        wanted = [output]
    else:
        wanted = [output / spec.name for spec in specs]
    return [structs.replace(spec, folder=str(_make(path, overwrite))) for spec, path in zip(specs, wanted, strict=True)]


def remove_empty(specs: Sequence[SourceSpec]) -> None:
    """Remove the folders in which nothing was written."""
    for spec in specs:
        folder = Path(spec.folder)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _make(path: Path, overwrite: bool) -> Path:
    number = 1
    while True:
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=overwrite)
            return folder
        except FileExistsError:
            if overwrite:
                raise OutputError(f"output {folder} is a file; give a folder with --output") from None
            number += 1
        except OSError as error:
            raise OutputError(
                f"output {folder} cannot be made: {error.strerror}; give a folder you may write to with --output"
            ) from None
