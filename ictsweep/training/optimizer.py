"""The optimiser of a configuration."""

from collections.abc import Iterable

import torch
from torch import nn

from ictsweep.config import Optimizer


def build_optimizer(config: Optimizer, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """RAdam (Liu et al. 2019, arXiv:1908.03265) with constant learning rate, as iCT trains; its
    rectification is the warm-up.
    """
    return torch.optim.RAdam(parameters, lr=config.lr, betas=config.betas, foreach=True)
