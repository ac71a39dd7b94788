"""The optimiser of a configuration."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ictsweep.optimizers import Adam, AdamW, RAdam
from ictsweep.optimizers import Lion as LionConfig
from ictsweep.training.lion import Lion


def build_optimizer(
    config: RAdam | Adam | AdamW | LionConfig, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """The optimiser that a configuration describes, over `parameters`."""
    lr, betas = config.lr, config.betas
    match config:
        case RAdam():
            return torch.optim.RAdam(parameters, lr, betas, foreach=True)
        case Adam():
            return torch.optim.Adam(parameters, lr, betas, foreach=True)
        case AdamW(weight_decay=decay):
            return torch.optim.AdamW(parameters, lr, betas, weight_decay=decay, foreach=True)
        case LionConfig(weight_decay=decay):
            return Lion(parameters, lr, betas, weight_decay=decay)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def total_norm(model: nn.Module, clip: float | None) -> Tensor:
    """The norm of the whole gradient; a longer one than `clip` is then shortened to it."""
    weights = [p for p in model.parameters() if p.grad is not None]
    norm = nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
    if clip is not None:
        nn.utils.clip_grads_with_norm_(weights, clip, norm)
    return norm
