"""TrialConfig: everything that makes one training run, seed and hardware apart."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from ictsweep.consistency import (
    METHODS,
    CleanPairs,
    FixedEma,
    HalfLifeEma,
    Method,
    PosteriorMean,
    PowerEma,
)
from ictsweep.data import DataConfig
from ictsweep.errors import UserError
from ictsweep.evaluation import EvaluateConfig, level_problems
from ictsweep.networks import PRESETS, NetworkConfig
from ictsweep.optimizers import Adam, AdamW, Lion, RAdam
from ictsweep.problems import Problem, shown
from ictsweep.schema import Presets, plain, read
from ictsweep.starts import CheckpointInit, EdmInit, RandomInit
from ictsweep.variants import keys

BLOCKS: Presets = MappingProxyType({NetworkConfig: PRESETS, Method: METHODS})

BF16_LEVELS = 161  # the finest grid on which bf16 still tells neighbouring levels apart

Width = Annotated[float, Gt(0), Lt(0.28)]


class ConfigError(UserError):
    """A configuration that cannot be trained; `problems` are located by their path in it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


@dataclass(frozen=True, kw_only=True)
class PostHoc:
    """Averages kept so that others can be made after training (Karras et al. 2024,
    arXiv:2312.02696, section 3.2).

    `snapshots` times in a run, evenly spaced, the power-function averages of both widths are
    saved; 0 keeps none.
    """

    snapshots: Annotated[int, Ge(0)] = 0
    sigma_rel: tuple[Width, Width] = (0.05, 0.10)

    def __post_init__(self) -> None:
        if self.sigma_rel[0] == self.sigma_rel[1]:
            raise ValueError(f"sigma_rel {list(self.sigma_rel)}: two different widths are needed")


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One training run. ConfigError if its parts do not fit together.

    `ema` is the average of the weights that is evaluated. `budget_kimg` is the run's length in
    thousands of images; every schedule is a share of it. It is a multiple of evaluate.every_kimg,
    which is a whole number of batches. `precision`: float32 with or without TF32 products, or the
    network in 16 bit; bf16 only up to 161 noise levels, unless it is asked for at any.
    """

    data: DataConfig
    network: NetworkConfig
    method: Method
    optimizer: RAdam | Adam | AdamW | Lion
    ema: PowerEma | FixedEma | HalfLifeEma = field(default_factory=PowerEma)
    post_hoc: PostHoc = PostHoc()
    init: RandomInit | CheckpointInit | EdmInit = field(default_factory=RandomInit)
    precision: Literal["tf32", "fp32", "fp16", "bf16", "bf16_at_any_level"] = "tf32"
    budget_kimg: Annotated[int, Ge(1)]
    evaluate: EvaluateConfig

    def __post_init__(self) -> None:
        parts = (
            _length_problems, _method_problems, _guidance_problems, _augment_problems,
            _precision_problems,
        )  # fmt: skip
        if problems := [problem for part in parts for problem in part(self)]:
            raise ConfigError(problems)

    def with_budget(self, kimg: int) -> "TrialConfig":
        """The same configuration as a complete run of `kimg`, its whole curriculum scaled to it."""
        return replace(self, budget_kimg=kimg)

    def level_problems(self, side: int | None = None) -> list[Problem]:
        """Intermediate levels at which sampling cannot pause, a default one for pictures of `side`
        pixels. None for a diffusion model, whose samples come from a solver of its own.
        """
        if isinstance(self.method.pairs, CleanPairs):
            return []
        found = level_problems(self.evaluate, *self.method.eval_range, side)
        return [Problem(("evaluate", *path), message) for path, message in found]

    def value(self, path: str) -> Any:
        """The value at a dotted path, such as "method.distance.c_scale"; AttributeError if the
        variants chosen have none.
        """
        found: Any = self
        for key in path.split("."):
            if not is_dataclass(found) or key not in keys(type(found)):
                raise AttributeError(f"{path}: there is no {key}")
            found = getattr(found, key)
        return found

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
    Without a preset they must be complete. Parts that come in variants are chosen by `name`:
    {preset: ict, distance: {name: l2}}.
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


def _method_problems(config: TrialConfig) -> Iterable[Problem]:
    """Parts of the method that do not fit each other, and levels where samples cannot pause."""
    misfits = [Problem(("method", *path), message) for path, message in config.method.misfits()]
    yield from misfits or config.level_problems()


def _guidance_problems(config: TrialConfig) -> Iterable[Problem]:
    guidance, network = config.evaluate.guidance, config.network
    if guidance == 1:
        return
    place = ("evaluate", "guidance")
    if not network.classes:
        message = "guidance needs a network that knows classes; set network.classes, or guidance 1"
        yield Problem(place, f"got {guidance}; {message}")
    elif not network.label_dropout:
        message = (
            "guidance compares with samples of no class, which a network learns by "
            "network.label_dropout above 0 (it is 0)"
        )
        yield Problem(place, f"got {guidance}; {message}")


def _augment_problems(config: TrialConfig) -> Iterable[Problem]:
    share, told, path = config.data.augment, config.network.augment, config.method.path
    if share and not told:
        message = "a network that is not told of augmented pictures makes such; set network.augment"
        yield Problem(("data", "augment"), f"got {share}; {message} true, or 0")
    if told and not share:
        message = "no picture is augmented; set data.augment above 0 (0.12 in EDM), or leave it out"
        yield Problem(("network", "augment"), f"got true; {message}")
    if share and isinstance(path, PosteriorMean) and path.references > 1:
        message = "expected 0: the references of method.path posterior_mean are not augmented"
        yield Problem(("data", "augment"), f"got {share}; {message}")


def _precision_problems(config: TrialConfig) -> Iterable[Problem]:
    if config.precision != "bf16":
        return
    levels = config.method.pairs.levels(1.0)
    if levels > BF16_LEVELS:
        message = (
            f"got {shown('bf16')}; method.pairs reaches {levels} noise levels, and beyond "
            f"{BF16_LEVELS} neighbours differ by less than bf16 resolves (the gradient loses its "
            "direction); use fp16, or bf16_at_any_level to have it all the same"
        )
        yield Problem(("precision",), message)
