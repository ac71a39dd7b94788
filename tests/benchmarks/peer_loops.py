"""Other people's training steps, run from their own code: ECT (locuslab/ect) and consistency_GC
(thibautissenhuth/consistency_GC).

Their loops live inside functions that also read data and start processes, so what is called here
are the parts of a step, in their order: loss, backward pass, optimiser, average. Their code asks
for a CUDA device where it shares dropout masks; on a CPU the same is done with the CPU's generator.
Nothing of theirs is in this repository: a folder with checkouts is given.
"""

import copy
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ictsweep.consistency import Batch
from ictsweep.networks.dropout import Dropout

SIDE = 32


class Peer(Protocol):
    """A network of EDM's names under its preconditioning, its gradient on a given batch, and its
    own training step."""

    precond: nn.Module
    network: nn.Module

    def gradient(self, batch: Batch, masks: "Masks") -> float:
        """The mean loss in float64 on given randomness; leaves its gradient."""
        ...

    def step(self, x0: Tensor) -> None:
        """One training step on images, with its own randomness."""
        ...


class Masks:
    """Our dropout mask for a network that calls `dropout` layer by layer; `place` is the state that
    student and teacher share."""

    def __init__(self, layers: list[Dropout], mask: Tensor) -> None:
        self.layers, self.mask, self.place = layers, mask, 0

    def dropout(self, x: Tensor, p: float, training: bool) -> Tensor:
        """The next layer's dropout."""
        layer = self.layers[self.place % len(self.layers)]
        self.place += 1
        assert training
        assert abs(layer.rate - p) < 1e-12
        return layer(x, self.mask)


class _Torch:
    """The module torch with some names replaced, as a peer's module sees it."""

    def __init__(self, real: Any, **replaced: Any) -> None:
        self.__dict__ |= replaced
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _seen(masks: Masks | None = None, **replaced: Any) -> _Torch:
    """torch for a peer: on the CPU; in float64 with our masks if they are given."""
    cuda = _Torch(
        torch.cuda,
        get_rng_state=lambda *_, **__: torch.get_rng_state(),
        set_rng_state=lambda state, *_, **__: torch.set_rng_state(state),
    )
    if masks is None:
        return _Torch(torch, cuda=cuda, **replaced)

    def rewind(place: int, *_: Any, **__: Any) -> None:
        masks.place = place

    cuda = _Torch(torch.cuda, get_rng_state=lambda *_, **__: masks.place, set_rng_state=rewind)
    functional = _Torch(F, dropout=masks.dropout)
    return _Torch(
        torch, cuda=cuda, float32=torch.float64, nn=_Torch(nn, functional=functional), **replaced
    )


def _modules(folder: Path, *names: str) -> list[Any]:
    """Modules of a checkout."""
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such checkout")
    sys.path.insert(0, str(folder))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(folder))


