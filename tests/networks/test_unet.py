"""The U-Net as a whole: published sizes, every valid configuration, shared masks, reproducible
weights."""

import dataclasses
import math
import random
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

import ictsweep.networks as networks
from ictsweep.networks import PRESETS, ADMConfig, UNet, UNetConfig, build, draw_mask
from ictsweep.networks.dropout import Dropout

SMALL = UNetConfig(channels=8, channel_mult=(1, 2), blocks=1, attention=(4,), dropout=0.25)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs(n, shape, seed=0):
    g = generator(seed)
    return torch.randn(n, *shape, generator=g), torch.randn(n, generator=g)


CIFAR, IMAGENET = (3, 32, 32), (3, 64, 64)
EDM_ADM = dataclasses.replace(PRESETS["adm"], level="scale_shift", classes=1000)


@pytest.mark.parametrize(
    ("config", "shape", "parameters"),
    [
        (PRESETS["ddpmpp"], CIFAR, 55_732_739),  # 55.7 M: Karras et al. 2022, Table 7
        (PRESETS["ncsnpp"], CIFAR, 56_395_523),  # 56.4 M
        (EDM_ADM, IMAGENET, 295_899_267),  # 295.9 M: as published, for 1000 classes
        (PRESETS["adm"], IMAGENET, 281_400_003),  # told by addition, without classes
        (PRESETS["gc_cifar"], CIFAR, 34_711_811),  # 34.7 M
        (PRESETS["ddpmpp_deep"], CIFAR, 96_947_715),
        (PRESETS["ncsnpp_deep"], CIFAR, 97_610_499),
        (PRESETS["adm_deep"], IMAGENET, 471_999_555),
    ],
)
def test_published_networks_have_their_published_size(config, shape, parameters):
    with torch.device("meta"):
        network = build(config, shape)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_mask_size_of_ddpmpp_by_hand():
    # Features after a block's first convolution, 256 channels throughout: 4 + 5 blocks and the
    # upsampling one at 32x32; 4 + 5 + 1 (down) + 1 (up) at 16x16; 4 + 5 + 1 (down) + 2 (bottleneck)
    # at 8x8.
    with torch.device("meta"):
        network = build(PRESETS["ddpmpp"], (3, 32, 32))
    assert network.mask_size == 256 * (10 * 32**2 + 11 * 16**2 + 12 * 8**2)


def random_config(draw: random.Random) -> UNetConfig | ADMConfig:
    levels = draw.randint(1, 3)
    shared = {
        "channel_mult": tuple(draw.randint(1, 3) for _ in range(levels)),
        "blocks": draw.randint(1, 2),
        "attention": tuple(draw.sample([4, 8, 16], draw.randint(0, 2))),
        "dropout": draw.choice([0.0, 0.1, 0.5]),
        "dropout_below": draw.choice([None, 4, 8]),
        "classes": draw.choice([0, 3]),
    }
    if draw.random() < 0.4:
        level = draw.choice(["add", "scale_shift"])
        return ADMConfig(channels=4 * draw.randint(1, 6), head_channels=4, level=level, **shared)
    return UNetConfig(
        channels=4 * draw.randint(1, 6),
        embedding=draw.choice(["positional", "fourier"]),
        fourier_scale=draw.choice([0.02, 16.0]),
        encoder=draw.choice(["standard", "residual"]),
        decoder=draw.choice(["standard", "skip"]),
        resample_filter=draw.choice([(1, 1), (1, 3, 3, 1)]),
        **shared,
    )


@pytest.mark.parametrize("seed", range(50))
def test_any_valid_configuration_trains(seed):
    draw = random.Random(seed)
    config = random_config(draw)
    factor = 2 ** (len(config.channel_mult) - 1)
    shape = (draw.choice([1, 3]), factor * draw.randint(1, 4), factor * draw.randint(1, 4))
    network = build(config, shape, generator(seed))
    x, c_noise = inputs(2, shape)
    mask = draw_mask(2, network.mask_size, generator(), "cpu") if network.mask_size else None
    labels = torch.tensor([2, -1]) if config.classes else None
    out = network(x, c_noise, mask, labels)
    assert out.shape == x.shape
    lowest = shape[1] >> (len(config.channel_mult) - 1)
    drops = config.dropout > 0 and lowest <= (config.dropout_below or math.inf)
    assert (network.mask_size > 0) == drops
    out.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("shape", [(3, 10, 8), (3, 8, 6), (1, 7, 7)])
def test_images_that_cannot_be_halved_are_refused(shape):
    config = UNetConfig(channels=8, channel_mult=(1, 1, 1), blocks=1)
    with pytest.raises(ValueError, match=r"of 3 levels .* multiples of 4"):
        build(config, shape)


@pytest.mark.parametrize("taps", [(1, 2, 1), (1,)])
def test_a_filter_of_odd_length_is_refused(taps):
    with pytest.raises(ValueError, match="even number"):
        UNetConfig(resample_filter=taps)


