"""The stream of pictures: exact permutations, a function of the position alone, read as stored."""

import hashlib
import mmap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ictsweep.data import Images, Loader
from ictsweep.seeds import derive_seed

N = 13


def numbered(n: int = N, labelled: bool = False) -> Images:
    """Picture i is full of i, and has label 100 + i."""
    pixels = (
        torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8).contiguous()
    )
    labels = torch.arange(n) + 100 if labelled else None
    return Images(pixels=pixels, labels=labels, name="numbers", digest="")


def loader(seed: int = 0, n: int = N, labelled: bool = False) -> Loader:
    return Loader(images=numbered(n, labelled), seed=seed)


def numbers(batch: Tensor) -> list[int]:
    return batch[:, 0, 0, 0].tolist()


def test_each_epoch_shows_each_picture_once():
    stream = loader()
    orders = [numbers(stream.batch(epoch * N, N)) for epoch in range(4)]
    assert all(sorted(order) == list(range(N)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert list(range(N)) not in orders


@settings(max_examples=40, deadline=None)
@given(first=st.integers(0, 5 * N), sizes=st.lists(st.integers(1, 3 * N), min_size=1, max_size=5))
def test_a_batch_is_a_function_of_its_position(first, sizes):
    total = first + sum(sizes)
    pictures, sides = loader().batch(0, total), loader().mirrored(0, total)
    stream, parts, halves = loader(), [], []
    for size in sizes:
        parts.append(stream.batch(first, size))
        halves.append(stream.mirrored(first, size))
        first += size
    start = total - sum(sizes)
    assert torch.equal(torch.cat(parts), pictures[start:])
    assert torch.equal(torch.cat(halves), sides[start:])


def test_reading_backwards_changes_nothing():
    stream = loader()
    late, side = stream.batch(3 * N, N), stream.mirrored(3 * N, N)
    early = stream.batch(0, N)
    assert torch.equal(loader().batch(0, N), early)
    assert torch.equal(stream.batch(3 * N, N), late)
    assert torch.equal(stream.mirrored(3 * N, N), side)


def test_a_batch_may_span_several_epochs():
    batch = loader().batch(N - 2, 3 * N)
    assert batch.shape == (3 * N, 1, 8, 8)
    assert batch.dtype == torch.uint8
    assert sorted(numbers(batch)[2 : 2 + N]) == list(range(N))


def test_seeds_give_other_orders_and_other_sides():
    assert not torch.equal(loader(seed=1).batch(0, N), loader(seed=2).batch(0, N))
    assert not torch.equal(loader(1, n=200).mirrored(0, 200), loader(2, n=200).mirrored(0, 200))


def test_half_of_the_pictures_are_mirrored_anew_in_each_epoch():
    stream = loader(n=200)
    first, second = (stream.mirrored(epoch * 200, 200) for epoch in (0, 1))
    assert first.dtype == torch.bool
    assert int(first.sum()) == pytest.approx(100, abs=30)
    assert not torch.equal(first, second)


def _hash(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("seed", "first", "count", "places", "mirrored"),
    [
        (0, 0, 3594, "f0feffda4ba640bb", "d087c3701ae13519"),
        (7, 5291, 200, "c8366574ef4f694b", "2dc0fc32d39ca188"),
    ],
)
def test_runs_that_were_begun_keep_their_batches(seed, first, count, places, mirrored):
    """Of 1797 pictures, the digits: as they were drawn before the sides were drawn apart."""
    pixels = torch.zeros(1797, 1, 8, 8, dtype=torch.uint8)
    stream = Loader(images=Images(pixels=pixels, labels=None, name="", digest=""), seed=seed)
    assert _hash(stream.places(first, count)) == places
    assert _hash(stream.mirrored(first, count)) == mirrored


def test_only_one_epoch_is_remembered():
    stream = loader()
    stream.batch(0, 6 * N)
    stream.mirrored(0, 6 * N)
    assert len(stream._orders) == len(stream._sides) == 1


@settings(max_examples=40, deadline=None)
@given(first=st.integers(0, 5 * N), count=st.integers(1, 3 * N))
def test_labels_are_those_of_the_pictures(first, count):
    stream = loader(labelled=True)
    labels = stream.labels(first, count)
    assert labels is not None
    assert labels.dtype == torch.int64
    assert (labels - 100).tolist() == numbers(stream.batch(first, count))
    assert (labels - 100).tolist() == stream.places(first, count).tolist()


def test_labels_may_be_read_before_after_or_without_the_pictures():
    stream = loader(labelled=True)
    first = stream.labels(5, 20)
    stream.batch(7 * N, 3)
    again, alone = stream.labels(5, 20), loader(labelled=True).labels(5, 20)
    assert first is not None
    assert again is not None
    assert alone is not None
    assert torch.equal(again, first)
    assert torch.equal(alone, first)


def test_pictures_without_labels_have_none():
    assert loader().labels(0, 5) is None


def test_another_purpose_is_another_stream():
    """The references of a batch come in an order of their own."""
    stream = loader(seed=3)
    references = replace(stream, seed=derive_seed(3, "references"))
    assert not torch.equal(stream.places(0, N), references.places(0, N))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_share_each_epoch_without_overlap(workers):
    """4 epochs of 12 pictures in batches of 8; every worker has a loader of its own, and from batch
    3 on another one, as after a resume."""
    shown: list[int] = []
    streams = [loader(n=12) for _ in range(workers)]
    for batch in range(6):
        if batch == 3:
            streams = [loader(n=12) for _ in range(workers)]
        share = 8 // workers
        for rank, stream in enumerate(streams):
            shown += numbers(stream.batch(8 * batch + rank * share, share))
    assert all(sorted(shown[i : i + 12]) == list(range(12)) for i in range(0, 48, 12))
    assert shown == numbers(loader(n=12).batch(0, 48))


def mapped(path: Path, count: int) -> Images:
    """`count` pictures of ImageNet-64's size in a file that takes no room on the disk."""
    shape = (count, 3, 64, 64)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        file.truncate(file.tell() + int(np.prod(shape)))
    pixels = np.load(path, mmap_mode="r+")
    pixels._mmap.madvise(mmap.MADV_RANDOM)  # the kernel would read megabytes ahead of each picture
    return Images(pixels=torch.from_numpy(pixels), labels=None, name="mapped", digest="")


def anonymous_mb() -> float:
    """Memory of the process that is in no file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    pytest.skip("the system does not tell a process's anonymous memory")


def test_a_file_larger_than_the_memory_is_read_where_it_lies(tmp_path):
    """1.28 million pictures of 64x64, 15.7 GB: batches from all over it, and what stays in memory
    is the order of one epoch (10 MB, and as much while it is drawn)."""
    images = mapped(tmp_path / "images.npy", 1_281_167)
    assert images.pixels.nbytes > 15.7e9
    stream, before = Loader(images=images, seed=0), anonymous_mb()
    for batch in range(8):
        assert stream.batch(256 * batch, 256).shape == (256, 3, 64, 64)
    assert int(stream.places(0, 2048).max()) > 1_200_000
    assert anonymous_mb() - before < 60


def test_a_batch_is_a_copy_of_what_is_mapped(tmp_path):
    np.save(tmp_path / "images.npy", numbered().pixels.numpy())
    pixels = torch.from_numpy(np.load(tmp_path / "images.npy", mmap_mode="c"))
    stream = Loader(images=replace(numbered(), pixels=pixels), seed=4)
    batch = stream.batch(3, 20)
    assert torch.equal(batch, loader(seed=4).batch(3, 20))
    batch.zero_()
    assert torch.equal(stream.batch(3, 20), loader(seed=4).batch(3, 20))
