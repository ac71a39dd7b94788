"""Operations and bytes, counted on tensors without numbers (the device "meta"): nothing is
computed."""

import contextlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

_META = torch.device("meta")


@dataclass(frozen=True)
class Count:
    """Of one image: operations (two per multiplication and addition) of a forward pass and of one
    with its backward pass, and the bytes of activations in between, in float32."""

    forward: int
    both: int
    saved: int

    @property
    def step(self) -> int:
        """Student forward and backward, teacher forward."""
        return self.both + self.forward


def count(network: nn.Module, side: int) -> Count:
    """Of a network without numbers (on the device "meta") that takes an image and its level."""
    inputs = [torch.empty(1, 3, side, side, device="meta"), torch.empty(1, device="meta"), None]
    size = getattr(network, "mask_size", None)
    if size:
        inputs[2] = torch.empty(1, size, dtype=torch.int16, device="meta")
    saved = Saved(network)
    with FlopCounterMode(display=False) as counter, fused_attention():
        with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
            output = network(*inputs)
        forward = counter.get_total_flops()
        output.sum().backward()
    return Count(forward, counter.get_total_flops(), saved.bytes())


class Saved:
    """Everything that autograd keeps for the backward pass, counted once, without the network's own
    weights."""

    def __init__(self, network: nn.Module) -> None:
        own = [*network.parameters(), *network.buffers()]
        self._own = {tensor.untyped_storage()._cdata for tensor in own}
        self._kept: dict[int, Tensor] = {}  # the tensors too: an address must not be used again

    def pack(self, tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage()._cdata
        if address not in self._own:
            self._kept[address] = tensor
        return tensor

    def bytes(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in self._kept.values())


def fused_attention() -> contextlib.AbstractContextManager[object]:
    """Attention by the kernel that a GPU uses in float32, which keeps no weights of attention: on
    the device "meta" torch would choose plain products."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, None, True)[0]

    return mock.patch.object(F, "scaled_dot_product_attention", attend)


class Live(TorchDispatchMode):
    """Counts the bytes that are alive of all tensors on the device "meta" that are made while it is
    on, and the most there ever were. Questions about numbers are answered with yes: every noise
    level is above the boundary.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.nonzero.default:
            return torch.arange(len(args[0]), device=args[0].device)[:, None]
        found = func(*args, **(kwargs or {}))
        for tensor in tree_iter(found):
            if isinstance(tensor, Tensor) and tensor.device == _META:
                self._add(tensor.untyped_storage())
        return found

    def _add(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata
        if address not in self._known:
            self._known.add(address)
            self._change(storage.nbytes())
            weakref.finalize(storage, self._drop, address, storage.nbytes())

    def _drop(self, address: int, size: int) -> None:
        self._known.discard(address)
        self._change(-size)

    def _change(self, size: int) -> None:
        self.bytes += size
        self.most = max(self.most, self.bytes)
