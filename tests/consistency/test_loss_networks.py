"""What each network of a loss is asked, and what share or references of none come to."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ictsweep.consistency import (
    METHODS,
    Batch,
    Denoiser,
    Generated,
    Method,
    PosteriorMean,
    References,
    Scalings,
    consistency_loss,
)
from ictsweep.networks import UNetConfig, build, draw_mask
from tests.consistency import scalar
from tests.consistency.batches import (
    ECT,
    ICT,
    at,
    denoisers,
    in_stage,
    on_grid,
)
from tests.consistency.scalar import (
    NOISES,
)

CHOSEN = [True, False, True]


def spies():
    """(calls, spy): calls gets (name, x, sigma, mask, labels, augment, is a gradient recorded)."""
    calls = []

    def spy(name):
        def denoise(x, *rest):
            calls.append((name, x, *rest, torch.is_grad_enabled()))
            return x

        return denoise

    return calls, spy


def test_teacher_and_student_are_told_the_same_and_their_own_level():
    calls, spy = spies()
    levels = ICT.pairs.grid.levels(11)
    mask, labels = torch.zeros(3, 8, dtype=torch.int16), torch.tensor([1, -1, 0])
    augment = torch.rand(3, 9)
    told = {"mask": mask, "labels": labels, "augment": augment}
    batch = at(levels[[3, 5, 10]], levels[[2, 4, 9]], **told)
    consistency_loss(spy("student"), spy("teacher"), None, ICT, batch)
    assert [call[0] for call in calls] == ["teacher", "student"]
    seen = {name: rest for name, *rest in calls}
    for name, level, records in (("student", batch.t, True), ("teacher", batch.r, False)):
        assert seen[name][1] is level
        assert seen[name][2] is mask
        assert seen[name][3] is labels
        assert seen[name][4] is augment
        assert seen[name][5] is records
    # The same noise on both: x_t - x_r = (t - r) z.
    gap = (batch.t - batch.r).view(3, 1, 1, 1)
    torch.testing.assert_close(seen["student"][0] - seen["teacher"][0], gap * batch.noise)


def test_the_teacher_is_asked_above_the_boundary_only():
    calls, spy = spies()
    mask, labels = torch.arange(3).view(3, 1), torch.tensor([7, 8, 9])
    augment = torch.rand(3, 9)
    batch = in_stage(0.0, t=(0.4, 2.5, 0.2), mask=mask, labels=labels, augment=augment)
    consistency_loss(spy("student"), spy("teacher"), None, ECT, batch)
    (name, x, sigma, its_mask, its_labels, its_augment, _), (_, student_x, *_) = calls
    assert (name, sigma.tolist()) == ("teacher", batch.r[1:2].tolist())
    torch.testing.assert_close(x, batch.x0[1:2] + batch.r[1] * batch.noise[1:2])
    assert (its_mask.tolist(), its_labels.tolist()) == ([[1]], [8])
    assert torch.equal(its_augment, augment[1:2])
    assert len(student_x) == 3


@pytest.mark.parametrize("name", ["ect", "sct", "gaf_ect"])
def test_every_network_gets_the_memory_format_of_the_images(name):
    # x_r is at the boundary for half of the batch, and every other endpoint is generated.
    seen = []

    def denoise(x, *_):
        seen.append(x.is_contiguous(memory_format=torch.channels_last))
        return x

    x0, noise = (torch.ones(4, 3, 8, 8).to(memory_format=torch.channels_last) for _ in range(2))
    r, generated = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([True, False] * 2)
    batch = Batch(
        x0, noise, r + 1, r,
        generated=generated if name == "gaf_ect" else None,
        references=References(torch.ones(5, 3, 8, 8)),
    )  # fmt: skip
    consistency_loss(denoise, denoise, denoise, METHODS[name], batch)
    assert seen == [True] * (3 if name == "gaf_ect" else 2)


class _Wrong(torch.nn.Module):
    """A network that is never right."""

    def forward(self, x, *_):
        return 1e6 + x


def test_at_the_boundary_the_noisy_image_is_the_target():
    # f is the identity at s_1 = 0.002, whatever the network says.
    teacher = Denoiser(_Wrong(), ICT.scalings)
    levels = ICT.pairs.grid.levels(11)
    batch = at(levels[[1, 1, 1]], levels[[0, 0, 0]])
    got = consistency_loss(lambda x, *_: x, teacher, None, ICT, batch)
    gap = (levels[1] - levels[0]).item()
    expected = [scalar.huber([gap * p for p in z], [0.0] * 4) / gap for z in NOISES]
    assert got.tolist() == pytest.approx(expected, rel=1e-12)


def test_the_generator_is_asked_for_its_part_without_dropout():
    calls, spy = spies()
    mask, labels = torch.zeros(3, 8, dtype=torch.int16), torch.tensor([4, 5, 6])
    augment = torch.rand(3, 9)
    told = {"mask": mask, "labels": labels, "augment": augment}
    batch, _ = on_grid(11, generated=torch.tensor([True, False, True]), **told)
    consistency_loss(spy("student"), spy("teacher"), spy("generator"), METHODS["gaf"], batch)
    name, x, sigma, its_mask, its_labels, its_augment, records = calls[0]
    r = batch.r[[0, 2]]
    assert (name, sigma.tolist(), its_mask) == ("generator", r.tolist(), None)
    assert its_labels.tolist() == [4, 6]
    assert torch.equal(its_augment, augment[[0, 2]])
    assert not records
    noisy = batch.x0[[0, 2]] + r.view(2, 1, 1, 1) * batch.noise[[0, 2]]
    torch.testing.assert_close(x, noisy)
    assert [call[0] for call in calls] == ["generator", "teacher", "student"]


@pytest.mark.parametrize("name", ["gaf", "gaf_ect"])
def test_a_share_of_zero_is_the_method_without_generator_bit_by_bit(name):
    method = replace(METHODS[name], endpoint=Generated(share=0.0))
    plain = METHODS[{"gaf": "ict", "gaf_ect": "ect"}[name]]
    drawn = [
        _drawn(m, lambda n, g, m=m: {"generated": m.endpoint.draw(n, g)}) for m in (method, plain)
    ]
    assert drawn[0].generated is not None
    assert drawn[1].generated is None
    assert torch.equal(*[consistency_loss(*denoisers(method), method, b) for b in drawn])


@pytest.mark.parametrize("name", ["sct", "sct_ict"])
def test_one_reference_is_the_method_without_references_bit_by_bit(name):
    method = replace(METHODS[name], path=PosteriorMean(references=1))
    plain = replace(METHODS[name], path=METHODS["ict"].path)
    empty = References(torch.empty(0, 1, 2, 2, dtype=torch.float64))
    got = [
        consistency_loss(*denoisers(method), m, _drawn(m, lambda n, g, r=r: {"references": r}))
        for m, r in ((plain, None), (method, None), (method, empty))
    ]
    assert torch.equal(got[0], got[1])
    assert torch.equal(got[0], got[2])


def _drawn(method: Method, others) -> Batch:
    generator = torch.Generator().manual_seed(0)
    t, r = (s.double() for s in method.pairs.sample(64, 0.4, generator))
    x0, noise = (
        torch.randn(64, 1, 2, 2, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    return Batch(x0, noise, t, r, **others(64, generator))


@pytest.fixture
def noisy_unet():
    """A U-Net whose dropout matters at once: last layers as large as any other, half of all
    features dropped."""
    config = UNetConfig(channels=8, channel_mult=(1, 2), blocks=1, attention=(), dropout=0.5)
    network = build(config, (1, 4, 4))
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter, generator=generator)
    return network


def test_equal_levels_and_images_give_equal_outputs_with_the_mask_only(noisy_unet):
    denoiser, generator = Denoiser(noisy_unet, Scalings()), torch.Generator().manual_seed(1)
    x, sigma = torch.randn(4, 1, 4, 4), torch.full((4,), 0.9)
    mask, other = (draw_mask(4, noisy_unet.mask_size, generator, "cpu") for _ in range(2))
    with torch.no_grad():
        teacher = denoiser(x, sigma, mask)
    student = denoiser(x, sigma, mask)
    assert torch.equal(student, teacher)
    assert (denoiser(x, sigma, other) - teacher).abs().mean() > 0.05


def test_a_teacher_with_another_mask_would_show_in_the_loss(noisy_unet):
    # Levels so close that all of the loss is what dropout does, if it is not shared.
    denoiser, generator = Denoiser(noisy_unet, Scalings()), torch.Generator().manual_seed(2)
    size = noisy_unet.mask_size
    mask, other = (draw_mask(4, size, generator, "cpu") for _ in range(2))
    t = torch.full((4,), 1.0)
    batch = Batch(torch.rand(4, 1, 4, 4), torch.randn(4, 1, 4, 4), t, t - 1e-3, mask=mask)

    def wrong(x, sigma, _, *rest):
        return denoiser(x, sigma, other, *rest)

    shared = consistency_loss(denoiser, denoiser, None, ICT, batch).mean()
    apart = consistency_loss(denoiser, wrong, None, ICT, batch).mean()
    assert apart > 50 * shared
