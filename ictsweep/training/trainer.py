"""The trainer: one run of one configuration on one runtime, resumable at any checkpoint. Knows
neither Ray nor the study.
"""

import logging
import math
import time
from dataclasses import replace
from functools import partial
from typing import NoReturn

import torch

from ictsweep.answers import Outcome, Word
from ictsweep.errors import Diverged
from ictsweep.evaluation import Sampler, Scores, Steps, grid, save_png
from ictsweep.records import Measurement
from ictsweep.training.build import build_feed, build_meta, build_objective, build_state
from ictsweep.training.clock import Phase
from ictsweep.training.divergence import find_culprit
from ictsweep.training.job import Job
from ictsweep.training.keeping import Keeper
from ictsweep.training.leaving import Interrupted, gathering, interruptible
from ictsweep.training.optimizer import set_lr, total_norm
from ictsweep.training.post_hoc import SNAPSHOTS, forget_snapshots, snapshot_due
from ictsweep.training.precision import allow_tf32, tf32
from ictsweep.training.probe import gradient_cosine, probe_size
from ictsweep.training.runtime import Runtime, gather, over_ranks
from ictsweep.training.samplers import routes, samplers
from ictsweep.training.spectrum import added, spectrum
from ictsweep.training.step import accumulate, share_of

_log = logging.getLogger(__name__)


