"""From a folder on disk to a model that can be sampled from, or trained on."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ictsweep.config import TrialConfig, trial_config
from ictsweep.consistency import Denoiser
from ictsweep.errors import UserError
from ictsweep.networks import build
from ictsweep.training.checkpoints import Meta, checkpoints, is_whole, read_meta, read_state

_PREFIX = "module."  # of the weights in an average's state


class LoadedModel(NamedTuple):
    """A trained model: the denoiser holds the averaged weights, is in evaluation mode and has the
    preconditioning of sampling. `place` is the checkpoint's folder.
    """

    config: TrialConfig
    denoiser: Denoiser
    meta: Meta
    place: Path


def load_model(path: Path) -> LoadedModel:
    """The model of a run's folder (its newest whole checkpoint, of the longest run) or of one
    checkpoint's. UserError if there is none.
    """
    place = checkpoint_at(path)
    meta = read_meta(place)
    config = config_of(place, meta)
    network = build(config.network, meta.image_shape)
    denoiser = Denoiser(network, config.method.eval_scalings)
    denoiser.load_state_dict(averaged_weights(place))
    denoiser.to(memory_format=torch.channels_last)  # as in training: the same samples, bit by bit
    return LoadedModel(config, denoiser.eval().requires_grad_(False), meta, place)


def checkpoint_at(path: Path) -> Path:
    """The checkpoint's folder that `path`, of a run or of a checkpoint, stands for."""
    if (path / "meta.json").exists():
        if not is_whole(path):
            raise UserError(
                f"{path}: state.pt or meta.json is not what was written; the checkpoint is damaged"
            )
        return path
    if not path.exists():
        raise UserError(f"{path}: no such folder (looked in {path.absolute().parent})")
    for place in reversed(checkpoints(path / "checkpoints")):
        if is_whole(place):
            return place
    raise UserError(f"{path}: neither the folder of a run with a checkpoint, nor of a checkpoint")


def run_folder(path: Path) -> Path:
    """The folder of the run, for that of one of its checkpoints too."""
    place = path.absolute()
    return place.parents[1] if place.parent.name == "checkpoints" else path


def config_of(place: Path, meta: Meta) -> TrialConfig:
    """The configuration that a checkpoint was trained with."""
    try:
        return trial_config(meta.config)
    except UserError as error:
        raise UserError(f"{place}: not a configuration of this version: {error}") from error


def ema_state(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of an average that holds `weights`, as `averaged_weights` reads it."""
    return {_PREFIX + name: value for name, value in weights.items()}


def averaged_weights(place: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint: a state dict of its denoiser, on the CPU."""
    state = read_state(place)["ema"]
    return {
        name.removeprefix(_PREFIX): value
        for name, value in state.items()
        if name.startswith(_PREFIX)
    }
