"""Networks side by side with the authors' own, on equal weights: outputs and gradients, to 1e-6.

All in float64, though EDM's attention weights are float32 there. A new network of theirs says
nothing, so normal noise is added to every weight first.
"""

import dataclasses
import pickle
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ictsweep.consistency import Denoiser, Scalings
from ictsweep.networks import (
    AUGMENT_LABELS,
    PRESETS,
    ADMConfig,
    NetworkConfig,
    PretrainedError,
    UNetConfig,
    build,
    edm_weights,
    from_edm,
)
from tests.peers.checkouts import edm_stubs, load

SHAPE = (3, 16, 16)
DDPMPP = {"model_channels": 16, "channel_mult": [1, 2], "num_blocks": 2, "attn_resolutions": [8]}
NCSNPP = {
    **DDPMPP,
    "channel_mult": [2, 1, 2],
    "num_blocks": 1,
    "embedding_type": "fourier",
    "channel_mult_noise": 2,
    "encoder_type": "residual",
    "resample_filter": [1, 3, 3, 1],
}
ADM = {"model_channels": 64, "channel_mult": [1, 2], "num_blocks": 1, "attn_resolutions": [8]}
OUR_DDPMPP = UNetConfig(channels=16, channel_mult=(1, 2), blocks=2, attention=(8,), dropout=0.0)
OUR_NCSNPP = dataclasses.replace(
    OUR_DDPMPP,
    channel_mult=(2, 1, 2),
    blocks=1,
    embedding="fourier",
    encoder="residual",
    resample_filter=(1, 3, 3, 1),
)
OUR_ADM = ADMConfig(
    channels=64, channel_mult=(1, 2), blocks=1, attention=(8,), level="scale_shift", dropout=0.0
)


@pytest.fixture(autouse=True)
def seeded():
    """Their weights come from torch's global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def edm() -> ModuleType:
    return load("edm", "training.networks", edm_stubs())


def gc() -> ModuleType:
    return load("consistency_GC", "edm_networks", edm_stubs() | {"omegaconf": _OMEGACONF})


_OMEGACONF = SimpleNamespace(OmegaConf=None)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm()).item()


def disagreement(theirs: nn.Module, config: NetworkConfig, shape=SHAPE) -> float:
    """The largest relative difference of outputs, gradients of the input and of any weight."""
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    theirs = theirs.double().train()
    for weight in theirs.parameters():
        weight.data += 0.05 * normal(*weight.shape)
    ours = build(config, shape).double().train()
    ours.load_state_dict(from_edm(theirs.state_dict(), config))
    x, c_noise, weights = (
        normal(3, *shape),
        torch.linspace(-1.5, 1.1, 3).double(),
        normal(3, *shape),
    )
    labels = hot = None
    if config.classes:
        labels = torch.tensor([0, -1, config.classes - 1])
        hot = torch.eye(config.classes + 1).double()[labels][:, :-1]
    done = normal(3, AUGMENT_LABELS) if config.augment else None
    x, again = (x.clone().requires_grad_() for _ in range(2))
    expected = theirs(x, c_noise, hot, done)
    got = ours(again, c_noise, labels=labels, augment=done)
    (expected * weights).sum().backward()
    (got * weights).sum().backward()
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    mapped = from_edm({**theirs.state_dict(), **gradients}, config)
    worst = [relative(got, expected), relative(again.grad, x.grad)]
    worst += [relative(p.grad, mapped[name]) for name, p in ours.named_parameters()]
    return max(worst)


@pytest.mark.parametrize(("classes", "augment"), [(0, False), (5, False), (5, True)])
@pytest.mark.parametrize(
    ("kind", "arguments", "config"),
    [
        ("SongUNet", DDPMPP, OUR_DDPMPP),
        ("SongUNet", NCSNPP, OUR_NCSNPP),
        (
            "SongUNet",
            {**NCSNPP, "decoder_type": "skip", "resample_filter": [1, 1]},
            dataclasses.replace(OUR_NCSNPP, decoder="skip", resample_filter=(1, 1)),
        ),
        ("DhariwalUNet", ADM, OUR_ADM),
    ],
)
def test_networks_of_edm(kind, arguments, config, classes, augment):
    told = {"label_dim": classes, "augment_dim": AUGMENT_LABELS if augment else 0}
    theirs = getattr(edm(), kind)(16, 3, 3, dropout=0.0, **told, **arguments)
    ours = dataclasses.replace(config, classes=classes, augment=augment)
    assert disagreement(theirs, ours) <= 1e-6


def test_the_network_of_generator_augmentation():
    # configs/cifar10_GC_mix50.yaml, at an eighth of its width.
    precond = gc().ConsistencyPrecond(
        img_resolution=16, img_channels=3, sigma_min=0.002, sigma_max=80, sigma_data=0.5,
        model_channels=16, dropout=0.0, num_blocks=3, embedding_type="positional", augment_dim=0,
        channel_mult=[1, 2, 2],
    )  # fmt: skip
    config = dataclasses.replace(PRESETS["gc_cifar"], channels=16)
    assert disagreement(precond.model, config) <= 1e-6


def published(module: ModuleType) -> list[tuple[nn.Module, NetworkConfig, tuple[int, int, int]]]:
    """EDM's networks as its train.py makes them, for CIFAR-10 and ImageNet-64."""
    song = {"model_channels": 128, "channel_mult": [2, 2, 2]}
    ncsnpp = {k: NCSNPP[k] for k in ("embedding_type", "channel_mult_noise", "encoder_type")}
    ncsnpp |= {"resample_filter": [1, 3, 3, 1]}
    adm = dataclasses.replace(PRESETS["adm"], level="scale_shift", classes=1000)
    return [
        (module.SongUNet(32, 3, 3, **song), PRESETS["ddpmpp"], (3, 32, 32)),
        (module.SongUNet(32, 3, 3, **song, **ncsnpp), PRESETS["ncsnpp"], (3, 32, 32)),
        (module.DhariwalUNet(64, 3, 3, label_dim=1000), adm, (3, 64, 64)),
    ]


