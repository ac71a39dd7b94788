"""Training one trial, with or without a study around it."""

from ictsweep.training.clock import Clock
from ictsweep.training.initial import init_problems, initial_model, start_digest, start_path
from ictsweep.training.job import Job
from ictsweep.training.lineage import fit_lineage, runs
from ictsweep.training.loading import LoadedModel, load_model
from ictsweep.training.runtime import LocalRuntime, Runtime, is_disconnection
from ictsweep.training.samplers import network_calls, routes
from ictsweep.training.single import train_once, yardstick
from ictsweep.training.trainer import Trainer

__all__ = [
    "Clock",
    "Job",
    "LoadedModel",
    "LocalRuntime",
    "Runtime",
    "Trainer",
    "fit_lineage",
    "init_problems",
    "initial_model",
    "is_disconnection",
    "load_model",
    "network_calls",
    "routes",
    "runs",
    "start_digest",
    "start_path",
    "train_once",
    "yardstick",
]
