"""Score samplers: draw pictures from fixed latents, take features, measure how far from the data.

The model is a function from latents to pictures, other processes are a function that gathers
tensors: nothing here knows of networks or of torch.distributed.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from ictsweep.errors import Diverged
from ictsweep.evaluation.features import Extractor, prepare_extractor
from ictsweep.evaluation.files import cached
from ictsweep.evaluation.latents import latents
from ictsweep.evaluation.metrics import ReferenceFactor, factor, frechet_with_error
from ictsweep.evaluation.passport import passport
from ictsweep.evaluation.statistics import Moments, merged

Sampler = Callable[[Tensor], Tensor]

# Batches start at multiples of this whoever draws them, so one process or eight feed the network
# the same batches.
_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """When and how a model is scored.

    Every `every_kimg` thousand training images, with `images` samples per number of sampling
    `steps` (1, 2 or both); two-step sampling stops at noise level `mid_sigma` (iCT,
    arXiv:2310.14189: 0.821 on CIFAR-10). `grid` samples are kept as pictures, no more than
    `images`.
    """

    every_kimg: Annotated[int, Gt(0)]
    images: Annotated[int, Ge(32)] = 1000
    steps: tuple[int, ...] = (1, 2)
    mid_sigma: Annotated[float, Gt(0)] = 0.821
    grid: Annotated[int, Ge(1), Le(_BATCH)] = 64

    def __post_init__(self) -> None:
        if tuple(self.steps) not in ((1,), (2,), (1, 2), (2, 1)):
            raise ValueError(f"steps must be [1], [2] or [1, 2], got {list(self.steps)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One evaluation; `values`, `errors` (one standard error) and `passports` share their keys.

    The keys are `metric_key`'s. `pictures` uint8 [k, c, h, w] are the first samples with the fewest
    steps, in the process of rank 0; elsewhere k = 0.
    """

    values: Mapping[str, float]
    errors: Mapping[str, float]
    passports: Mapping[str, Mapping[str, Any]]
    pictures: Tensor


def metric_key(steps: int) -> str:
    """The Fréchet distance's name in records: "fd" for one step, "fd_2step" for two."""
    return "fd" if steps == 1 else f"fd_{steps}step"


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluator:
    """A prepared evaluation of one data set; `prepare` builds it."""

    extractor: Extractor
    reference: ReferenceFactor
    config: EvaluateConfig
    image_shape: tuple[int, int, int]
    digest: str
    seed: int
    ema: str

    def __call__(
        self,
        samplers: Mapping[int, Sampler],
        levels: Mapping[int, tuple[float, ...]],
        rank: int = 0,
        world_size: int = 1,
        gather: Callable[[Tensor], Tensor] = lambda part: part,
    ) -> Scores:
        """Score the sampler of each number of steps; each process calls, and gets the same values.

        A sampler maps latents float32 [n, steps, c, h, w] (CPU) to pictures float [n, c, h, w] in
        [-1, 1] (any device); `levels` are the noise levels it goes through, for the passport.
        `gather` joins the equal-sized tensors [m, 64] (CPU) of all processes in the order of their
        ranks, in every process. Raises Diverged, in every process, when samples are not finite.
        """
        assert set(samplers) == set(levels) == set(self.config.steps)
        values: dict[str, float] = {}
        errors: dict[str, float] = {}
        pictures = torch.empty(0, *self.image_shape, dtype=torch.uint8)
        for steps in sorted(samplers):
            share = self._share(rank, world_size)
            features, first = self._sample(samplers[steps], steps, share)
            if steps == min(samplers) and rank == 0:
                pictures = first
            everyone = gather(features)[: self.config.images]
            _check_finite(everyone, steps)
            key = metric_key(steps)
            values[key], errors[key] = frechet_with_error(everyone, self.reference)
        passports = {metric_key(steps): self.passport(steps, levels[steps]) for steps in samplers}
        return Scores(values=values, errors=errors, passports=passports, pictures=pictures)

    def passport(self, steps: int, levels: tuple[float, ...]) -> dict[str, Any]:
        """What the number for these steps depends on."""
        return passport(
            metric=self.extractor.metric,
            extractor=self.extractor.name,
            weights=self.extractor.weights,
            images=self.config.images,
            latent_seed=self.seed,
            steps=steps,
            levels=levels,
            ema=self.ema,
            reference=self.digest,
        )

    def _share(self, rank: int, world_size: int) -> range:
        """The positions of a process: whole batches, as many for all; they may pass the end."""
        batches = math.ceil(self.config.images / _BATCH)
        size = math.ceil(batches / world_size) * _BATCH
        return range(rank * size, (rank + 1) * size)

    @torch.no_grad()
    def _sample(self, sampler: Sampler, steps: int, share: range) -> tuple[Tensor, Tensor]:
        """Features [len(share), 64] of a share's samples and its first pictures.

        Rows past the last image are zeros, which makes all shares equal in size; rows of samples
        that are not finite are NaN, which lets all processes learn of it through the gather that
        they are all waiting for.
        """
        features = torch.zeros(len(share), self.reference.mean.shape[0])
        pictures = torch.empty(0, *self.image_shape, dtype=torch.uint8)
        for first, stop in _batches(share, self.config.images):
            samples = sampler(latents(self.seed, first, stop - first, steps, self.image_shape))
            assert samples.shape == (stop - first, *self.image_shape)
            finite = samples.isfinite().flatten(1).all(dim=1).cpu()
            quantised = _to_uint8(samples)
            rows = self.extractor(quantised)
            rows[~finite] = torch.nan
            features[first - share.start : stop - share.start] = rows
            if first == share.start:
                pictures = quantised[: self.config.grid]
        return features, pictures