def size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_presets_have_every_weight_of_the_published_networks():
    with torch.device("meta"):
        for theirs, config, shape in published(edm()):
            ours = build(config, shape)
            assert size(ours) == size(theirs)
            state = from_edm(theirs.state_dict(), config)  # refuses another name or shape
            assert state.keys() == ours.state_dict().keys()


def test_the_preset_of_generator_augmentation_has_every_weight():
    with torch.device("meta"):
        theirs = gc().SongUNet(32, 3, 3, model_channels=128, num_blocks=3, channel_mult=[1, 2, 2])
        ours = build(PRESETS["gc_cifar"], (3, 32, 32))
        assert size(ours) == size(theirs) == 34_711_811
        assert from_edm(theirs.state_dict(), PRESETS["gc_cifar"]).keys() == ours.state_dict().keys()


@pytest.fixture
def persistent(monkeypatch) -> ModuleType:
    """EDM's networks module with the project's own pickling, importable while a file is written."""
    module = load("edm", "training.networks")
    persistence: Any = module.persistence
    monkeypatch.setitem(sys.modules, "torch_utils", ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", persistence)
    monkeypatch.setitem(sys.modules, "dnnlib", persistence.dnnlib)
    monkeypatch.setitem(sys.modules, "dnnlib.util", persistence.dnnlib.util)
    return module


def write(path, module: ModuleType, kind: str, arguments: dict[str, Any], **options) -> nn.Module:
    """A snapshot as EDM's training writes it, of a network with noise on its weights."""
    arguments = {"img_resolution": 16, "img_channels": 3, **arguments, **options}
    wrapper = module.EDMPrecond(model_type=kind, **arguments)
    generator = torch.Generator().manual_seed(0)
    for weight in wrapper.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    easy = module.persistence.dnnlib.EasyDict
    data = {"ema": wrapper.eval().requires_grad_(False), "dataset_kwargs": easy(path="images")}
    path.write_bytes(pickle.dumps(data))
    return wrapper


@pytest.mark.parametrize(
    ("kind", "arguments", "config"),
    [
        ("SongUNet", {**DDPMPP, "augment_dim": 9, "dropout": 0.13}, OUR_DDPMPP),
        ("SongUNet", {**NCSNPP, "label_dim": 5}, dataclasses.replace(OUR_NCSNPP, classes=5)),
        ("DhariwalUNet", {**ADM, "label_dim": 5}, dataclasses.replace(OUR_ADM, classes=5)),
    ],
)
def test_a_snapshot_of_edm_is_read_without_its_code(
    tmp_path, monkeypatch, persistent, kind, arguments, config
):
    path = tmp_path / "network-snapshot.pkl"
    theirs = write(path, persistent, kind, arguments)
    for name in [m for m in sys.modules if m.split(".")[0] in ("torch_utils", "dnnlib")]:
        monkeypatch.delitem(sys.modules, name)
    found = edm_weights(path)
    assert found.sigma_data == 0.5
    assert found.image_shape == SHAPE
    assert found.config.dropout == arguments.get("dropout", 0.10)
    assert dataclasses.replace(found.config, dropout=0.0) == dataclasses.replace(
        config, **({"fourier_scale": 16.0} if kind == "SongUNet" else {"dropout_below": None})
    )
    assert "torch_utils" not in sys.modules
    ours = build(found.config, found.image_shape).eval()
    ours.load_state_dict(found.weights)
    generator = torch.Generator().manual_seed(1)
    sigma = torch.tensor([0.01, 1.0, 80.0])
    x = sigma.view(-1, 1, 1, 1) * torch.randn(3, *SHAPE, generator=generator)
    labels = torch.tensor([4, 0, 2]) if config.classes else None
    hot = torch.eye(5)[labels] if config.classes else None
    denoiser = Denoiser(ours, Scalings(sigma_data=0.5, sigma_min=0.0))
    got, expected = denoiser(x, sigma, None, labels), theirs(x, sigma, hot)
    assert relative(got, expected) <= 1e-5  # their preconditioning is float32 whatever is given
    network = theirs.get_submodule("model").double()
    expected = network(x.double(), sigma.double().log() / 4, None if hot is None else hot.double())
    got = ours.double()(x.double(), sigma.double().log() / 4, None, labels)
    assert relative(got, expected) <= 1e-6


@pytest.mark.parametrize("precond", ["VPPrecond", "VEPrecond", "iDDPMPrecond"])
def test_other_preconditionings_of_edm_are_refused_by_name(tmp_path, persistent, precond):
    path = tmp_path / "baseline.pkl"
    make = getattr(persistent, precond)
    wrapper = make(img_resolution=16, img_channels=3, model_type="SongUNet", **DDPMPP)
    path.write_bytes(pickle.dumps({"ema": wrapper}))
    with pytest.raises(PretrainedError, match=f"class {precond} .*another preconditioning"):
        edm_weights(path)
