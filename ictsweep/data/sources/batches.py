"""The pickled dictionaries of arrays in which the downsampled ImageNet is published, read without
running anything of theirs.
"""

import math
import pickle
from typing import IO, Any

import numpy as np

__all__ = ["read_batch"]

_REFUSED = (
    *(pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError),
    *(OverflowError, RecursionError, ImportError),
)


def read_batch(file: IO[bytes]) -> dict[str, Any]:
    """The dictionary of a pickled batch, its arrays as uint8 or other plain numbers.

    The file may name numpy's array constructors and nothing else, and those that answer to the
    names are functions of this module that only put bytes into a shape. ValueError for what is no
    such pickle.
    """
    try:
        found = _Reader(file, encoding="latin1").load()
    except _REFUSED as error:
        raise ValueError(f"not a pickled batch: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise ValueError(f"not a pickled batch: it holds a {type(found).__name__}")
    return {str(_text(key)): _plain(value) for key, value in found.items()}


class _Kind:
    """Stands for numpy.dtype: the name of a kind of number."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = str(name)

    def __setstate__(self, state: Any) -> None:
        if state[1] == ">":
            raise ValueError("numbers of a big-endian machine")


class _Array:
    """Stands for numpy.ndarray: the state that makes one."""

    def __init__(self, *_: Any) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        self.value = _shaped(data, kind, shape, "F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.value = _shaped(data, kind, shape, order)
    return array


def _shaped(data: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(kind, _Kind):
        raise ValueError("an array without a kind of number")
    dtype = np.dtype(kind.name)
    if dtype.kind not in "iuf":
        raise ValueError(f"an array of {dtype}")
    content = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("an array without a shape")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} has {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: Any, encoding: Any = "latin1", *_: Any) -> bytes:
    if str(encoding).replace("-", "") != "latin1":
        raise ValueError(f"bytes encoded as {encoding}")
    return text.encode("latin1")


_KNOWN = {
    **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
    "numpy.ndarray": _Array,
    "numpy.dtype": _Kind,
    "_codecs.encode": _encode,
}


class _Reader(pickle.Unpickler):
    """An unpickler for which only `_KNOWN` names exist."""

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in _KNOWN:
            raise pickle.UnpicklingError(f"it names {full[:100]!r}, which does not belong in it")
        return _KNOWN[full]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside")


def _text(key: Any) -> Any:
    return key.decode("latin1") if isinstance(key, bytes) else key


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, _Array) else value
