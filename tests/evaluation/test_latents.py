import pytest
import torch

from ictsweep.evaluation import class_labels, latents

SHAPE = (1, 8, 8)


@pytest.mark.parametrize("sizes", [[200], [64, 64, 72], [63, 2, 135], [1] * 5 + [195]])
def test_the_split_does_not_matter(sizes):
    whole, parts, first = latents(3, 10, 200, 2, SHAPE), [], 10
    for size in sizes:
        parts.append(latents(3, first, size, 2, SHAPE))
        first += size
    assert torch.equal(torch.cat(parts), whole)


def test_shape_and_type():
    x = latents(0, 100, 7, 2, (3, 9, 8))
    assert x.shape == (7, 2, 3, 9, 8)
    assert x.dtype == torch.float32


def test_more_steps_start_with_the_same_noise():
    assert torch.equal(latents(0, 5, 90, 2, SHAPE)[:, :1], latents(0, 5, 90, 1, SHAPE))


def test_normal_and_independent():
    x = latents(0, 0, 512, 2, SHAPE)
    assert x.mean().item() == pytest.approx(0, abs=0.02)
    assert x.std().item() == pytest.approx(1, abs=0.02)
    flat = x.flatten(0, 1).flatten(1)
    correlation = torch.corrcoef(flat).fill_diagonal_(0)
    assert correlation.abs().max() < 0.75
    assert len(flat.unique(dim=0)) == 1024


def test_seeds_differ_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    assert not torch.equal(latents(0, 0, 4, 1, SHAPE), latents(1, 0, 4, 1, SHAPE))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sizes", [[200], [64, 64, 72], [63, 2, 135], [1] * 5 + [195]])
def test_labels_do_not_depend_on_the_split(sizes):
    parts, first = [], 10
    for size in sizes:
        parts.append(class_labels(3, first, size, 10))
        first += size
    assert torch.equal(torch.cat(parts), class_labels(3, 10, 200, 10))


def test_labels_are_uniform_over_the_classes():
    """6,400 draws from 10 classes: chi-square with 9 degrees of freedom below its 99.9 % point."""
    labels = class_labels(0, 0, 6400, 10)
    assert labels.dtype == torch.int64
    counts = torch.bincount(labels, minlength=10).double()
    assert len(counts) == 10
    assert ((counts - 640) ** 2 / 640).sum() < 27.9
    assert counts.min() > 0


def test_labels_belong_to_the_seed_alone():
    before = torch.get_rng_state()
    assert not torch.equal(class_labels(0, 0, 64, 10), class_labels(1, 0, 64, 10))
    assert not torch.equal(class_labels(0, 0, 64, 10), class_labels(0, 64, 64, 10))
    assert torch.equal(torch.get_rng_state(), before)
