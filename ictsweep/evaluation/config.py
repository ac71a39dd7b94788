"""When and how a model is scored, and the names of the numbers that come of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from ictsweep.evaluation.feature_config import (
    CifarResNetFeatures,
    ClassifierFeatures,
    FeatureConfig,
    InceptionFeatures,
)

# Batches of samples start at multiples of this whoever draws them, so one process or eight feed the
# network the same batches.
BATCH = 256

Metric = Literal["fid", "kid", "is", "fd", "kd", "precision", "recall"]
DISTANCES: tuple[Metric, ...] = ("fid", "fd", "kid", "kd")  # the lower, the better

# How a model is sampled: in so many steps of a consistency model, or by the solver of an ODE.
Steps = int | Literal["ode"]

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """When and how a model is scored.

    Every `every_kimg` thousand training images, with `images` samples per sampler. A consistency
    model is sampled with each number of `steps` (1, 2 or both), two steps stopping at noise level
    `mid_sigma` (None: the usual level for the pictures' size, `default_mid_sigma`), and through
    each of `schedules`, the intermediate levels of one multistep sampler in descending order. All
    intermediate levels are scaled by `edge_eta`: our reading of an unpublished rule of Stable
    Consistency Tuning (arXiv:2410.18958), which steps off the edges between phases; 1 is off. A
    diffusion model is sampled by `solver_steps` steps of a deterministic ODE solver instead.
    `guidance` is the scale of class guidance (1: none; any other costs a second call of the network
    per step). `grid` samples are kept as pictures, no more than `images`.

    `features` is the network whose features samples and data are compared by, `metrics` what is
    measured in them (none given: the Fréchet distance alone): "fid", "kid", "precision", "recall"
    and "is" of Inception; of any other network, "fd" and "kd" stand for the two distances, since
    FID and KID are names for Inception features.
    """

    every_kimg: Annotated[int, Gt(0)]
    images: Annotated[int, Ge(32)] = 1000
    steps: tuple[int, ...] = (1, 2)
    mid_sigma: Annotated[float, Gt(0)] | None = None
    schedules: tuple[tuple[Annotated[float, Gt(0)], ...], ...] = ()
    edge_eta: Annotated[float, Gt(0), Le(1)] = 1.0
    guidance: Annotated[float, Ge(0)] = 1.0
    solver_steps: Annotated[int, Ge(2)] = 18
    grid: Annotated[int, Ge(1), Le(BATCH)] = 64
    features: FeatureConfig = field(default_factory=ClassifierFeatures)
    metrics: tuple[Metric, ...] = ()

    def __post_init__(self) -> None:
        _check_metrics(self.metrics, self.features)
        if tuple(self.steps) not in ((1,), (2,), (1, 2), (2, 1)):
            raise ValueError(f"steps must be [1], [2] or [1, 2], got {list(self.steps)}")
        taken = {count: f"steps {list(self.steps)}" for count in self.steps}
        for schedule in self.schedules:
            _check_schedule(schedule, taken)
            taken[len(schedule) + 1] = f"schedule {list(schedule)}"

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics that an evaluation gives."""
        return self.metrics or (self.features.frechet,)


def _check_metrics(metrics: tuple[str, ...], features: FeatureConfig) -> None:
    known = ", ".join(features.metrics)
    for metric in metrics:
        if metrics.count(metric) > 1:
            raise ValueError(f"metrics {list(metrics)}: {metric} is listed twice")
        if metric not in features.metrics:
            reason = "a name for other features than"
            if metric == "is":
                reason = "the Inception score (is) needs Inception features, not"
            elif metric in InceptionFeatures().metrics:
                reason = f"{metric.upper()} is the name for Inception features, not for"
            elif metric in ClassifierFeatures().metrics:
                reason = f"{metric} is the name where features are not Inception's, not for"
            raise ValueError(
                f"metrics {list(metrics)}: {reason} features {features.name}; these give {known}"
            )


def _check_schedule(schedule: tuple[float, ...], taken: dict[int, str]) -> None:
    given, count = list(schedule), len(schedule) + 1
    if not schedule:
        raise ValueError("a schedule lists one intermediate noise level or more, got []")
    if any(a <= b for a, b in pairwise(given)):
        raise ValueError(f"the levels of a schedule must descend, got {given}")
    if count in taken:
        raise ValueError(f"schedule {given} and {taken[count]} both take {count} steps")


def metric_key(metric: str, steps: Steps) -> str:
    """A number's name in records: "fid" for one step, "fid_2step" for two, "fid_ode" for the
    solver's.
    """
    if steps == "ode":
        return f"{metric}_ode"
    return metric if steps == 1 else f"{metric}_{steps}step"


def sampled_steps(config: EvaluateConfig, diffusion: bool) -> tuple[Steps, ...]:
    """The ways in which a model is sampled, fewest steps first.

    `diffusion`: whether the model is trained to denoise (CleanPairs) and so is sampled by the ODE
    solver alone.
    """
    if diffusion:
        return ("ode",)
    return tuple(sorted({*config.steps, *(len(schedule) + 1 for schedule in config.schedules)}))


def metric_keys(config: EvaluateConfig, diffusion: bool) -> tuple[str, ...]:
    """The names of an evaluation's numbers: for each of `sampled_steps`, each metric."""
    ways = sampled_steps(config, diffusion)
    return tuple(metric_key(metric, steps) for steps in ways for metric in config.measured)


def distance_keys(config: EvaluateConfig, diffusion: bool) -> tuple[str, ...]:
    """Those of `metric_keys` that a study can minimise."""
    ways = sampled_steps(config, diffusion)
    found = [metric for metric in config.measured if metric in DISTANCES]
    return tuple(metric_key(metric, steps) for steps in ways for metric in found)


def dimension(features: FeatureConfig) -> int | None:
    """How many features these are; None where only the opened file tells."""
    match features:
        case InceptionFeatures():
            return 2048
        case ClassifierFeatures() | CifarResNetFeatures():
            return 64
    return None


def below_dimension(config: EvaluateConfig, key: str, dims: int, diffusion: bool) -> str:
    """What is wrong with ranking models by the number called `key` in `dims` features; "" if
    nothing is.
    """
    ways = sampled_steps(config, diffusion)
    frechet = [metric_key(config.features.frechet, steps) for steps in ways]
    if config.images > dims or key not in frechet:
        return ""
    return (
        f"got {config.images}; {key} of no more samples than {dims:,} features comes from a "
        "singular covariance: such numbers are marked and never compared, so a study cannot "
        f"minimize one; expected more than {dims}"
    )


def default_mid_sigma(side: int) -> float:
    """The intermediate level of two-step sampling for pictures of `side` pixels.

    0.821 up to 32 pixels and 1.526 above, as in the released evaluation scripts of ECT
    (arXiv:2406.14548) for CIFAR-10 and for ImageNet at 64 pixels; said to be iCT's
    (arXiv:2310.14189).
    """
    return 0.821 if side <= 32 else 1.526


def level_problems(
    config: EvaluateConfig, sigma_min: float, sigma_max: float, side: int | None = None
) -> list[tuple[Path, str]]:
    """The intermediate levels that do not lie between `sigma_min` and `sigma_max`: (path inside
    the block, message) each. A default level is judged for pictures of `side` pixels, small ones
    where that is not known yet."""
    eta, expected = config.edge_eta, f"sigma_min {sigma_min} and sigma_max {sigma_max}"
    scaled = "" if eta == 1 else f", times edge_eta {eta} too"
    return [
        (path, f"{got}; expected a noise level between {expected}{scaled}")
        for path, level, got in _named_levels(config, side)
        if not sigma_min < level * eta <= level < sigma_max
    ]


def _named_levels(config: EvaluateConfig, side: int | None) -> Iterator[tuple[Path, float, str]]:
    """(path, level, what to say of it) of every intermediate level."""
    mid, default = config.mid_sigma, default_mid_sigma(side or 32)
    if 2 in config.steps and mid is None:
        yield ("mid_sigma",), default, f"not given, which means {default}"
    elif mid is not None:
        yield ("mid_sigma",), mid, f"got {mid}"
    for i, schedule in enumerate(config.schedules):
        for j, level in enumerate(schedule):
            yield ("schedules", i, j), level, f"got {level}"
