from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ictsweep.data import Images, Loader
from ictsweep.seeds import derive_seed

N = 13


def numbered(n=N, mirrored_differs=True):
    """Picture i carries i in its left column and 255 in the right one: it can be told, and its side
    too.
    """
    pixels = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    pixels[..., 0] = torch.arange(n, dtype=torch.uint8)[:, None, None]
    if mirrored_differs:
        pixels[..., 7] = 255
    return Images(pixels=pixels, labels=None, name="numbers", digest="")


def loader(seed=0, flip=False, n=N):
    return Loader(images=numbered(n), seed=seed, flip=flip)


def numbers(batch):
    """Which pictures, and which of them are mirrored."""
    left, right = batch[:, 0, 0, 0], batch[:, 0, 0, 7]
    mirrored = left == 255
    return torch.where(mirrored, right, left).tolist(), mirrored.tolist()


def test_each_epoch_shows_each_picture_once():
    stream = loader()
    orders = [numbers(stream.batch(epoch * N, N))[0] for epoch in range(4)]
    assert all(sorted(order) == list(range(N)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert list(range(N)) not in orders


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(0, 5 * N),
    sizes=st.lists(st.integers(1, 3 * N), min_size=1, max_size=5),
    flip=st.booleans(),
)
def test_a_batch_is_a_function_of_its_position(first, sizes, flip):
    whole = loader(flip=flip).batch(0, first + sum(sizes))
    stream = loader(flip=flip)
    parts = []
    for size in sizes:
        parts.append(stream.batch(first, size))
        first += size
    assert torch.equal(torch.cat(parts), whole[first - sum(sizes) : first])


def test_reading_backwards_changes_nothing():
    stream = loader(flip=True)
    late = stream.batch(3 * N, N)
    early = stream.batch(0, N)
    assert torch.equal(loader(flip=True).batch(0, N), early)
    assert torch.equal(stream.batch(3 * N, N), late)


def test_two_halves_make_the_whole():
    stream = loader()
    halves = torch.cat([stream.batch(20, 8), stream.batch(28, 8)])
    assert torch.equal(halves, stream.batch(20, 16))


def test_a_batch_may_span_several_epochs():
    batch = loader().batch(N - 2, 3 * N)
    assert batch.shape == (3 * N, 1, 8, 8)
    assert batch.dtype == torch.uint8
    assert sorted(numbers(batch)[0][2 : 2 + N]) == list(range(N))


def test_seeds_give_other_orders_and_other_sides():
    assert not torch.equal(loader(seed=1).batch(0, N), loader(seed=2).batch(0, N))
    sides = [numbers(loader(seed=s, flip=True, n=200).batch(0, 200))[1] for s in (1, 2)]
    assert sides[0] != sides[1]


def test_half_of_the_pictures_are_mirrored():
    stream = loader(flip=True, n=200)
    first, second = (numbers(stream.batch(epoch * 200, 200)) for epoch in (0, 1))
    assert sum(first[1]) == pytest.approx(100, abs=30)
    assert sorted(first[0]) == list(range(200))
    assert first[1] != second[1]


def test_without_flip_the_order_is_the_same_and_nothing_is_mirrored():
    plain, flipped = (numbers(loader(flip=flip).batch(0, N)) for flip in (False, True))
    assert plain[0] == flipped[0]
    assert not any(plain[1])


def test_only_one_epoch_is_remembered():
    stream = loader()
    stream.batch(0, 6 * N)
    assert len(stream._current) == 1


def labelled(seed=0, flip=False):
    """Picture i has label 100 + i."""
    images = replace(numbered(), labels=torch.arange(N) + 100)
    return Loader(images=images, seed=seed, flip=flip)


@settings(max_examples=40, deadline=None)
@given(first=st.integers(0, 5 * N), count=st.integers(1, 3 * N), flip=st.booleans())
def test_labels_are_those_of_the_pictures(first, count, flip):
    stream = labelled(flip=flip)
    labels = stream.labels(first, count)
    assert labels.dtype == torch.int64
    assert (labels - 100).tolist() == numbers(stream.batch(first, count))[0]


def test_labels_may_be_read_before_after_or_without_the_pictures():
    stream = labelled(flip=True)
    first = stream.labels(5, 20)
    stream.batch(7 * N, 3)
    assert torch.equal(stream.labels(5, 20), first)
    assert torch.equal(labelled().labels(5, 20), first)


def test_pictures_without_labels_have_none():
    assert loader().labels(0, 5) is None


def test_another_purpose_is_another_stream():
    """The references of a batch come in an order of their own."""
    stream = labelled(seed=3)
    references = replace(stream, seed=derive_seed(3, "references"))
    assert not torch.equal(stream.labels(0, N), references.labels(0, N))
    assert sorted(references.labels(0, N).tolist()) == sorted(stream.labels(0, N).tolist())
