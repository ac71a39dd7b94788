"""How good are the samples? Features, statistics, distances and their errors, passports."""

from ictsweep.evaluation.classifier import Classifier
from ictsweep.evaluation.config import (
    BATCH,
    DISTANCES,
    EvaluateConfig,
    Metric,
    Steps,
    below_dimension,
    default_mid_sigma,
    dimension,
    distance_keys,
    level_problems,
    metric_key,
    metric_keys,
    sampled_steps,
)
from ictsweep.evaluation.drawing import Drawn, Sampler, to_uint8
from ictsweep.evaluation.estimates import (
    Draws,
    Estimate,
    combined,
    difference,
    interval,
    unpaired,
)
from ictsweep.evaluation.evaluate import Evaluator, Scores
from ictsweep.evaluation.feature_config import (
    CifarResNetFeatures,
    ClassifierFeatures,
    Dinov2Features,
    FeatureConfig,
    InceptionFeatures,
    TorchScriptFeatures,
)
from ictsweep.evaluation.features import Extractor, feature_problems, prepare_extractor
from ictsweep.evaluation.frechet import (
    ReferenceFactor,
    factor,
    frechet,
    frechet_distance,
    frechet_of_features,
)
from ictsweep.evaluation.grid import grid, save_png
from ictsweep.evaluation.inception_score import inception_score
from ictsweep.evaluation.infinity import frechet_infinity
from ictsweep.evaluation.kernel import (
    KernelReference,
    kernel_distance,
    kernel_reference,
)
from ictsweep.evaluation.latents import class_labels, latents
from ictsweep.evaluation.manifold import Manifold, manifold, precision, recall
from ictsweep.evaluation.opening import open_evaluator
from ictsweep.evaluation.passport import BELOW, comparable, passport, require_comparable
from ictsweep.evaluation.reference import Reference
from ictsweep.evaluation.route import Route
from ictsweep.evaluation.statistics import Moments, merged

__all__ = [
    "BATCH",
    "BELOW",
    "DISTANCES",
    "CifarResNetFeatures",
    "Classifier",
    "ClassifierFeatures",
    "Dinov2Features",
    "Drawn",
    "Draws",
    "Estimate",
    "EvaluateConfig",
    "Evaluator",
    "Extractor",
    "FeatureConfig",
    "InceptionFeatures",
    "KernelReference",
    "Manifold",
    "Metric",
    "Moments",
    "Reference",
    "ReferenceFactor",
    "Route",
    "Sampler",
    "Scores",
    "Steps",
    "TorchScriptFeatures",
    "below_dimension",
    "class_labels",
    "combined",
    "comparable",
    "default_mid_sigma",
    "difference",
    "dimension",
    "distance_keys",
    "factor",
    "feature_problems",
    "frechet",
    "frechet_distance",
    "frechet_infinity",
    "frechet_of_features",
    "grid",
    "inception_score",
    "interval",
    "kernel_distance",
    "kernel_reference",
    "latents",
    "level_problems",
    "manifold",
    "merged",
    "metric_key",
    "metric_keys",
    "open_evaluator",
    "passport",
    "precision",
    "prepare_extractor",
    "recall",
    "require_comparable",
    "sampled_steps",
    "save_png",
    "to_uint8",
    "unpaired",
]
