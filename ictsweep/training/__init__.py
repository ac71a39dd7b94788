"""Training one trial, with or without a study around it."""

from ictsweep.training.lineage import fit_lineage, runs
from ictsweep.training.runtime import LocalRuntime, Runtime
from ictsweep.training.single import train_once, yardstick
from ictsweep.training.trainer import Job, Trainer, initial_model, sampling_levels

__all__ = [
    "Job",
    "LocalRuntime",
    "Runtime",
    "Trainer",
    "fit_lineage",
    "initial_model",
    "runs",
    "sampling_levels",
    "train_once",
    "yardstick",
]
