"""TrialConfig: everything that makes one training run, seed and hardware apart."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from types import MappingProxyType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from ictsweep.consistency import METHODS, Method
from ictsweep.data import DataConfig
from ictsweep.errors import UserError
from ictsweep.evaluation import EvaluateConfig
from ictsweep.networks import PRESETS, UNetConfig
from ictsweep.problems import Problem
from ictsweep.schema import Presets, plain, read

BLOCKS: Presets = MappingProxyType({UNetConfig: PRESETS, Method: METHODS})


class ConfigError(UserError):
    """A configuration that cannot be trained; `problems` are located by their path in it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """RAdam (Liu et al. 2020, arXiv:1908.03265), as in iCT. `batch` is global: the number of
    workers never changes it.
    """

    name: Literal["radam"] = "radam"
    lr: Annotated[float, Gt(0)] = 1e-4
    batch: Annotated[int, Ge(1)]
    betas: tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]] = (0.9, 0.999)

    @property
    def block(self) -> int:
        """Images of the batch that share a random generator: at most 32, and few enough that 2, 4
        or 8 workers can share any batch that they divide. Workers take whole blocks, so an image's
        randomness never depends on how many there are.
        """
        share = self.batch // math.gcd(self.batch, 8)
        return max(size for size in range(1, 33) if share % size == 0)


@dataclass(frozen=True, kw_only=True)
class Ema:
    """Power-function average of the weights (Karras et al. 2024, arXiv:2312.02696, section 3.1).

    `sigma_rel` is its width relative to the length of the run; the profile exists below 12^(-1/2).
    """

    sigma_rel: Annotated[float, Gt(0), Lt(0.28)] = 0.05


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One training run. ConfigError if its parts do not fit together.

    `budget_kimg` is its length in thousands of images; every schedule is a share of it. It is a
    multiple of evaluate.every_kimg, which is a whole number of batches.
    """

    data: DataConfig
    network: UNetConfig
    method: Method
    optimizer: Optimizer
    ema: Ema = Ema()
    precision: Literal["tf32", "fp32"] = "tf32"
    budget_kimg: Annotated[int, Ge(1)]
    evaluate: EvaluateConfig

    def __post_init__(self) -> None:
        if problems := [*_length_problems(self), *_level_problems(self)]:
            raise ConfigError(problems)

    def with_budget(self, kimg: int) -> "TrialConfig":
        """The same configuration as a complete run of `kimg`, its whole curriculum scaled to it."""
        return replace(self, budget_kimg=kimg)

    def value(self, path: str) -> Any:
        """The value at a dotted path, such as "method.distance.c_scale"."""
        return attrgetter(path)(self)

    def to_dict(self) -> dict[str, Any]:
        """All values in JSON types, presets resolved; `trial_config` reads it back."""
        return plain(self)

    def digest(self) -> str:
        """16 hexadecimal digits that tell configurations apart, the same in every process."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def trial_config(mapping: Mapping[str, Any]) -> TrialConfig:
    """The configuration that plain values describe; ConfigError listing all that is wrong.

    `network` and `method` start from a preset and override it: {preset: tiny, dropout: 0.1}.
    Without a preset they must be complete.
    """
    config, problems = read(TrialConfig, mapping, presets=BLOCKS)
    if config is None:
        raise ConfigError(problems)
    return config


def _length_problems(config: TrialConfig) -> Iterable[Problem]:
    budget, every, batch = config.budget_kimg, config.evaluate.every_kimg, config.optimizer.batch
    if budget % every:
        message = f"got {budget}; expected a multiple of evaluate.every_kimg {every}"
        yield Problem(("budget_kimg",), f"{message}, so that the run ends with an evaluation")
    if every * 1000 % batch:
        unit = batch // math.gcd(batch, 1000)
        message = f"got {every}; {every * 1000} images are not whole batches of {batch}"
        yield Problem(("evaluate", "every_kimg"), f"{message}; expected a multiple of {unit}")


def _level_problems(config: TrialConfig) -> Iterable[Problem]:
    pairs, mid = config.method.pairs, config.evaluate.mid_sigma
    steps, low, high = pairs.steps, pairs.grid.sigma_min, pairs.grid.sigma_max
    if steps.s1 < steps.s0:
        message = f"got {steps.s1}; expected at least s0 {steps.s0}, where the doubling starts"
        yield Problem(("method", "pairs", "steps", "s1"), message)
    if low >= high:
        message = f"got {high}; expected more than sigma_min {low}"
        yield Problem(("method", "pairs", "grid", "sigma_max"), message)
        return
    if not low < mid < high:
        message = f"got {mid}; expected a noise level between sigma_min {low} and sigma_max {high}"
        yield Problem(("evaluate", "mid_sigma"), message)
    try:
        pairs.density.probabilities(pairs.grid.levels(2))
    except ValueError as error:
        yield Problem(("method", "pairs", "density"), str(error), at_key=True)
    except OverflowError:
        message = f"got {pairs.grid.rho}; sigma^(1/rho) overflows; values near 7 are usual"
        yield Problem(("method", "pairs", "grid", "rho"), message)