class ECT:
    """locuslab/ect, CIFAR-10: DDPM++ under ECMPrecond, ECMLoss in its last stage, RAdam, average
    0.9999."""

    def __init__(self, folder: Path, channels: int, dropout: float, stage: int) -> None:
        losses, self.networks = _modules(folder / "ect", "training.loss", "training.networks")
        self.losses = losses
        self.precond = self.networks.ECMPrecond(
            img_resolution=SIDE, img_channels=3, model_type="SongUNet", model_channels=channels,
            channel_mult=[2, 2, 2], num_blocks=4, attn_resolutions=[16], dropout=dropout,
        ).train()  # fmt: skip
        self.network = self.precond.model
        self.objective = losses.ECMLoss()
        self.objective.update_schedule(stage)
        self.optimizer = torch.optim.RAdam(self.precond.parameters(), lr=1e-4, betas=(0.9, 0.999))
        self.average = copy.deepcopy(self.precond).eval().requires_grad_(False)
        losses.torch = _seen()

    def gradient(self, batch: Batch, masks: Masks) -> float:
        normal = ((batch.t.log() + 1.1) / 2.0).view(-1, 1, 1, 1)
        self.networks.torch = _seen(masks)
        self.losses.torch = _seen(
            masks, randn=lambda *_, **__: normal, randn_like=lambda *_: batch.noise
        )
        try:
            return _backward(self.objective(self.precond, batch.x0).mean())
        finally:
            self.networks.torch, self.losses.torch = torch, _seen()

    def step(self, x0: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.objective(net=self.precond, images=x0).sum().mul(1 / len(x0)).backward()
        for weight in self.precond.parameters():
            if weight.grad is not None:
                torch.nan_to_num(weight.grad, nan=0, posinf=1e5, neginf=-1e5, out=weight.grad)
        self.optimizer.step()
        with torch.no_grad():
            for mean, weight in zip(
                self.average.parameters(), self.precond.parameters(), strict=True
            ):
                mean.copy_(weight.detach().lerp(mean, 0.9999))


class ConsistencyGC:
    """thibautissenhuth/consistency_GC, CIFAR-10, its iCT baseline at the last grid: RAdam, and
    ema-pytorch every fifth step. Without its DistributedDataParallel."""

    def __init__(self, folder: Path, channels: int, dropout: float, progress: float) -> None:
        ortools = ModuleType("ortools.graph.python")
        ortools.linear_sum_assignment = None  # type: ignore[attr-defined]
        for name in ("ortools", "ortools.graph", "ortools.graph.python"):
            sys.modules.setdefault(name, ortools)
        sys.modules.setdefault("omegaconf", _with(ModuleType("omegaconf"), OmegaConf=None))
        self.functions, self.networks = _modules(folder / "consistency_GC", "utils", "edm_networks")
        self.precond = self.networks.ConsistencyPrecond(
            img_resolution=SIDE, img_channels=3, sigma_min=0.002, sigma_max=80, sigma_data=0.5,
            model_channels=channels, dropout=dropout, num_blocks=3, embedding_type="positional",
            augment_dim=0, channel_mult=[1, 2, 2],
        ).train()  # fmt: skip
        self.network, self.progress = self.precond.model, progress
        self.options = self.functions.Train_config(sigma_min=0.002, sigma_max=80)
        self.optimizer = torch.optim.RAdam(self.precond.parameters(), lr=1e-4)
        self.average = _ema_pytorch(folder)(
            self.precond, beta=0.9999, update_after_step=0, update_every=5
        )

    def gradient(self, batch: Batch, masks: Masks) -> float:
        self.networks.torch = _seen(masks)
        try:
            return _backward(self._compare(batch.x0, batch.noise, batch.r, batch.t, masks))
        finally:
            self.networks.torch = torch

    def step(self, x0: Tensor) -> None:
        noise = torch.randn_like(x0)
        n = self.functions.improved_timesteps_schedule(int(100_000 * self.progress), 100_000)
        sigmas = self.functions.get_sigmas_karras(n, 0.002, 80)
        steps = self.functions.lognormal_timestep_distribution(len(x0), sigmas)
        self.optimizer.zero_grad()
        self._compare(x0, noise, sigmas[steps], sigmas[steps + 1], None).backward()
        self.optimizer.step()
        self.average.update()

    def _compare(
        self, x0: Tensor, noise: Tensor, lower: Tensor, upper: Tensor, masks: Masks | None
    ) -> Tensor:
        state = torch.get_rng_state() if masks is None else masks.place
        with torch.no_grad():
            target = self.precond(x0 + lower.view(-1, 1, 1, 1) * noise, lower)
        if masks is None:
            torch.set_rng_state(state)
        else:
            masks.place = state
        prediction = self.precond(x0 + upper.view(-1, 1, 1, 1) * noise, upper)
        distance = self.functions.loss_image(target.detach(), prediction, self.options)
        weights = self.functions.improved_loss_weighting(torch.stack([lower, upper]))[0]
        return (weights * distance).mean()


def _backward(loss: Tensor) -> float:
    loss.backward()
    return loss.item()


def _with(module: ModuleType, **names: Any) -> ModuleType:
    vars(module).update(names)
    return module


def _ema_pytorch(folder: Path) -> Callable[..., Any]:
    """The class of ema-pytorch 0.2.3, installed or in the folder `lib` beside the checkouts."""
    sys.path.append(str(folder / "lib"))
    try:
        return importlib.import_module("ema_pytorch").EMA
    except ImportError:
        raise SystemExit("consistency_GC's average: pip install ema-pytorch==0.2.3") from None
    finally:
        sys.path.remove(str(folder / "lib"))
