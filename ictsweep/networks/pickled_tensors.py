"""The tensors of a pickle made with torch and numpy, without running either one's loaders."""

import io
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ictsweep.networks.pickles import Name, Record, Refused, read_pickle, shown

__all__ = ["tensor_functions"]

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # of torch.save's form without a zip file
_STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
}
_NUMBERS = {"f4": "<f", "f8": "<d"}  # numpy's kinds, as `struct` has them


def tensor_functions(size: int) -> dict[str, Callable[..., Any]]:
    """What stands in for the functions and classes that tensors in a file of `size` bytes name, for
    one reading. Refused where they are given more data than the file holds."""
    return {
        "torch.storage._load_from_bytes": _Storages(size).read,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "numpy.core.multiarray.scalar": _number,
        "numpy._core.multiarray.scalar": _number,
        "numpy.dtype": lambda kind, align=None, copy=None: Record("numpy.dtype", kind),
    }


@dataclass(frozen=True, eq=False)
class _Storage:
    """The numbers, [n], of which tensors are views."""

    numbers: Tensor


class _Storages:
    """Reads storages; the bytes read so far count, as a pickle can hand out the same ones again and
    again."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, data: Any) -> _Storage:
        if not isinstance(data, bytes):
            raise Refused(f"a {type(data).__name__} stands where a tensor's data belong")
        self.left -= len(data)
        if self.left < 0:
            raise Refused("its tensors have more data than the file")
        return _Storage(_numbers(data))


class _Reference(NamedTuple):
    """Which numbers a storage has: their kind, their name in the file, how many."""

    kind: str
    key: str
    count: int


def _numbers(data: bytes) -> Tensor:
    """The numbers, [n], of a storage that torch.save wrote without a zip file."""
    file = io.BytesIO(data)
    if read_pickle(file, {}) != _MAGIC or read_pickle(file, {}) != _VERSION:
        raise Refused("a tensor's data do not start as torch writes them")
    system = read_pickle(file, {})
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("a tensor's data are not of a little-endian machine")
    known = dict.fromkeys(_STORAGES, _uncalled)
    reference = read_pickle(file, known, _reference)
    if not isinstance(reference, _Reference):
        raise Refused("a tensor's data do not say what they are")
    kind, key, count = reference
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


def _reference(value: Any) -> _Reference:
    match value:
        case ("storage", Name() as kind, str() as key, str(), int() as count, None) if count >= 0:
            return _Reference(kind, key, count)
    raise Refused(f"a tensor's data refer to {shown(value)}")


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, metadata: Any = None
) -> Tensor:
    """The view of `storage` that the arguments describe; Refused where it leaves the storage."""
    if not isinstance(storage, _Storage) or not _is_shape(size, stride, offset):
        raise Refused("a tensor has no storage, or no shape")
    if not (_is_empty(hooks) and _is_empty(metadata)):
        raise Refused("a tensor carries hooks or metadata")
    numbers = storage.numbers
    least = [max(n, 1) for n in size]  # an empty tensor's other sides are bounded too
    last = offset + sum((n - 1) * step for n, step in zip(least, stride, strict=True))
    if max(last, math.prod(least) - 1) >= max(len(numbers), 1):
        raise Refused(f"a tensor of shape {shown(size)} leaves its storage of {len(numbers)}")
    return torch.as_strided(numbers, size, stride, offset)


def _is_shape(size: Any, stride: Any, offset: Any) -> bool:
    """Whether these are sides and steps of at most 8 dimensions."""
    if not isinstance(size, tuple) or not isinstance(stride, tuple):
        return False
    whole = len(size) == len(stride) <= 8
    return whole and all(type(n) is int and 0 <= n < 1 << 40 for n in (offset, *size, *stride))


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and not value)


def _parameter(data: Any, grad: Any, hooks: Any) -> Tensor:
    if not isinstance(data, Tensor) or not _is_empty(hooks):
        raise Refused("a parameter is no tensor, or carries hooks")
    return data


def _number(dtype: Any, data: Any) -> float:
    kind = dtype.arguments[0] if isinstance(dtype, Record) and dtype.arguments else None
    form = _NUMBERS.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise Refused(f"a number of numpy's kind {shown(kind)}")
    if not isinstance(data, bytes) or len(data) != struct.calcsize(form):
        raise Refused(f"the data of a number of numpy's kind {kind} have another length")
    return struct.unpack(form, data)[0]
