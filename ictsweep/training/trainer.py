"""The trainer: one run of one configuration on one runtime, resumable at any checkpoint. Knows
neither Ray nor the study.
"""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ictsweep.config import TrialConfig
from ictsweep.consistency import Denoiser, sample
from ictsweep.data import Images, Loader, to_model
from ictsweep.errors import Diverged
from ictsweep.evaluation import Evaluator, Scores, grid, save_png
from ictsweep.networks import UNet
from ictsweep.records import Measurement
from ictsweep.seeds import derive_seed
from ictsweep.training.ema import averaged
from ictsweep.training.optimizer import build_optimizer
from ictsweep.training.runtime import Runtime, distribute, gather, mean_over_ranks
from ictsweep.training.state import Meta, TrainState, restore_newest, save_checkpoint
from ictsweep.training.step import Draws, accumulate, draw, share_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run is made of, besides its configuration: data, yardstick, seed, and where its files
    go.

    `rungs` are the kimg at which the study is asked whether to go on; `recorded` the kimg already
    in the study's log (an evaluation repeated after a resume is not reported twice). `micro_batch`
    bounds memory, never the result.
    """

    config: TrialConfig
    images: Images
    evaluator: Evaluator
    seed: int
    folder: Path
    rungs: tuple[int, ...] = ()
    recorded: Collection[int] = field(default_factory=frozenset)
    micro_batch: int | None = None


class Trainer:
    """`Trainer(job, runtime).fit()` trains to the budget or to the study's stop."""

    def __init__(self, job: Job, runtime: Runtime) -> None:
        config = job.config
        self.job, self.config, self.runtime = job, config, runtime
        allow_tf32(config.precision == "tf32")
        self.loader = Loader(images=job.images, seed=job.seed, flip=config.data.flip)
        model = initial_model(config, job.images.shape, job.seed).to(runtime.device)
        self.student = distribute(model, runtime)
        self.mask_size = int(model.network.mask_size)  # pyright: ignore[reportArgumentType]
        optimizer = build_optimizer(config.optimizer, model.parameters())
        self.state = TrainState(model, averaged(model, config.ema.sigma_rel), optimizer)
        self.share = share_of(
            config.optimizer.batch, config.optimizer.block,
            runtime.rank, runtime.world_size, job.micro_batch,
        )  # fmt: skip
        self.seen = 0
        self.train_s = 0.0
        self.loss = self.grad_norm = float("nan")

    def fit(self) -> bool:
        """Train from the newest checkpoint to the budget; False if the study stopped the run at a
        rung.
        """
        self._restore()
        while True:
            kimg = self.seen / 1000
            if self.seen and kimg % self.config.evaluate.every_kimg == 0:
                if kimg not in self.job.recorded:
                    self._measure(int(kimg))
                if kimg in self.job.rungs and not self.runtime.verdict(int(kimg)):
                    return False
            if kimg >= self.config.budget_kimg:
                return True
            self._step()

    def _step(self) -> None:
        started = time.perf_counter()
        batch = self.config.optimizer.batch
        self.state.optimizer.zero_grad(set_to_none=True)
        loss = accumulate(
            self.student, self.state.model, self.config.method, self.share, batch,
            self.runtime.world_size, self._inputs,
        )  # fmt: skip
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in self.state.model.parameters() if p.grad is not None]
        )
        loss = mean_over_ranks(loss)
        self.loss, self.grad_norm = torch.stack([loss, norm]).tolist()
        self._guard()
        self.state.optimizer.step()
        self.state.ema.update_parameters(self.state.model)
        self.seen += batch
        self.train_s += time.perf_counter() - started

    def _inputs(self, offset: int, count: int) -> tuple[Tensor, Draws]:
        first = self.seen + offset
        pixels = self.loader.batch(first, count).to(self.runtime.device)
        draws = draw(
            self.config.method, self.job.images.shape, self.mask_size,
            seed=self.job.seed, first=first, count=count,
            block=self.config.optimizer.block,
            progress=self._progress(self.seen), device=self.runtime.device,
        )  # fmt: skip
        return to_model(pixels), draws

    def _progress(self, images: int) -> float:
        return images / (self.config.budget_kimg * 1000)

    def _levels(self, images: int) -> int:
        return self.config.method.pairs.steps.levels(self._progress(images))

    def _guard(self) -> None:
        """Stop before the optimiser moves on a non-finite gradient: the last checkpoint stays
        good.
        """
        total = self.loss + self.grad_norm
        if total != total or abs(total) == float("inf"):
            raise Diverged(
                f"loss {self.loss:g}, gradient norm {self.grad_norm:g} "
                f"at {self.seen / 1000:g} kimg, N = {self._levels(self.seen)}"
            )

    def _measure(self, kimg: int) -> None:
        """Checkpoint, then evaluate the average weights and report: a kill between the two costs
        one evaluation.
        """
        if self.runtime.rank == 0:
            save_checkpoint(self.job.folder / "checkpoints", self.state, self._meta())
        started = time.perf_counter()
        scores = self._evaluate()
        picture = f"samples/{self.config.budget_kimg:06d}-{kimg:06d}.png"
        if self.runtime.rank == 0:
            save_png(self.job.folder / picture, grid(scores.pictures, columns=8))
        self.runtime.report(
            Measurement(
                run_kimg=self.config.budget_kimg,
                kimg=kimg,
                values=scores.values,
                errors=scores.errors,
                passports=scores.passports,
                levels=self._levels(self.seen - self.config.optimizer.batch),  # last trained on
                loss=self.loss,
                grad_norm=self.grad_norm,
                train_s=self.train_s,
                evaluate_s=time.perf_counter() - started,
                samples=picture,
            )
        )

    def _evaluate(self) -> Scores:
        levels = sampling_levels(self.config)
        samplers = {steps: partial(self._sample, levels=path) for steps, path in levels.items()}
        return self.job.evaluator(
            samplers, levels,
            rank=self.runtime.rank, world_size=self.runtime.world_size, gather=gather,
        )  # fmt: skip

    def _sample(self, latents: Tensor, *, levels: tuple[float, ...]) -> Tensor:
        """Images of latents, on the CPU where they are counted, from the average weights."""
        on_device = latents.to(self.runtime.device)
        sigma_min = self.config.method.pairs.grid.sigma_min
        return sample(self.state.ema.module, on_device, levels, sigma_min=sigma_min).cpu()

    def _meta(self) -> Meta:
        return Meta(
            config_digest=f"{self.config.digest()}-{self.job.images.digest}", seed=self.job.seed,
            run_kimg=self.config.budget_kimg, images=self.seen, train_s=self.train_s,
            loss=self.loss, grad_norm=self.grad_norm,
        )  # fmt: skip

    def _restore(self) -> None:
        folder = self.job.folder / "checkpoints"
        meta = restore_newest(folder, self.state, self.runtime.device, self._meta())
        if meta is not None:
            self.seen, self.train_s = meta.images, meta.train_s
            self.loss, self.grad_norm = meta.loss, meta.grad_norm
            _log.info("continued at %d of %d kimg", self.seen // 1000, self.config.budget_kimg)


def initial_model(config: TrialConfig, shape: tuple[int, int, int], seed: int) -> Denoiser:
    """The untrained denoiser of a configuration; its weights depend on the seed alone."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "init"))
    return Denoiser(UNet(config.network, shape, generator), config.method.scalings)


def sampling_levels(config: TrialConfig) -> dict[int, tuple[float, ...]]:
    """The noise levels of each sampler that is evaluated: sigma_max, then the intermediate
    level.
    """
    sigma_max = config.method.pairs.grid.sigma_max
    return {
        steps: (sigma_max, *[config.evaluate.mid_sigma] * (steps - 1))
        for steps in config.evaluate.steps
    }


def allow_tf32(allowed: bool) -> None:
    """TF32 for matrix products and convolutions on GPUs that have it; no effect elsewhere."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
