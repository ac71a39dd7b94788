"""What a configuration computes and writes, counted on a network without numbers (the device
"meta"): nothing is computed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from ictsweep.config import TrialConfig
from ictsweep.consistency import CleanPairs, EmaTeacher, Generated
from ictsweep.evaluation import ClassifierFeatures, Dinov2Features, InceptionFeatures
from ictsweep.networks import NetworkConfig, build
from ictsweep.optimizers import Lion
from ictsweep.study.work import Work
from ictsweep.training import network_calls, routes

Shape = tuple[int, int, int]

# Operations of the feature networks per picture: InceptionV3 at 299 pixels, ViT-L/14 at 224. A
# classifier of the data's own is hardly any work; files of the user's are not looked into.
_INCEPTION_FLOP, _DINOV2_FLOP = 11.4e9, 162e9
_TENSOR_BYTES = 375  # a tensor's name and place in a checkpoint's file


class Counter:
    """Counts the work of configurations for images of one shape (c, h, w); each network once."""

    def __init__(self, image_shape: Shape) -> None:
        self._shape = image_shape
        self._networks: dict[NetworkConfig, _Network] = {}

    def work(self, config: TrialConfig) -> Work:
        """The work of a configuration whose network can be built."""
        network = self._network(config.network)
        calls = [network_calls(r) for r in routes(config, max(self._shape[1:])).values()]
        images = config.evaluate.images
        drawn = images * sum(calls) * network.forward_flop
        features = images * len(calls) * _feature_flop(config)
        weights = network.weights + _TENSOR_BYTES * network.tensors
        post_hoc = config.post_hoc
        return Work(
            step_flop=_passes(config) * network.forward_flop,
            evaluation_flop=drawn + features,
            batch=config.optimizer.batch,
            parameters=network.parameters,
            checkpoint_bytes=_copies(config) * weights,
            snapshot_bytes=post_hoc.snapshots * len(post_hoc.sigma_rel) * weights,
        )

    def _network(self, config: NetworkConfig) -> "_Network":
        config = replace(config, dropout=0.0)  # which changes nothing that is counted
        if config not in self._networks:
            self._networks[config] = _counted(config, self._shape)
        return self._networks[config]


@dataclass(frozen=True)
class _Network:
    """Of one image through a network: operations; its parameters, weights in bytes, tensors."""

    forward_flop: float
    parameters: int
    weights: int
    tensors: int


def _counted(config: NetworkConfig, shape: Shape) -> _Network:
    with torch.device("meta"):
        network = build(config, shape).eval()
        inputs = torch.empty(1, *shape), torch.empty(1)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(*inputs)
    state = network.state_dict().values()
    return _Network(
        forward_flop=float(counter.get_total_flops()),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        weights=sum(tensor.numel() * tensor.element_size() for tensor in state),
        tensors=len(state),
    )


def _passes(config: TrialConfig) -> float:
    """Forward passes of the network that training takes per image."""
    method = config.method
    teacher = 0 if isinstance(method.pairs, CleanPairs) else 1
    generated = method.endpoint.share if isinstance(method.endpoint, Generated) else 0.0
    return 3 + teacher + generated


def _copies(config: TrialConfig) -> int:
    """How many times a checkpoint holds the weights, or something as large: the weights, their
    average, the optimiser's moments, and what the configuration needs besides.
    """
    method = config.method
    moments = 1 if isinstance(config.optimizer, Lion) else 2
    averages = isinstance(method.teacher, EmaTeacher) + isinstance(method.endpoint, Generated)
    later = len(config.post_hoc.sigma_rel) if config.post_hoc.snapshots else 0
    return 2 + moments + averages + later


def _feature_flop(config: TrialConfig) -> float:
    match config.evaluate.features:
        case InceptionFeatures():
            return _INCEPTION_FLOP
        case Dinov2Features():
            return _DINOV2_FLOP
    return 0.0


def not_counted(config: TrialConfig) -> Iterable[str]:
    """What training and evaluation do besides, as far as it may matter."""
    features = config.evaluate.features
    if not isinstance(features, ClassifierFeatures | InceptionFeatures | Dinov2Features):
        yield f"the {features.name} feature network"
    if config.method.distance.name == "perceptual":
        yield "the perceptual distance's network"
