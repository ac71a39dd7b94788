"""Consistency training as composable values: pure torch, no files, no processes, no configuration,
no logging."""

from ictsweep.consistency.distances import PseudoHuber
from ictsweep.consistency.levels import KarrasGrid, LogNormal
from ictsweep.consistency.loss import Denoise, consistency_loss
from ictsweep.consistency.methods import METHODS, Method
from ictsweep.consistency.pairs import Doubling, GridPairs
from ictsweep.consistency.preconditioning import Denoiser, Scalings
from ictsweep.consistency.sampling import sample
from ictsweep.consistency.weightings import InverseGap

__all__ = [
    "METHODS",
    "Denoise",
    "Denoiser",
    "Doubling",
    "GridPairs",
    "InverseGap",
    "KarrasGrid",
    "LogNormal",
    "Method",
    "PseudoHuber",
    "Scalings",
    "consistency_loss",
    "sample",
]
