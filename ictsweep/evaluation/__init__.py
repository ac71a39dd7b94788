"""How good are the samples? Features, statistics, the Fréchet distance, and passports."""

from ictsweep.evaluation.classifier import Classifier
from ictsweep.evaluation.evaluate import EvaluateConfig, Evaluator, Scores, metric_key, prepare
from ictsweep.evaluation.features import Extractor, prepare_extractor
from ictsweep.evaluation.grid import grid, save_png
from ictsweep.evaluation.latents import latents
from ictsweep.evaluation.metrics import (
    ReferenceFactor,
    factor,
    frechet_distance,
    frechet_of_features,
    frechet_with_error,
)
from ictsweep.evaluation.passport import passport, same
from ictsweep.evaluation.statistics import Moments, merged

__all__ = [
    "Classifier",
    "EvaluateConfig",
    "Evaluator",
    "Extractor",
    "Moments",
    "ReferenceFactor",
    "Scores",
    "factor",
    "frechet_distance",
    "frechet_of_features",
    "frechet_with_error",
    "grid",
    "latents",
    "merged",
    "metric_key",
    "passport",
    "prepare",
    "prepare_extractor",
    "same",
    "save_png",
]