def test_weights_come_from_the_generator():
    before = torch.get_rng_state()
    first, again, other = (build(SMALL, (1, 8, 8), generator(s)) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert not torch.equal(first.stem.weight, other.stem.weight)


def test_no_forward_pass_touches_the_global_generator():
    network = build(SMALL, (1, 8, 8), generator())
    x, c_noise = inputs(3, (1, 8, 8))
    mask = draw_mask(3, network.mask_size, generator(), "cpu")
    before = torch.get_rng_state()
    network(x, c_noise, mask)
    network.eval()(x, c_noise)
    assert torch.equal(torch.get_rng_state(), before)


def loud(network: UNet) -> UNet:
    """The same network with last layers as large as any other, so that what happens inside is seen
    outside."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.xavier_uniform_(parameter, generator=generator())
    return network


def test_every_layer_uses_its_part_of_the_mask():
    network = loud(build(SMALL, (1, 8, 8)))
    x, c_noise = inputs(1, (1, 8, 8))
    keep_all = torch.full((1, network.mask_size), 32767, dtype=torch.int16)
    reference = network(x, c_noise, keep_all)
    sites = [m for m in network.modules() if isinstance(m, Dropout)]
    assert len(sites) == 1 + (1 + 1) + (2 + 2) + (1 + 2)  # down: 8x8, 4x4; up: 4x4, 8x8
    for site in sites:
        mask = keep_all.clone()
        mask[:, site.start : site.start + math.prod(site.shape)] = -32768
        assert (network(x, c_noise, mask) - reference).abs().max() > 1e-3


def test_blocks_are_told_the_level_through_two_layers():
    network, told = build(SMALL, (1, 8, 8)).eval(), []
    block = network.get_submodule("decoder.0.blocks.0")
    block.register_forward_pre_hook(lambda module, arguments: told.append(arguments[1]))
    x, c_noise = inputs(2, (1, 8, 8))
    network(x, c_noise)
    condition = network.condition
    first = F.silu(condition.inner(condition.level(c_noise)))
    assert torch.equal(told[0], F.silu(condition.outer(first)))


def test_a_residual_encoder_adds_the_shrunken_image():
    config = dataclasses.replace(SMALL, encoder="residual", channel_mult=(1, 2, 1), dropout=0.0)
    network = loud(build(config, (1, 8, 8)))
    seen = {}
    for name in (f"encoder.{i}.{part}" for i in (1, 2) for part in ("down", "image_down")):
        network.get_submodule(name).register_forward_hook(
            lambda module, given, out, name=name: seen.update({name: (given[0], out)})
        )
    blocks = []
    for i in (1, 2):
        network.get_submodule(f"encoder.{i}.blocks.0").register_forward_pre_hook(
            lambda module, given: blocks.append(given[0])
        )
    x, c_noise = inputs(2, (1, 8, 8))
    network(x, c_noise)
    sums = [
        (seen[f"encoder.{i}.down"][1] + seen[f"encoder.{i}.image_down"][1]) * 0.5**0.5
        for i in (1, 2)
    ]
    assert torch.equal(seen["encoder.1.image_down"][0], x)
    assert torch.equal(seen["encoder.2.image_down"][0], sums[0])
    for got, expected in zip(blocks, sums, strict=True):
        torch.testing.assert_close(got, expected)


def test_eval_is_deterministic_and_ignores_the_mask():
    network = loud(build(SMALL, (1, 8, 8))).eval()
    x, c_noise = inputs(2, (1, 8, 8))
    mask = draw_mask(2, network.mask_size, generator(), "cpu")
    assert torch.equal(network(x, c_noise), network(x, c_noise, mask))


def test_training_with_dropout_needs_a_mask():
    with pytest.raises(ValueError, match="needs a mask"):
        build(SMALL, (1, 8, 8))(*inputs(2, (1, 8, 8)))


def test_images_do_not_see_each_other():
    network = loud(build(SMALL, (1, 8, 8))).eval().double()
    x, c_noise = (a.double() for a in inputs(4, (1, 8, 8)))
    alone = torch.cat([network(x[i : i + 1], c_noise[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(network(x, c_noise), alone, rtol=1e-10, atol=1e-10)


def test_the_noise_level_matters():
    network = loud(build(SMALL, (1, 8, 8))).eval()
    x, _ = inputs(1, (1, 8, 8))
    low, high = network(x, torch.tensor([-1.5])), network(x, torch.tensor([1.1]))
    assert (low - high).abs().max() > 1e-2


def test_a_new_network_says_almost_nothing():
    network = build(dataclasses.replace(SMALL, dropout=0.0), (1, 8, 8), generator())
    assert network(*inputs(4, (1, 8, 8))).abs().max() < 1e-3


def test_the_public_names_are_listed_and_there():
    public = {name for name, value in vars(networks).items() if not name.startswith("_")}
    own = {name for name in public if not isinstance(getattr(networks, name), ModuleType)}
    assert own == set(networks.__all__)
    assert all(hasattr(networks, name) for name in networks.__all__)
