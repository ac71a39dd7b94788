"""In which numbers the network computes: float32 with or without TF32 products, or 16 bit."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ictsweep.consistency import Denoise

_DTYPES = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "bf16_at_any_level": torch.bfloat16,
}


@dataclass(frozen=True)
class Precision:
    """How the network's products are computed: `dtype` in 16 bit (None: float32), `tf32` on GPUs
    that have it. Weights, coefficients, losses and gradients of weights stay float32.
    """

    dtype: torch.dtype | None = None
    tf32: bool = False

    @staticmethod
    def of(name: str) -> "Precision":
        """That of a configuration: "tf32", "fp32", "fp16", "bf16" or "bf16_at_any_level"."""
        return Precision(dtype=_DTYPES.get(name), tf32=name != "fp32")

    def rounds(self, device: torch.device) -> bool:
        """Whether anything is coarser than float32 on a device."""
        return self.dtype is not None or (self.tf32 and device.type == "cuda")

    def crawls(self, device: torch.device) -> bool:
        """Whether a device can only imitate these numbers."""
        return self.dtype == torch.float16 and device.type == "cpu"

    def cast(self, denoise: Denoise) -> Denoise:
        """`denoise` with the network inside it in this precision. Only the call is: what is made of
        its result is float32 again.
        """
        if self.dtype is None:
            return denoise

        def in_16_bit(x: Tensor, *rest: Any) -> Tensor:
            with torch.autocast(x.device.type, self.dtype):
                return denoise(x, *rest)

        return in_16_bit


FULL = Precision()


def allow_tf32(allowed: bool) -> None:
    """TF32 for matrix products and convolutions on GPUs that have it; no effect elsewhere."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """`allow_tf32` for a while."""
    products = bool(torch.backends.cuda.matmul.allow_tf32)
    convolutions = bool(torch.backends.cudnn.allow_tf32)  # PyTorch's own defaults differ
    allow_tf32(allowed)
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = products
        torch.backends.cudnn.allow_tf32 = convolutions


def loss_scaler(precision: Precision, device: torch.device) -> Any:
    """A scaler that keeps float16 gradients from vanishing; None where none is needed.

    It doubles its scale now and then, and halves it when a gradient overflows; that step is
    skipped.
    """
    if precision.dtype != torch.float16:
        return None
    return torch.amp.GradScaler(device.type)  # pyright: ignore[reportPrivateImportUsage]
