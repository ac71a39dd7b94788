"""Consistency training as composable values: pure torch, no files, no processes, no configuration,
no logging."""

from ictsweep.consistency.averages import (
    FixedEma,
    HalfLifeEma,
    PowerEma,
    WarmupEma,
    gamma_of,
)
from ictsweep.consistency.batch import Batch, References
from ictsweep.consistency.curricula import Doubling, SmoothGap, SquareRoot, StagedGap
from ictsweep.consistency.distances import L2, MeanSquare, Perceptual, PseudoHuber
from ictsweep.consistency.endpoints import Data, Generated
from ictsweep.consistency.levels import KarrasGrid, LogNormal, Uniform
from ictsweep.consistency.loss import Denoise, consistency_loss
from ictsweep.consistency.methods import METHODS, Method
from ictsweep.consistency.pairs import CleanPairs, ContinuousPairs, GridPairs
from ictsweep.consistency.paths import OneSample, PosteriorMean
from ictsweep.consistency.preconditioning import Denoiser, Scalings
from ictsweep.consistency.sampling import guided, heun, sample
from ictsweep.consistency.teachers import EmaTeacher, Student
from ictsweep.consistency.weightings import InverseCoutSquared, InverseGap, UniformWeight

__all__ = [
    "L2",
    "METHODS",
    "Batch",
    "CleanPairs",
    "ContinuousPairs",
    "Data",
    "Denoise",
    "Denoiser",
    "Doubling",
    "EmaTeacher",
    "FixedEma",
    "Generated",
    "GridPairs",
    "HalfLifeEma",
    "InverseCoutSquared",
    "InverseGap",
    "KarrasGrid",
    "LogNormal",
    "MeanSquare",
    "Method",
    "OneSample",
    "Perceptual",
    "PosteriorMean",
    "PowerEma",
    "PseudoHuber",
    "References",
    "Scalings",
    "SmoothGap",
    "SquareRoot",
    "StagedGap",
    "Student",
    "Uniform",
    "UniformWeight",
    "WarmupEma",
    "consistency_loss",
    "gamma_of",
    "guided",
    "heun",
    "sample",
]
