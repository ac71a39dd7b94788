"""A run's first weights: drawn, or taken from a model that was trained before."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from ictsweep.config import TrialConfig
from ictsweep.consistency import Denoiser
from ictsweep.errors import UserError
from ictsweep.networks import NetworkConfig, build
from ictsweep.networks.pretrained import architecture, edm_weights
from ictsweep.problems import Problem
from ictsweep.seeds import derive_seed
from ictsweep.starts import CheckpointInit, EdmInit, RandomInit
from ictsweep.training.checkpoints import digest_of, read_meta, sha256
from ictsweep.training.loading import averaged_weights, checkpoint_at, config_of

_AUGMENT_WEIGHT = "network.condition.augment.weight"  # in a denoiser's state


def initial_model(config: TrialConfig, shape: tuple[int, int, int], seed: int) -> Denoiser:
    """The denoiser that training begins with; drawn weights depend on the seed alone.

    UserError if the model that it should start from is another one.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "init"))
    denoiser = Denoiser(build(config.network, shape, generator), config.method.scalings)
    if (start := _start(config)) is not None:
        if differences := list(start.differences(config, shape)):
            raise UserError("\n".join(f"init.path: {message}" for message in differences))
        start.load(denoiser.network)
    return denoiser


def start_path(path: str) -> str:
    """What an `init.path` stands for now, absolute: a file, or the folder of one checkpoint.

    A run that is still trained has another newest checkpoint later; who starts from it more than
    once has to name one. UserError if a run has none.
    """
    place = Path(path).absolute()
    return str(checkpoint_at(place) if (place / "checkpoints").is_dir() else place)


def start_digest(path: str) -> str:
    """What identifies the contents of the file or the checkpoint that an `init.path` stands for.
    UserError if there is none.
    """
    place = Path(path)
    return sha256(place) if place.is_file() else digest_of(checkpoint_at(place))


def init_digest(config: TrialConfig) -> str:
    """`start_digest` of the model that the first weights come from; "" for drawn weights."""
    return "" if isinstance(config.init, RandomInit) else start_digest(config.init.path)


def init_problems(config: TrialConfig, image_shape: tuple[int, int, int]) -> list[Problem]:
    """Why a configuration for images of a shape cannot start from the model that it names; empty
    if it can, or starts from drawn weights.
    """
    try:
        start = _start(config)
    except UserError as error:
        return [Problem(("init", "path"), str(error))]
    found = [] if start is None else start.differences(config, image_shape)
    return [Problem(("init", "path"), message) for message in found]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Start:
    """A trained model to begin with. `image_shape` is None where it is not known."""

    place: Path
    network: NetworkConfig
    sigma_data: float
    image_shape: tuple[int, int, int] | None
    load: Callable[[nn.Module], object]

    def differences(self, config: TrialConfig, shape: tuple[int, int, int]) -> Iterable[str]:
        """Both sides of each.

        The boundary may be another: diffusion models have 0, Song et al. 0.002. It is in c_skip and
        c_out alone, which it changes by the order of boundary / sigma; what the network is asked
        for, c_in and c_noise of the input, stays. So a start from EDM's weights is ECT's and SCT's
        own, and iCT's grid can begin there too.
        """
        if self.image_shape not in (None, shape):
            yield f"{self.place} was trained on images {self.image_shape}; the data's are {shape}"
        theirs, ours = asdict(architecture(self.network)), asdict(architecture(config.network))
        for key in dict.fromkeys([*theirs, *ours]):
            if theirs.get(key) != ours.get(key):
                yield (
                    f"{self.place} holds a network with {key} {theirs.get(key)}; "
                    f"this trial's network has {key} {ours.get(key)}"
                )
        if self.sigma_data != config.method.sigma_data:
            yield (
                f"{self.place} was trained with sigma_data {self.sigma_data}; "
                f"this trial's method has sigma_data {config.method.sigma_data}"
            )


def _start(config: TrialConfig) -> _Start | None:
    match config.init:
        case CheckpointInit(path=path):
            return _from_checkpoint(checkpoint_at(Path(path)), config.network.augment)
        case EdmInit(path=path):
            return _from_edm(Path(path), config.network.augment)
    return None


def _from_checkpoint(place: Path, augment: bool) -> _Start:
    """What it has learnt of augmented pictures is left out where `augment` is off, as from EDM's
    files: a network that is told nothing does not use it.
    """
    meta = read_meta(place)
    config = config_of(place, meta)
    dropped = config.network.augment and not augment

    def load(network: nn.Module) -> None:
        weights = averaged_weights(place)
        if dropped:
            del weights[_AUGMENT_WEIGHT]
        Denoiser(network, config.method.scalings).load_state_dict(weights)

    return _Start(
        place=place,
        network=replace(config.network, augment=False) if dropped else config.network,
        sigma_data=config.method.sigma_data,
        image_shape=meta.image_shape,
        load=load,
    )


def _from_edm(path: Path, augment: bool) -> _Start:
    published = edm_weights(path, augment=augment)
    return _Start(
        place=path,
        network=published.config,
        sigma_data=published.sigma_data,
        image_shape=published.image_shape,
        load=lambda network: network.load_state_dict(published.weights),
    )
