"""Score samplers: draw pictures from fixed latents, take features, measure how far from the data.

The model is a function from latents and labels to pictures, other processes are a function that
gathers tensors: nothing here knows of networks or of torch.distributed.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ictsweep.errors import Diverged
from ictsweep.evaluation.config import BATCH, EvaluateConfig
from ictsweep.evaluation.features import Extractor, prepare_extractor
from ictsweep.evaluation.files import cached
from ictsweep.evaluation.latents import class_labels, latents
from ictsweep.evaluation.metrics import ReferenceFactor, factor, frechet_with_error
from ictsweep.evaluation.passport import passport
from ictsweep.evaluation.route import Route
from ictsweep.evaluation.statistics import Moments, merged

# Latents float32 [n, noises, c, h, w] and labels int64 [n] or None, both on the CPU -> pictures
# [n, c, h, w] in [-1, 1], on any device.
Sampler = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One evaluation; `values`, `errors` (one standard error) and `passports` share their keys.

    The keys are `metric_keys`'. `pictures` uint8 [k, c, h, w] are the first samples with the fewest
    steps, in the process of rank 0; elsewhere k = 0.
    """

    values: Mapping[str, float]
    errors: Mapping[str, float]
    passports: Mapping[str, Mapping[str, Any]]
    pictures: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluator:
    """A prepared evaluation of one data set; `prepare` builds it.

    `labels` int64 [n] are the data's, from which those of class-conditional samples are drawn.
    """

    extractor: Extractor
    reference: ReferenceFactor
    labels: Tensor | None
    config: EvaluateConfig
    image_shape: tuple[int, int, int]
    digest: str
    seed: int
    ema: str

    def __call__(
        self,
        samplers: Mapping[str, Sampler],
        routes: Mapping[str, Route],
        rank: int = 0,
        world_size: int = 1,
        gather: Callable[[Tensor], Tensor] = lambda part: part,
    ) -> Scores:
        """Score each sampler under its metric key; each process calls, and gets the same values.

        `routes` say what the samplers, of the same keys, do: how many latents they get, whether
        they get labels, and what the passports tell. `gather` joins the equal-sized tensors [m, 64]
        (CPU) of all processes in the order of their ranks, in every process. Raises Diverged, in
        every process, when samples are not finite.
        """
        assert samplers.keys() == routes.keys()
        values: dict[str, float] = {}
        errors: dict[str, float] = {}
        pictures = torch.empty(0, *self.image_shape, dtype=torch.uint8)
        share = self._share(rank, world_size)
        for key, route in sorted(routes.items(), key=lambda item: item[1].steps):
            features, first = self._sample(samplers[key], route, share)
            if not values and rank == 0:
                pictures = first
            everyone = gather(features)[: self.config.images]
            _check_finite(everyone, route.steps)
            values[key], errors[key] = frechet_with_error(everyone, self.reference)
        passports = {key: self.passport(routes[key]) for key in values}
        return Scores(values=values, errors=errors, passports=passports, pictures=pictures)

    def passport(self, route: Route) -> dict[str, Any]:
        """What the number of this way of sampling depends on."""
        return passport(
            metric=self.extractor.metric,
            extractor=self.extractor.name,
            weights=self.extractor.weights,
            images=self.config.images,
            latent_seed=self.seed,
            route=route,
            ema=self.ema,
            reference=self.digest,
        )

    def _share(self, rank: int, world_size: int) -> range:
        """The positions of a process: whole batches, as many for all; they may pass the end."""
        batches = math.ceil(self.config.images / BATCH)
        size = math.ceil(batches / world_size) * BATCH
        return range(rank * size, (rank + 1) * size)

    def _inputs(self, route: Route, first: int, count: int) -> tuple[Tensor, Tensor | None]:
        """The latents of positions first .. first + count, and their labels if they have any."""
        noise = latents(self.seed, first, count, route.noises, self.image_shape)
        if not route.classes:
            return noise, None
        assert self.labels is not None
        return noise, class_labels(self.seed, first, count, self.labels)

    @torch.no_grad()
    def _sample(self, sampler: Sampler, route: Route, share: range) -> tuple[Tensor, Tensor]:
        """Features [len(share), 64] of a share's samples and its first pictures.

        Rows past the last image are zeros, which makes all shares equal in size; rows of samples
        that are not finite are NaN, which lets all processes learn of it through the gather that
        they are all waiting for.
        """
        features = torch.zeros(len(share), self.reference.mean.shape[0])
        pictures = torch.empty(0, *self.image_shape, dtype=torch.uint8)
        for first, stop in _batches(share, self.config.images):
            samples = sampler(*self._inputs(route, first, stop - first))
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

    `digest` identifies both. The feature network and the statistics of the data come from `cache`,
    where the first call puts them. `seed` is the latents'; `ema` names the average of the weights
    that will be scored.
    """
    extractor = prepare_extractor(images, labels, name, cache)
    _, c, h, w = images.shape
    return Evaluator(
        extractor=extractor,
        reference=factor(_reference(images, digest, extractor, cache)),
        labels=labels,
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
    for first in range(share.start, min(share.stop, end), BATCH):
        yield first, min(first + BATCH, end)


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
