"""Score samplers: draw pictures from fixed latents, take features, measure how far from the data.

The model is a function from latents and labels to pictures, other processes are a function that
gathers tensors: nothing here knows of networks or of torch.distributed.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ictsweep.errors import Diverged
from ictsweep.evaluation.config import EvaluateConfig, Steps, metric_key
from ictsweep.evaluation.drawing import Drawn, Sampler, batches, draw, share_of
from ictsweep.evaluation.estimates import Estimate
from ictsweep.evaluation.features import Extractor
from ictsweep.evaluation.latents import class_labels, latents
from ictsweep.evaluation.measures import details, measure
from ictsweep.evaluation.passport import passport
from ictsweep.evaluation.reference import Reference
from ictsweep.evaluation.route import Route
from ictsweep.evaluation.statistics import Moments, merged

Gather = Callable[[Tensor], Tensor]

_log = logging.getLogger(__name__)


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
    """An evaluation of samplers against one data set; `open_evaluator` makes it.

    `labels` int64 [n] are the data's, from which those of class-conditional samples are drawn.
    `reference` must be built before anything is scored.
    """

    extractor: Extractor
    reference: Reference
    labels: Tensor | None
    config: EvaluateConfig
    image_shape: tuple[int, int, int]
    digest: str
    seed: int
    ema: str

    def __call__(
        self,
        samplers: Mapping[Steps, Sampler],
        routes: Mapping[Steps, Route],
        rank: int = 0,
        world_size: int = 1,
        gather: Gather = lambda part: part,
    ) -> Scores:
        """Score each sampler, in one pass over its samples; each process calls, and gets the same
        values.

        `routes` say what the samplers, of the same keys, do: how many latents they get, whether
        they get labels, and what the passports tell. `gather` joins the equal-sized tensors
        [m, ...] (CPU) of all processes in the order of their ranks, in every process. Samples,
        features and moments are everybody's work, the rest rank 0's. Raises Diverged, in every
        process, when samples are not finite.
        """
        assert samplers.keys() == routes.keys()
        found: dict[str, Estimate] = {}
        passports: dict[str, Mapping[str, Any]] = {}
        pictures = torch.empty(0, *self.image_shape, dtype=torch.uint8)
        share = share_of(self.config.images, rank, world_size)
        for steps, route in sorted(routes.items(), key=lambda item: item[1].steps):
            mine, first = self._sample(samplers[steps], route, share)
            if not found and rank == 0:
                pictures = first
            for metric, estimate in self._together(mine, route, rank, share, gather).items():
                key = metric_key(metric, steps)
                found[key] = estimate
                passports[key] = self.passport(metric, route)
        return Scores(
            values={key: estimate.value for key, estimate in found.items()},
            errors={key: estimate.error for key, estimate in found.items()},
            passports=passports,
            pictures=pictures,
        )

    def drawn(self, sampler: Sampler, route: Route, share: range) -> Iterator[Drawn]:
        """The samples of the positions in `share`, batch by batch.

        `share` starts at a multiple of 256: then the network sees the same batches, and the samples
        are the same, however the positions are shared.
        """
        for batch in batches(share):
            yield draw(sampler, self._inputs(route, batch.start, len(batch)), batch.start)

    def features(self, sampler: Sampler, route: Route, share: range) -> Tensor:
        """Features float32 [len(share), d] (CPU) of the samples of `drawn`; NaN where a sample is
        not finite.
        """
        return self._features(self.drawn(sampler, route, share), share)[0]

    def score(
        self, features: Tensor, route: Route, moments: Moments | None = None
    ) -> dict[str, Estimate]:
        """By metric ("fd"; `metric_key` adds the steps): what features [images, d] of all samples
        of `route` give. `moments` are theirs where they are known. Diverged where a sample was not
        finite.
        """
        assert len(features) == self.config.images
        _check_finite(features, route)
        if bool((features == features[:1]).all()):
            _log.warning(
                "all %d samples with %d sampling step(s) have the same features: the model has "
                "collapsed", len(features), route.steps,
            )  # fmt: skip
        return {
            metric: measure(metric, features, self.reference, moments)
            for metric in self.config.measured
        }

    def passport(self, metric: str, route: Route) -> dict[str, Any]:
        """What the number of this metric and way of sampling depends on."""
        return passport(
            metric=metric,
            extractor=self.extractor,
            images=self.config.images,
            latent_seed=self.seed,
            route=route,
            ema=self.ema,
            reference=self.digest,
            details=details(metric, self.reference.sample_size),
        )

    def _inputs(self, route: Route, first: int, count: int) -> tuple[Tensor, Tensor | None]:
        """The latents of positions first .. first + count, and their labels if they have any."""
        noise = latents(self.seed, first, count, route.noises, self.image_shape)
        if not route.classes:
            return noise, None
        assert self.labels is not None
        return noise, class_labels(self.seed, first, count, self.labels)

    def _sample(self, sampler: Sampler, route: Route, share: range) -> tuple[Tensor, Tensor]:
        """Features of those positions of a process's share that are not past the last image, and
        its first pictures.
        """
        stop = min(share.stop, self.config.images)
        valid = range(min(share.start, stop), stop)
        return self._features(self.drawn(sampler, route, valid) if valid else iter(()), valid)

    def _features(self, batches: Iterator[Drawn], share: range) -> tuple[Tensor, Tensor]:
        features = torch.empty(len(share), self.extractor.dims)
        pictures = torch.empty(0, *self.image_shape, dtype=torch.uint8)
        for batch in batches:
            rows = self.extractor(batch.pixels)
            rows[~batch.finite] = torch.nan
            start = batch.first - share.start
            features[start : start + len(rows)] = rows
            if not start:
                pictures = batch.pixels[: self.config.grid]
        return features, pictures

    def _together(
        self, mine: Tensor, route: Route, rank: int, share: range, gather: Gather
    ) -> dict[str, Estimate]:
        """`score` of the samples of all processes, whose features here are `mine`, in each of them
        (without influences: those stay with rank 0's estimates).

        That samples are not finite shows in the gathered features: so all processes learn of it
        where they are all waiting.
        """
        padding = mine.new_zeros(len(share) - len(mine), mine.shape[1])
        everyone = gather(torch.cat([mine, padding]))[: self.config.images]
        _check_finite(everyone, route)
        moments = _gathered(mine.to(self.reference.device), gather)
        table = torch.zeros(1, len(self.config.measured), 2, dtype=torch.float64)
        if rank == 0:
            found = self.score(everyone, route, moments)
            rows = [[estimate.value, estimate.error] for estimate in found.values()]
            table[0] = torch.tensor(rows, dtype=torch.float64)
        rows = gather(table)[0].tolist()
        return {
            metric: Estimate(value=value, error=error, influence=None)
            for metric, (value, error) in zip(self.config.measured, rows, strict=True)
        }


def _gathered(mine: Tensor, gather: Gather) -> Moments:
    """The moments of all processes' features, merged (CPU) from each one's own, which are summed
    where `mine` is."""
    d = mine.shape[1]
    packed = torch.zeros(1, 1 + d + d * d, dtype=torch.float64)
    if len(mine):
        own = Moments.of(mine).to(packed.device)
        packed[0] = torch.cat([torch.tensor([own.count]), own.mean, own.scatter.flatten()])
    parts = [
        Moments(count=int(row[0]), mean=row[1 : 1 + d], scatter=row[1 + d :].view(d, d))
        for row in gather(packed)
        if row[0]
    ]
    return merged(parts)


def _check_finite(features: Tensor, route: Route) -> None:
    bad = int((~features.isfinite().all(dim=1)).sum())
    if bad:
        raise Diverged(
            f"{bad} of {len(features)} samples with {route.steps} sampling step(s) are not finite, "
            "or have features that are not: the model has diverged"
        )
