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


# 1,000 pictures of three classes, of which 1 is nine times rarer than 0 and 2.
OF_DATA = torch.cat([torch.full((450,), 2), torch.full((50,), 1), torch.full((500,), 0)])


@pytest.mark.parametrize("sizes", [[200], [64, 64, 72], [63, 2, 135], [1] * 5 + [195]])
def test_labels_do_not_depend_on_the_split(sizes):
    parts, first = [], 10
    for size in sizes:
        parts.append(class_labels(3, first, size, OF_DATA))
        first += size
    assert torch.equal(torch.cat(parts), class_labels(3, 10, 200, OF_DATA))


def test_labels_are_as_frequent_as_in_the_data():
    """6,400 draws of shares 0.5, 0.05 and 0.45: chi-square with 2 degrees of freedom below its
    99.9 % point."""
    labels = class_labels(0, 0, 6400, OF_DATA)
    assert labels.dtype == torch.int64
    counts = torch.bincount(labels).double()
    expected = 6400 * torch.tensor([0.5, 0.05, 0.45], dtype=torch.float64)
    assert counts.shape == expected.shape
    assert ((counts - expected) ** 2 / expected).sum() < 13.8


def test_labels_belong_to_the_seed_alone():
    before = torch.get_rng_state()
    first = class_labels(0, 0, 64, OF_DATA)
    assert not torch.equal(first, class_labels(1, 0, 64, OF_DATA))
    assert not torch.equal(first, class_labels(0, 64, 64, OF_DATA))
    assert torch.equal(torch.get_rng_state(), before)