def prepare(
    images: Tensor,
    labels: Tensor | None,
    name: str,
    digest: str,
    config: EvaluateConfig,
    seed: int,
    cache: Path,
    ema: str,
) -> Evaluator:
    """An evaluator against these pictures: uint8 [n, c, h, w] (CPU), labels [n] or None.

    `digest` identifies them. The feature network and the statistics of the data come from `cache`,
    where the first call puts them. `seed` is the latents'; `ema` names the average of the weights
    that will be scored.
    """
    extractor = prepare_extractor(images, labels, name, cache)
    _, c, h, w = images.shape
    return Evaluator(
        extractor=extractor,
        reference=factor(_reference(images, digest, extractor, cache)),
        config=config,
        image_shape=(c, h, w),
        digest=digest,
        seed=seed,
        ema=ema,
    )


def _reference(images: Tensor, digest: str, extractor: Extractor, cache: Path) -> Moments:
    """The moments of the data's features."""

    def build() -> tuple[dict[str, Tensor], dict[str, Any]]:
        moments = merged([Moments.of(extractor(part)) for part in images.split(4096)])
        return {"mean": moments.mean, "scatter": moments.scatter}, {"count": moments.count}

    tensors, facts = cached(cache, f"reference-{extractor.weights}-{digest}", build)
    return Moments(count=facts["count"], mean=tensors["mean"], scatter=tensors["scatter"])


def _batches(share: range, end: int) -> Iterator[tuple[int, int]]:
    """(first, stop) of each batch of a share, up to `end`."""
    for first in range(share.start, min(share.stop, end), _BATCH):
        yield first, min(first + _BATCH, end)


def _to_uint8(x: Tensor) -> Tensor:
    """[-1, 1] -> uint8 (CPU) as EDM rounds: trunc(clip(127.5 x + 128, 0, 255)); NaN becomes 0."""
    levels = (x.float() * 127.5 + 128).clip(0, 255)
    return levels.nan_to_num(nan=0.0).to(torch.uint8).cpu()


def _check_finite(features: Tensor, steps: int) -> None:
    bad = int(features.isnan().any(dim=1).sum())
    if bad:
        raise Diverged(
            f"{bad} of {len(features)} samples with {steps} sampling step(s) are not finite: "
            "the model has diverged"
        )
