"""Lion: every weight moves by the same amount, in the direction of a momentum's sign."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms" (arXiv:2302.06675),
    Algorithm 2:

    w <- w - lr (sign(b1 m + (1 - b1) g) + weight_decay w);  m <- b2 m + (1 - b2) g

    with m = 0 at first. The step's size is `lr` whatever the gradient's: a usual rate is a third to
    a tenth of Adam's.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Move every weight that has a gradient."""
        assert closure is None, "Lion looks at the gradient once"
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                momenta = [self._momentum(p) for p in weights]
                _move(weights, [p.grad for p in weights], momenta, group)

    def _momentum(self, weight: nn.Parameter) -> Tensor:
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight, memory_format=torch.preserve_format)
        return state["momentum"]


def _move(
    weights: list[Any], gradients: list[Any], momenta: list[Tensor], group: dict[str, Any]
) -> None:
    lr, (b1, b2), decay = group["lr"], group["betas"], group["weight_decay"]
    direction = torch._foreach_lerp(momenta, gradients, 1 - b1)  # pyright: ignore
    torch._foreach_sign_(direction)  # pyright: ignore
    if decay:
        torch._foreach_mul_(weights, 1 - lr * decay)  # pyright: ignore
    torch._foreach_add_(weights, direction, alpha=-lr)  # pyright: ignore
    torch._foreach_lerp_(momenta, gradients, 1 - b2)  # pyright: ignore
