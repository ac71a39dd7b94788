"""The best intermediate level of two-step sampling for a trained model, by golden-section search.

Song et al. 2023 (arXiv:2303.01469, section 3) choose levels after training, by ternary search on
the FID; like here, that takes the distance to have one minimum in the level.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ictsweep.config import TrialConfig
from ictsweep.consistency import Denoiser
from ictsweep.data import load
from ictsweep.errors import UserError
from ictsweep.evaluation import Evaluator, metric_key
from ictsweep.scoring.judge import cache_of
from ictsweep.scoring.opening import open_model
from ictsweep.seeds import derive_seed
from ictsweep.training.loading import LoadedModel, run_folder
from ictsweep.training.precision import tf32
from ictsweep.training.runtime import local_device
from ictsweep.training.samplers import is_diffusion, routes, samplers
from ictsweep.training.single import yardstick

_STEPS = 2
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Try:
    """The distance of two-step samples through `level`, and its standard error."""

    level: float
    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.level:8.4f}   {self.value:.4g} ± {self.error:.2g}"


@dataclass(frozen=True, kw_only=True)
class LevelSearch:
    """A finished search.

    `tries` in their order, on the same latents; `best` the lowest of them. Chosen for being low,
    its value is too good on average: `fresh` is the same level on latents that chose nothing, and
    `configured` the run's own level on those.
    """

    metric: str
    tries: tuple[Try, ...]
    best: Try
    fresh: Try
    configured: Try


def golden_section(
    f: Callable[[float], float], low: float, high: float, tries: int
) -> list[tuple[float, float]]:
    """The points (x, f(x)) visited on the way to the minimum of a function with one minimum in
    [low, high].

    Kiefer 1953: after the first two, each of the `tries` >= 2 evaluations shrinks the interval that
    holds the minimum by 0.618 and uses every earlier one. The interval that remains around the
    lowest point is (high - low) 0.618^(tries - 1) wide. Of equal values the lower x is kept.
    """
    if tries < 2 or low >= high:
        raise ValueError(f"needs 2 tries or more and low < high, got {tries} in [{low}, {high}]")
    visited: list[tuple[float, float]] = []

    def at(x: float) -> tuple[float, float]:
        visited.append((x, f(x)))
        return visited[-1]

    left, right = at(high - _GOLDEN * (high - low)), at(low + _GOLDEN * (high - low))
    while len(visited) < tries:
        if left[1] <= right[1]:
            high, right = right[0], left
            left = at(high - _GOLDEN * (high - low))
        else:
            low, left = left[0], right
            right = at(low + _GOLDEN * (high - low))
    return visited


def search_level(
    run: Path,
    *,
    tries: int = 10,
    low: float = 0.2,
    high: float = 10.0,
    images: int | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> LevelSearch:
    """Search the level in [low, high] whose two-step samples are nearest to the data.

    `run` is the folder of a run or of a checkpoint; `images` the samples per try (by default as
    many as the run was evaluated with). Golden section over ln(level) on the latents of `seed`,
    which all tries share; the best and the run's own level are then evaluated again on other
    latents. `say` gets each line as it is known. UserError for a diffusion model, or for a range
    outside the levels that the model was trained on.
    """
    model = open_model(run)
    config = model.config
    _check(config, low, high)
    trial = _Trial.of(model, cache_of(run_folder(run)), images, seed)
    say(f"two-step samples, {trial.evaluator.config.images:,} per level")
    say(f"   level   {trial.evaluator.extractor.metric}")
    found: list[Try] = []

    def distance(log_level: float) -> float:
        found.append(trial.at(math.exp(log_level)))
        say(str(found[-1]))
        return found[-1].value

    golden_section(distance, math.log(low), math.log(high), tries)
    best = min(found, key=lambda entry: entry.value)
    again = trial.with_seed(derive_seed(seed, "fresh latents"))
    search = LevelSearch(
        metric=trial.evaluator.extractor.metric,
        tries=tuple(found),
        best=best,
        fresh=again.at(best.level),
        configured=again.at(trial.configured),
    )
    for line in _conclusion(search, low, high):
        say(line)
    return search


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trial:
    """A model and its yardstick."""

    config: TrialConfig
    denoiser: Denoiser
    evaluator: Evaluator
    device: torch.device

    @staticmethod
    def of(model: LoadedModel, cache: Path, images: int | None, seed: int) -> "_Trial":
        evaluate = replace(model.config.evaluate, steps=(_STEPS,), schedules=(), metrics=())
        if images is not None:
            evaluate = replace(evaluate, images=images)
        config = replace(model.config, evaluate=evaluate)
        data, device = load(config.data), local_device(0)
        if data.digest != model.meta.data:
            raise UserError("the data are not those that the model was trained on: restore them")
        return _Trial(
            config=config,
            denoiser=model.denoiser.to(device),
            evaluator=yardstick(config, data, seed, cache, device),
            device=device,
        )

    @property
    def side(self) -> int:
        return max(self.evaluator.image_shape[1:])

    @property
    def configured(self) -> float:
        """The level that the run was evaluated with."""
        return routes(self.config, self.side)[_STEPS].levels[1]

    def with_seed(self, seed: int) -> "_Trial":
        return replace(self, evaluator=replace(self.evaluator, seed=seed))

    def at(self, level: float) -> Try:
        config = replace(self.config, evaluate=replace(self.config.evaluate, mid_sigma=level))
        draw = samplers(config, self.denoiser, self.side, self.device)
        with tf32(False):
            scores = self.evaluator(draw, routes(config, self.side))
        key = metric_key(config.evaluate.features.frechet, _STEPS)
        return Try(level=level, value=scores.values[key], error=scores.errors[key])


def _check(config: TrialConfig, low: float, high: float) -> None:
    if is_diffusion(config):
        raise UserError("a diffusion model is sampled by an ODE: it has no intermediate level")
    bottom, top = config.method.eval_range
    bottom /= config.evaluate.edge_eta  # which scales every level that is tried
    if not bottom < low < high < top:
        raise UserError(
            f"cannot search levels from {low:g} to {high:g}: expected a range that ascends within "
            f"the levels of the method, {bottom:g} to {top:g}"
        )


def _conclusion(search: LevelSearch, low: float, high: float) -> list[str]:
    best, fresh, own, tries = search.best, search.fresh, search.configured, len(search.tries)
    span = math.log(high / low) * _GOLDEN ** (tries - 1)
    lines = [
        f"best of {tries} tries: {best.level:.4g} (where the distance has one minimum, to a factor "
        f"of {math.exp(_GOLDEN * span):.3g})",
        "its distance above was chosen for being low, so it is too good on average;",
        "on latents that had no part in the choice:",
        f"{fresh}   the best of the tries",
        f"{own}   the run's own level",
    ]
    if not low * math.exp(span) < best.level < high / math.exp(span):
        lines.append("the best is at the end of the range: search a wider one")
    return lines
