"""What each family of U-Nets does that the other does not, and what both do with classes."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ictsweep.networks import (
    AUGMENT_LABELS,
    PRESETS,
    ADMConfig,
    UNetConfig,
    architecture,
    build,
)
from ictsweep.networks.blocks import AddedLevel, Attention, Block, ScaledLevel

SONG = UNetConfig(channels=8, channel_mult=(1, 2), blocks=1, attention=(4,), dropout=0.0)
ADM = ADMConfig(
    channels=8, channel_mult=(1, 2), blocks=1, attention=(4,), head_channels=4, dropout=0.0
)
SHAPE = (1, 8, 8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loud(config, shape=SHAPE):
    """A network whose last layers are as large as any other."""
    network = build(config, shape, generator())
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator(1))
    return network


def inputs(n: int):
    g = generator()
    return torch.randn(n, *SHAPE, generator=g), torch.randn(n, generator=g)


def attending(network) -> list[str]:
    return [name for name, part in network.named_modules() if isinstance(part, Attention)]


def test_adm_attends_in_every_block_of_a_resolution_both_ways():
    network = build(dataclasses.replace(ADM, attention=(8,), blocks=2), SHAPE)
    blocks = ["encoder.0.blocks.0", "encoder.0.blocks.1", "decoder.0.entry.0"]
    blocks += [f"decoder.1.blocks.{i}" for i in range(3)]
    assert attending(network) == [f"{block}.attention" for block in blocks]


def test_song_attends_in_the_last_block_on_the_way_up():
    network = build(dataclasses.replace(SONG, attention=(8,), blocks=2), SHAPE)
    blocks = ["encoder.0.blocks.0", "encoder.0.blocks.1", "decoder.0.entry.0"]
    blocks += ["decoder.1.blocks.2"]
    assert attending(network) == [f"{block}.attention" for block in blocks]


def test_heads_hold_the_features_they_should():
    network = build(ADM, SHAPE)
    heads = {part.heads for part in network.modules() if isinstance(part, Attention)}
    assert heads == {4}  # 16 features in heads of 4
    assert {m.heads for m in build(SONG, SHAPE).modules() if isinstance(m, Attention)} == {1}


@pytest.mark.parametrize(("level", "kind"), [("add", AddedLevel), ("scale_shift", ScaledLevel)])
def test_how_adm_is_told_the_level_is_a_choice(level, kind):
    network = build(dataclasses.replace(ADM, level=level), SHAPE)
    assert {type(m.level) for m in network.modules() if isinstance(m, Block)} == {kind}


def test_sizes_of_adm_differ_by_what_tells_the_level_and_the_class():
    # A published block maps 768 features (and a bias) to a scale and a shift; adding needs half.
    # Blocks by their width, way down and way up at 64, 32, 16 and 8 pixels, resampling ones too.
    widths = {192: 3 + 1 + 4, 384: 3 + 1 + 4 + 1, 576: 3 + 1 + 4 + 1, 768: 3 + 2 + 4 + 1}
    levels = sum(width * count for width, count in widths.items()) * 769
    with torch.device("meta"):
        added = build(PRESETS["adm"], (3, 64, 64))
        scaled = build(dataclasses.replace(PRESETS["adm"], level="scale_shift"), (3, 64, 64))
        classes = build(dataclasses.replace(PRESETS["adm"], classes=1000), (3, 64, 64))
    count = {net: sum(p.numel() for p in net.parameters()) for net in (added, scaled, classes)}
    assert count[scaled] - count[added] == levels
    assert count[classes] - count[added] == 1000 * 768


def test_a_new_adm_says_nothing_at_all():
    assert not build(ADM, SHAPE, generator())(*inputs(2)).any()


def test_adm_adds_the_class_between_its_two_silus():
    network = loud(dataclasses.replace(ADM, classes=3))
    condition, labels = network.condition, torch.tensor([2, -1])
    _, c_noise = inputs(2)
    told = condition.outer(F.silu(condition.inner(condition.level(c_noise))))
    told[0] += condition.label.weight[:, 2]
    torch.testing.assert_close(condition(c_noise, labels, None), F.silu(told))


def test_song_adds_the_class_to_the_features_of_the_level():
    network = loud(dataclasses.replace(SONG, classes=3))
    condition, labels = network.condition, torch.tensor([2, -1])
    _, c_noise = inputs(2)
    features = condition.level(c_noise) + condition.label.bias
    features[0] += math.sqrt(3) * condition.label.weight[:, 2]
    told = F.silu(condition.outer(F.silu(condition.inner(features))))
    torch.testing.assert_close(condition(c_noise, labels, None), told)


def test_adm_adds_the_augmentation_before_its_first_layer():
    network = loud(dataclasses.replace(ADM, augment=True))
    condition, done = network.condition, torch.randn(2, AUGMENT_LABELS, generator=generator(2))
    _, c_noise = inputs(2)
    told = condition.level(c_noise) + done @ condition.augment.weight.T
    told = F.silu(condition.outer(F.silu(condition.inner(told))))
    torch.testing.assert_close(condition(c_noise, None, done), told)


def test_song_adds_the_augmentation_to_the_features_of_the_level():
    network = loud(dataclasses.replace(SONG, augment=True))
    condition, done = network.condition, torch.randn(2, AUGMENT_LABELS, generator=generator(2))
    _, c_noise = inputs(2)
    told = condition.level(c_noise) + done @ condition.augment.weight.T
    told = F.silu(condition.outer(F.silu(condition.inner(told))))
    torch.testing.assert_close(condition(c_noise, None, done), told)


@pytest.mark.parametrize("config", [SONG, ADM])
def test_augmentation_matters_and_zero_is_none(config):
    network, (x, c_noise) = loud(dataclasses.replace(config, augment=True)), inputs(2)
    plain = network(x, c_noise)
    assert torch.equal(network(x, c_noise, augment=torch.zeros(2, AUGMENT_LABELS)), plain)
    turned = torch.zeros(2, AUGMENT_LABELS)
    turned[1, 3] = -2.0
    changed = network(x, c_noise, augment=turned)
    assert torch.allclose(changed[0], plain[0], atol=1e-6)
    assert (changed[1] - plain[1]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="augment for a network of augment False"):
        loud(config)(x, c_noise, augment=turned)


def test_a_new_adm_takes_no_notice_of_augmentation_and_learns_to():
    network = build(dataclasses.replace(ADM, augment=True), SHAPE, generator())
    weight = network.condition.augment.weight
    assert not weight.any()
    for name, parameter in network.named_parameters():
        if "augment" not in name:
            nn.init.normal_(parameter, std=0.2, generator=generator(1))
    network(*inputs(2), augment=torch.ones(2, AUGMENT_LABELS)).square().sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().max() > 0
    assert build(dataclasses.replace(SONG, augment=True), SHAPE).condition.augment.weight.any()


@pytest.mark.parametrize("config", [SONG, ADM])
def test_classes_matter_and_a_hidden_one_is_none(config):
    network = loud(dataclasses.replace(config, classes=3))
    x, c_noise = inputs(1)
    first, second, hidden = (
        network(x, c_noise, labels=torch.tensor([label])) for label in (0, 1, -1)
    )
    assert (first - second).abs().max() > 1e-3
    assert (first - hidden).abs().max() > 1e-3
    assert torch.equal(hidden, network(x, c_noise))


@pytest.mark.parametrize("config", [SONG, ADM])
def test_labels_without_classes_are_refused(config):
    with pytest.raises(ValueError, match="labels for a network of classes 0"):
        build(config, SHAPE)(*inputs(1), labels=torch.tensor([0]))


@pytest.mark.parametrize("family", [UNetConfig, ADMConfig])
def test_hiding_labels_needs_some(family):
    with pytest.raises(ValueError, match=r"label_dropout 0\.1 with classes 0"):
        family(label_dropout=0.1)
    assert family(label_dropout=0.1, classes=2).classes == 2


def test_half_a_head_is_refused():
    with pytest.raises(ValueError, match="96 features: not whole heads of head_channels 64"):
        ADMConfig(channels=32, channel_mult=(2, 3))


@pytest.mark.parametrize("field", ["dropout", "dropout_below", "label_dropout", "fourier_scale"])
def test_what_only_training_reads_is_no_part_of_the_architecture(field):
    config = dataclasses.replace(PRESETS["ncsnpp"], classes=10)
    changed = dataclasses.replace(config, **{field: 2 if field == "dropout_below" else 0.5})
    assert changed != config
    assert architecture(changed) == architecture(config)


def test_all_else_is():
    for changed in (
        dataclasses.replace(SONG, blocks=2),
        dataclasses.replace(SONG, classes=2),
        dataclasses.replace(SONG, augment=True),
        dataclasses.replace(SONG, embedding="fourier"),
        ADM,
    ):
        assert architecture(changed) != architecture(SONG)
