"""Shared dropout through whole networks: one mask in, the same features lost, whatever the memory
format, the batch, the compiler and what is kept for the backward pass."""

import dataclasses

import pytest
import torch
from torch import nn

from ictsweep.networks import ADMConfig, UNetConfig, build, draw_mask, recompute
from ictsweep.networks.dropout import Dropout

SONG = UNetConfig(channels=8, channel_mult=(1, 2), blocks=1, attention=(4,), dropout=0.25)
NCSN = dataclasses.replace(
    SONG, embedding="fourier", encoder="residual", decoder="skip", resample_filter=(1, 3, 3, 1)
)
ADM = ADMConfig(
    channels=8, channel_mult=(1, 2), blocks=1, attention=(4,), head_channels=4, dropout=0.25
)
SCALED = dataclasses.replace(ADM, level="scale_shift", dropout_below=4)
CONFIGS = pytest.mark.parametrize("config", [SONG, NCSN, ADM, SCALED])
SHAPE = (1, 8, 8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loud(config, dtype=torch.float64):
    """A network in training mode whose last layers are as large as any other."""
    network = build(config, SHAPE, generator()).to(dtype)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator(1))
    return network


def inputs(n: int, dtype=torch.float64):
    g = generator(2)
    x = torch.randn(n, *SHAPE, generator=g, dtype=torch.float64)
    return x.to(dtype), torch.randn(n, generator=g, dtype=torch.float64).to(dtype)


def gradients(network, *arguments) -> dict[str, torch.Tensor]:
    network.zero_grad()
    network(*arguments).square().sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


@CONFIGS
def test_equal_inputs_and_masks_give_identical_outputs(config):
    network, (x, c_noise) = loud(config), inputs(3)
    mask = draw_mask(3, network.mask_size, generator())
    student = network(x, c_noise, mask)
    with torch.no_grad():
        teacher = network(x, c_noise, mask)
    assert torch.equal(student, teacher)


@CONFIGS
def test_other_masks_give_other_outputs_image_by_image(config):
    network, (x, c_noise) = loud(config), inputs(3)
    source = generator()
    first, second = (draw_mask(3, network.mask_size, source) for _ in range(2))
    assert ((network(x, c_noise, first) - network(x, c_noise, second)) != 0).flatten(1).any(1).all()
    mixed = torch.cat([first[:1], second[1:]])
    out = network(x, c_noise, mixed)
    torch.testing.assert_close(out[:1], network(x, c_noise, first)[:1])
    torch.testing.assert_close(out[1:], network(x, c_noise, second)[1:])


@CONFIGS
def test_every_layer_keeps_its_share(config):
    network, (x, c_noise) = loud(config), inputs(16)
    kept = []

    def count(module: Dropout, given, out) -> None:
        if module.rate:
            kept.append((out != 0).double().mean().item())

    for module in network.modules():
        if isinstance(module, Dropout):
            module.register_forward_hook(count)
    network(x, c_noise, draw_mask(16, network.mask_size, generator()))
    # 6 layers at 4x4, 4 at 8x8. The smallest draws 16 x 8 x 4 x 4 numbers: a standard error of
    # 0.0096.
    assert len(kept) == (6 if config is SCALED else 10)
    assert all(abs(share - 0.75) < 0.04 for share in kept)


@CONFIGS
def test_channels_last_changes_nothing(config):
    network, (x, c_noise) = loud(config), inputs(3)
    mask = draw_mask(3, network.mask_size, generator())
    plain, plain_gradients = network(x, c_noise, mask), gradients(network, x, c_noise, mask)
    network = network.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x, c_noise, mask), plain, rtol=1e-6, atol=1e-9)
    for name, gradient in gradients(network, x, c_noise, mask).items():
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=1e-6, atol=1e-9)


def test_channels_last_stays_channels_last_inside():
    config = dataclasses.replace(NCSN, channels=16)
    network = build(config, (3, 8, 8)).to(memory_format=torch.channels_last)
    layouts = []
    for name, module in network.named_modules():
        if name.count(".") == 3 and "blocks" in name:
            module.register_forward_hook(
                lambda module, given, out: layouts.append(
                    out.is_contiguous(memory_format=torch.channels_last)
                )
            )
    x = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    out = network(x, torch.zeros(2), draw_mask(2, network.mask_size, generator()))
    assert layouts
    assert all(layouts)
    assert out.is_contiguous(memory_format=torch.channels_last)


@CONFIGS
def test_recomputing_changes_neither_results_nor_names(config):
    network, (x, c_noise) = loud(config), inputs(3)
    mask = draw_mask(3, network.mask_size, generator())
    names, out = list(network.state_dict()), network(x, c_noise, mask)
    kept = gradients(network, x, c_noise, mask)
    recompute(network)
    assert torch.equal(network(x, c_noise, mask), out)
    assert list(network.state_dict()) == names
    for name, gradient in gradients(network, x, c_noise, mask).items():
        torch.testing.assert_close(gradient, kept[name], rtol=1e-12, atol=1e-14)


def saved_bytes(network, *arguments) -> int:
    """What a forward pass keeps for the backward pass, weights apart."""
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = network(*arguments)
        size = sum(kept.values())
    del out
    return size


@CONFIGS
def test_recomputing_keeps_a_fraction(config):
    network, (x, c_noise) = loud(config), inputs(4)
    arguments = (x, c_noise, draw_mask(4, network.mask_size, generator()))
    before = saved_bytes(network, *arguments)
    recompute(network)
    assert saved_bytes(network, *arguments) < 0.4 * before


def test_recomputing_keeps_without_a_gradient_what_it_kept():
    network, (x, c_noise) = loud(SONG), inputs(2)
    mask = draw_mask(2, network.mask_size, generator())
    recompute(network)
    with torch.no_grad():
        assert not network(x, c_noise, mask).requires_grad


@CONFIGS
def test_parts_of_a_batch_add_up_to_its_gradient(config):
    network, (x, c_noise) = loud(config), inputs(5)
    mask = draw_mask(5, network.mask_size, generator())
    whole = gradients(network, x, c_noise, mask)
    network.zero_grad()
    for part in (slice(0, 2), slice(2, 5)):
        network(x[part], c_noise[part], mask[part]).square().sum().backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, whole[name], rtol=1e-9, atol=1e-12)


def check_compiled(config, backend: str) -> None:
    layout = torch.channels_last
    network, (x, c_noise) = loud(config).to(memory_format=layout), inputs(3)
    x = x.contiguous(memory_format=layout)
    masks = [draw_mask(3, network.mask_size, generator(seed)) for seed in range(2)]
    plain = [gradients(network, x, c_noise, mask) for mask in masks]
    recompute(network)
    compiled = torch.compile(network, backend=backend)
    for mask, expected in zip(masks, plain, strict=True):
        network.zero_grad()
        compiled(x, c_noise, mask).square().sum().backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("config", [SONG, pytest.param(SCALED, marks=pytest.mark.slow)])
def test_tracing_changes_nothing(config):
    check_compiled(config, "aot_eager")


@pytest.mark.slow
def test_compiling_changes_nothing():
    check_compiled(SONG, "inductor")
