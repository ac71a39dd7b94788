"""From a job to the live objects of its run."""

import json

import torch

from ictsweep.config import TrialConfig
from ictsweep.consistency import Denoiser, EmaTeacher, Generated
from ictsweep.networks import recompute
from ictsweep.training.checkpoints import Meta
from ictsweep.training.ema import Averaged, averaged
from ictsweep.training.feed import Feed
from ictsweep.training.initial import init_digest, initial_model
from ictsweep.training.job import Job
from ictsweep.training.objective import Objective
from ictsweep.training.optimizer import build_optimizer
from ictsweep.training.post_hoc import PostHocAverages
from ictsweep.training.precision import Precision, loss_scaler
from ictsweep.training.runtime import Runtime, distribute
from ictsweep.training.state import TrainState


def build_state(job: Job, device: torch.device) -> TrainState:
    """A run's state before its first step.

    UserError if the model that it should start from is another one.
    """
    config = job.config
    model = initial_model(config, job.images.shape, job.seed)
    model = model.to(device, memory_format=torch.channels_last)  # pyright: ignore
    batch = config.optimizer.batch
    state = TrainState(
        model=model,
        ema=averaged(model, config.ema, batch),
        optimizer=build_optimizer(config.optimizer, model.parameters()),
        teacher=_teacher(config, model),
        generator=_generator(config, model),
        post_hoc=_post_hoc(config, model),
        scaler=loss_scaler(Precision.of(config.precision), device),
    )
    if job.recompute:
        recompute(model.network)
    return state


def build_feed(job: Job, state: TrainState, device: torch.device) -> Feed:
    """The run's stream of batches."""
    size = int(state.model.network.mask_size)  # pyright: ignore[reportArgumentType]
    return Feed(
        config=job.config,
        images=job.images,
        seed=job.seed,
        mask_size=size,
        device=device,
        pinned=device.type == "cuda",
    )


def build_objective(config: TrialConfig, state: TrainState, runtime: Runtime) -> Objective:
    """The run's loss, its student shared by the runtime's processes."""
    return Objective(
        method=config.method,
        student=distribute(state.model, runtime),
        teacher=state.model if state.teacher is None else state.teacher.module,
        generator=None if state.generator is None else state.generator.module,
        precision=Precision.of(config.precision),
    )


def build_meta(job: Job) -> Meta:
    """What the run's checkpoints belong to, before its first step."""
    return Meta(
        config=json.loads(json.dumps(job.config.to_dict())), data=job.images.digest,
        init=init_digest(job.config), image_shape=job.images.shape, seed=job.seed,
        run_kimg=job.config.budget_kimg, images=0, train_s=0.0,
        loss=float("nan"), grad_norm=float("nan"),
    )  # fmt: skip


def _teacher(config: TrialConfig, model: Denoiser) -> Averaged[Denoiser] | None:
    """The average that teaches, if not the student does. It is trained with the student's mask, so
    it stays in training mode.
    """
    teacher, pairs = config.method.teacher, config.method.pairs
    if not isinstance(teacher, EmaTeacher):
        return None
    batch, total = config.optimizer.batch, config.budget_kimg * 1000

    def decay(update: int) -> float:  # of the step taken, whose loss the average has just taught
        return teacher.decay(pairs.steps, (update - 1) * batch / total)  # pyright: ignore

    average = Averaged(model, decay)
    average.module.train()
    return average


def _generator(config: TrialConfig, model: Denoiser) -> Averaged[Denoiser] | None:
    endpoint = config.method.endpoint
    if not isinstance(endpoint, Generated):
        return None
    return averaged(model, endpoint.ema, config.optimizer.batch)


def _post_hoc(config: TrialConfig, model: Denoiser) -> PostHocAverages | None:
    kept = config.post_hoc
    if not kept.snapshots:
        return None
    return PostHocAverages(model, kept.sigma_rel, config.optimizer.batch)
