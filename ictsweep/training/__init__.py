"""Training one trial, with or without a study around it."""

from ictsweep.training.initial import init_problems, initial_model, start_digest, start_path
from ictsweep.training.job import Job
from ictsweep.training.lineage import fit_lineage, runs
from ictsweep.training.loading import LoadedModel, load_model
from ictsweep.training.runtime import LocalRuntime, Runtime
from ictsweep.training.single import train_once, yardstick
from ictsweep.training.trainer import Trainer

__all__ = [
    "Job",
    "LoadedModel",
    "LocalRuntime",
    "Runtime",
    "Trainer",
    "fit_lineage",
    "init_problems",
    "initial_model",
    "load_model",
    "runs",
    "start_digest",
    "start_path",
    "train_once",
    "yardstick",
]
