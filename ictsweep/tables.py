"""Frames as files: CSV and Parquet, whole or not at all."""

import io
from pathlib import Path

import pandas as pd

from ictsweep.errors import UserError
from ictsweep.files import write_atomic

FORMATS = (".csv", ".parquet")


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame in the format of the file's name, one of FORMATS, its index first. Numbers keep
    all their digits. UserError where Parquet's library is missing.
    """
    write_atomic(path, _csv(frame) if path.suffix == ".csv" else _parquet(frame, path))


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=frame.index.name is not None).encode()


def _parquet(frame: pd.DataFrame, path: Path) -> bytes:
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer)
    except ImportError:
        raise UserError(
            f"{path}: Parquet needs the package pyarrow: pip install pyarrow, or write a .csv"
        ) from None
    return buffer.getvalue()
