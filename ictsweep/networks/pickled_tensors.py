"""The tensors of a pickle made with torch and numpy, without running either one's loaders."""

import io
import math
import struct
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ictsweep.networks.pickles import Name, Record, Refused, read_pickle

__all__ = ["TENSORS"]

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # of torch.save's form without a zip file
_STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
}


def _storage(data: bytes) -> Tensor:
    """The numbers, [n], of a storage that torch.save wrote without a zip file."""
    file = io.BytesIO(data)
    if read_pickle(file, {}) != _MAGIC or read_pickle(file, {}) != _VERSION:
        raise Refused("a tensor's data do not start as torch writes them")
    system = read_pickle(file, {})
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("a tensor's data are not of a little-endian machine")
    known = dict.fromkeys(_STORAGES, _uncalled)
    kind, key, count = read_pickle(file, known, _reference)
    if read_pickle(file, {}) != [key]:
        raise Refused("a tensor's data are not those it names")
    head, body = file.read(8), file.read()
    dtype = _STORAGES[kind]
    if len(head) != 8 or struct.unpack("<q", head) != (count,):
        raise Refused("a tensor's data do not have the length they claim")
    if len(body) != count * dtype.itemsize:
        raise Refused(f"a tensor claims {count} numbers of {dtype}; {len(body)} bytes are there")
    return torch.frombuffer(bytearray(body), dtype=dtype) if count else torch.empty(0, dtype=dtype)


def _uncalled(*_: Any) -> Any:
    raise Refused("a kind of storage is called as a function")


def _reference(value: Any) -> tuple[str, str, int]:
    match value:
        case ("storage", Name() as kind, str() as key, str(), int() as count, None) if count >= 0:
            return kind, key, count
    raise Refused(f"a tensor's data refer to {str(value)[:200]}")


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, *metadata: Any
) -> Tensor:
    """The view of `storage` that the arguments describe; Refused where it leaves the storage."""
    sizes = [offset, *size, *stride]
    whole = all(type(number) is int and number >= 0 for number in sizes)
    if not isinstance(storage, Tensor) or not whole or len(size) != len(stride):
        raise Refused("a tensor has no storage, or no shape")
    if hooks or any(metadata):
        raise Refused("a tensor carries hooks or metadata")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) and max(last, math.prod(size) - 1) >= len(storage):
        raise Refused(f"a tensor of shape {list(size)} leaves its storage of {len(storage)}")
    return torch.as_strided(storage, size, stride, offset)


def _parameter(data: Any, grad: Any, hooks: Any) -> Tensor:
    if not isinstance(data, Tensor) or hooks:
        raise Refused("a parameter is no tensor, or carries hooks")
    return data


def _number(dtype: Any, data: Any) -> float:
    kinds = {"f4": "<f", "f8": "<d"}
    kind = dtype.arguments[0] if isinstance(dtype, Record) and dtype.arguments else None
    if kind not in kinds or not isinstance(data, bytes):
        raise Refused(f"a number of numpy's kind {str(kind)[:200]}")
    return struct.unpack(kinds[kind], data)[0]


TENSORS: dict[str, Callable[..., Any]] = {
    "torch.storage._load_from_bytes": _storage,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
    "numpy.dtype": lambda *arguments: Record("numpy.dtype", *arguments),
}
