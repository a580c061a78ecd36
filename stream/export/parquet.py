"""Parquet: the table of CSV with types, a tenth of its size. All of pyarrow that is used."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from configs.errors import ConfigError
from engines.ops.skeleton import Skeleton
from stream.export.clip import Clip
from stream.export.format import Format
from stream.export.table import WHOLE, columns, rows

_BATCH_ROWS = 8_192


def check(_: Skeleton) -> None:
    """Load pyarrow.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ConfigError("parquet needs pyarrow: python -m pip install 'posestream[parquet]'") from None


def write(clip: Clip, path: Path) -> None:
    """Write the table of `stream.export.table`, in row groups of bounded size."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    kinds = dict.fromkeys(WHOLE, pyarrow.int64()) | {"tracked": pyarrow.string()}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in columns(clip.skeleton)])
    lines = rows(clip)
    with ParquetWriter(path, schema) as writer:
        while some := list(islice(lines, _BATCH_ROWS)):
            arrays = [
                pyarrow.array(values, field.type) for values, field in zip(zip(*some, strict=True), schema, strict=True)
            ]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))


PARQUET = Format("parquet", "keypoints.parquet", write, check)