class Trainer:
    """`Trainer(job, runtime).fit()` trains to the budget or to the study's stop. `meta` says how
    far it has come.
    """

    def __init__(self, job: Job, runtime: Runtime) -> None:
        config = job.config
        self.job, self.config, self.runtime = job, config, runtime
        self.share = share_of(
            config.optimizer.batch, config.optimizer.block,
            runtime.rank, runtime.world_size, job.micro_batch, job.halvings,
        )  # fmt: skip
        self.state = build_state(job, runtime.device)
        self.feed = build_feed(job, self.state, runtime.device)
        self.objective = build_objective(config, self.state, runtime)
        self.meta = build_meta(job)
        self.keeper = Keeper(job.folder, runtime, job.checkpoint_every_s)
        allow_tf32(self.objective.precision.tf32)
        if self.objective.precision.crawls(runtime.device) and not runtime.rank:
            _log.warning("fp16 has no fast arithmetic on a CPU: this run will crawl (bf16 or fp32)")

    @property
    def seen(self) -> int:
        """Images trained on in this run."""
        return self.meta.images

    def fit(self) -> Outcome:
        """Train from the newest checkpoint to the budget, or to where the study ends it at a rung,
        or to where it is asked to leave.
        """
        self._restore()
        while True:
            kimg = self.seen / 1000
            if self.seen and kimg % self.config.evaluate.every_kimg == 0:
                word = self._at(int(kimg))
                if word is not Word.GO_ON:
                    return Outcome.STOPPED if word is Word.STOP else Outcome.LEFT
                self.meta = replace(self.meta, by_level=[])
            if kimg >= self.config.budget_kimg:
                return Outcome.FINISHED
            if self._step():
                self._checkpoint()
                return Outcome.LEFT
            if self.keeper.due():
                self._checkpoint()

    def _at(self, kimg: int) -> Word:
        """Evaluate and ask the study, where either is due."""
        try:
            if kimg not in self.job.recorded and self._measure(kimg) is Word.LEAVE:
                return Word.LEAVE  # nobody recorded it: the next launch evaluates here again
        except Interrupted:
            return Word.LEAVE
        if kimg not in self.job.rungs:
            return Word.GO_ON
        with self.job.clock.phase(Phase.IDLE):
            word = self.runtime.verdict(kimg)
        if word is Word.LEAVE:
            self._checkpoint()
        return word

    def _step(self) -> bool:
        """Train on the next global batch; whether any rank was asked to leave."""
        with self.job.clock.phase(Phase.TRAIN):
            return self._trained()

    def _trained(self) -> bool:
        started = time.perf_counter()
        stage = self.config.method.pairs.stage(self._progress(self.seen))
        cosine = self.meta.grad_cosine if stage == self.meta.stage else self._probe()
        norm, leaving, loss, *by_level = self._gradient()
        if self._move(loss, norm):
            self.state.update_averages()
        self.meta = replace(
            self.meta,
            images=self.seen + self.config.optimizer.batch,
            train_s=self.meta.train_s + time.perf_counter() - started,
            loss=loss,
            grad_norm=norm if math.isfinite(norm) else self.meta.grad_norm,
            by_level=added(self.meta.by_level, by_level),
            stage=stage,
            grad_cosine=cosine,
        )
        self._snapshot()
        return leaving > 0

    def _probe(self) -> float | None:
        """What the precision leaves of the gradient's direction, on a few of the next step's
        images; None where it is float32.
        """
        if self.runtime.rank or not self.objective.precision.rounds(self.runtime.device):
            return None
        count = probe_size(self.share.micro, self.config.optimizer.block)
        objective = self.objective.of(self.state.model)
        return gradient_cosine(objective, self.feed.batch(self.seen, 0, count))

    def _gradient(self) -> list[float]:
        """Put the gradient of the next global batch where the optimiser looks for it, clipped; its
        norm before clipping, how many ranks are leaving, the mean loss, and images and losses by
        noise level.
        """
        optimizer, scaler, batch = self.state.optimizer, self.state.scaler, self.config.optimizer
        optimizer.zero_grad(set_to_none=True)
        found = accumulate(
            self.objective, self.share, batch.batch, self.runtime.world_size,
            partial(self.feed.batch, self.seen), scaler.scale if scaler else torch.nn.Identity(),
        )  # fmt: skip
        if scaler:
            scaler.unscale_(optimizer)
        norm = total_norm(self.state.model, batch.clip)
        return torch.cat([norm[None], over_ranks(found, self.runtime.leaving)]).tolist()

    def _move(self, loss: float, grad_norm: float) -> bool:
        """Take the optimiser's step; whether it was taken. Diverged, before the optimiser moves,
        when the numbers are not finite: the last checkpoint stays good. Under loss scaling a
        gradient may overflow: that step is not taken, the next is scaled less.
        """
        optimizer, scaler = self.state.optimizer, self.state.scaler
        if not math.isfinite(loss) or not (scaler or math.isfinite(grad_norm)):
            self._diverge(loss, grad_norm)
        set_lr(optimizer, self.config.optimizer.lr_at(self._progress(self.seen)))
        if not scaler:
            optimizer.step()
            return True
        before = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        if scaler.get_scale() < 1:
            self._diverge(loss, grad_norm)
        return scaler.get_scale() >= before  # it is lowered by an overflow alone

    def _diverge(self, loss: float, grad_norm: float) -> NoReturn:
        self.state.optimizer.zero_grad(set_to_none=True)
        culprit = find_culprit(
            self.objective.of(self.state.model), self.share,
            partial(self.feed.batch, self.seen), gather,
        )  # fmt: skip
        raise Diverged(
            f"loss {loss:g}, gradient norm {grad_norm:g} at {self.seen / 1000:g} kimg, "
            f"N = {self._levels(self.seen)}: {culprit}"
        )

    def _progress(self, images: int) -> float:
        return images / (self.config.budget_kimg * 1000)

    def _levels(self, images: int) -> int:
        return self.config.method.pairs.levels(self._progress(images))

    def _snapshot(self) -> None:
        kept = self.state.post_hoc
        if kept is not None and not self.runtime.rank and snapshot_due(self.config, self.seen):
            kept.save(self.job.folder / SNAPSHOTS, self.config.budget_kimg)
            self.runtime.keep(self.job.folder, SNAPSHOTS)

    def _checkpoint(self) -> None:
        with self.job.clock.phase(Phase.TRAIN):
            self.keeper.save(self.state, self.meta)

    def _measure(self, kimg: int) -> Word:
        """Checkpoint, then evaluate the average weights and report: a kill between the two costs
        one evaluation. Interrupted when the run is to be left before there are scores.
        """
        self._checkpoint()
        started = time.perf_counter()
        with self.job.clock.phase(Phase.EVALUATE):
            scores = self._evaluate()
        picture = f"samples/{self.config.budget_kimg:06d}-{kimg:06d}.png"
        if self.runtime.rank == 0:
            save_png(self.job.folder / picture, grid(scores.pictures, columns=8))
            self.runtime.keep(self.job.folder, picture)
        measurement = Measurement(
            run_kimg=self.config.budget_kimg,
            kimg=kimg,
            values=scores.values,
            errors=scores.errors,
            passports=scores.passports,
            levels=self._levels(self.seen - self.config.optimizer.batch),  # last trained on
            loss=self.meta.loss,
            grad_norm=self.meta.grad_norm,
            train_s=self.meta.train_s,
            evaluate_s=time.perf_counter() - started,
            samples=picture,
            stage=self.meta.stage,
            grad_cosine=self.meta.grad_cosine,
            spectrum=spectrum(self.meta.by_level),
        )
        with self.job.clock.phase(Phase.IDLE):
            return self.runtime.report(measurement)

    def _evaluate(self) -> Scores:
        """Of the average weights, in float32 without TF32 whatever the precision of training:
        numbers of trials that differ in it are comparable.
        """
        side, device = max(self.job.images.shape[1:]), self.runtime.device
        found = samplers(self.config, self.state.ema.module, side, device)
        draw: dict[Steps, Sampler] = {
            steps: interruptible(sampler, self.runtime) for steps, sampler in found.items()
        }
        with tf32(False):
            return self.job.evaluator(
                draw, routes(self.config, side), rank=self.runtime.rank,
                world_size=self.runtime.world_size, gather=gathering(self.runtime),
            )  # fmt: skip

    def _restore(self) -> None:
        meta = self.keeper.restore(self.state, self.meta)
        if meta is None and self.runtime.rank == 0:
            forget_snapshots(self.job.folder / SNAPSHOTS, self.config.budget_kimg)
        if meta is not None:
            self.meta = meta
            _log.info("continued at %g of %d kimg", self.seen / 1000, self.config.budget_kimg)
