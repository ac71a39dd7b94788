"""How good are the samples? Features, statistics, the Fréchet distance, and passports."""

from ictsweep.evaluation.classifier import Classifier
from ictsweep.evaluation.config import (
    ODE_KEY,
    EvaluateConfig,
    default_mid_sigma,
    level_problems,
    metric_key,
    metric_keys,
)
from ictsweep.evaluation.evaluate import Evaluator, Sampler, Scores, prepare
from ictsweep.evaluation.features import Extractor, prepare_extractor
from ictsweep.evaluation.grid import grid, save_png
from ictsweep.evaluation.latents import class_labels, latents
from ictsweep.evaluation.metrics import (
    ReferenceFactor,
    factor,
    frechet_distance,
    frechet_of_features,
    frechet_with_error,
)
from ictsweep.evaluation.passport import passport, same
from ictsweep.evaluation.route import Route
from ictsweep.evaluation.statistics import Moments, merged

__all__ = [
    "ODE_KEY",
    "Classifier",
    "EvaluateConfig",
    "Evaluator",
    "Extractor",
    "Moments",
    "ReferenceFactor",
    "Route",
    "Sampler",
    "Scores",
    "class_labels",
    "default_mid_sigma",
    "factor",
    "frechet_distance",
    "frechet_of_features",
    "frechet_with_error",
    "grid",
    "latents",
    "level_problems",
    "merged",
    "metric_key",
    "metric_keys",
    "passport",
    "prepare",
    "prepare_extractor",
    "same",
    "save_png",
]
