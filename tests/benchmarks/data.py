"""What an image costs on its way from the file to the network: gathered, mirrored, normalised.

    python -m tests.benchmarks.data [--side 32] [--images 20000] [--batch 512] [--repeats 15]
        [--out FILE]

Ours reads a mapped file, a batch at a time. Against it, on the same images in the same order, half
of them mirrored: a torchvision data set (PIL, `hflip`, `ToTensor`, `Normalize`) and a data set of
numpy arrays as EDM's is, both in a DataLoader that makes one image at a time. First their batches
have to be equal: if the 8-bit hashes differ, there is no number. Time is the process's own CPU time
on one thread, the three taking turns; the peers are spared the cost of worker processes and of
drawing what to mirror.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional

from ictsweep.config import trial_config
from ictsweep.data import Images, to_pixels
from ictsweep.training.feed import Feed
from tests.benchmarks.measuring import conditions, middle, noise_images, publish, take_turns

CPU = torch.device("cpu")
GUARD = 10.0  # times less CPU than PIL and torchvision

# Batches of images in [-1, 1], from place `first` of the stream on.
Stream = Callable[[int], Iterator[Tensor]]


class PictureDataset(Dataset):
    """Item (i, mirrored) of uint8 [n, h, w, c], as torchvision's CIFAR10 and the usual transforms
    make it."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __getitem__(self, item: tuple[int, bool]) -> Tensor:
        picture: Any = Image.fromarray(self.images[item[0]])
        if item[1]:
            picture = functional.hflip(picture)
        return functional.normalize(functional.to_tensor(picture), [0.5] * 3, [0.5] * 3)


class ArrayDataset(Dataset):
    """Item (i, mirrored) of uint8 [n, c, h, w], one array at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __getitem__(self, item: tuple[int, bool]) -> np.ndarray:
        image = self.images[item[0]]
        if item[1]:
            image = image[:, :, ::-1]
        return image.copy()


def mapped(folder: Path, n: int, side: int) -> Images:
    """`n` random images in a file, mapped as prepared data is, every page read once: as it is after
    the first epoch."""
    images = noise_images(n, (3, side, side))
    np.save(folder / "images.npy", images.pixels.numpy())
    pixels = torch.from_numpy(np.load(folder / "images.npy", mmap_mode="c"))
    assert torch.equal(pixels, images.pixels)
    return Images(pixels=pixels, labels=None, name="noise", digest="0")


def feed_of(images: Images) -> Feed:
    """The stream of a configuration that mirrors half of its images."""
    config = trial_config(
        {
            "data": {"name": "digits", "flip": True},  # never loaded: the images are given
            "network": {"preset": "tiny"},
            "method": {"preset": "ict"},
            "optimizer": {"batch": 64},
            "budget_kimg": 64,
            "evaluate": {"every_kimg": 64},
        }
    )
    return Feed(config=config, images=images, seed=0, mask_size=0, device=CPU)


def streams(images: Images, batch: int, count: int) -> dict[str, Stream]:
    """`count` images in batches: ours and the peers', which are told what to show."""
    feed = feed_of(images)
    stored = images.pixels.numpy()
    pictures = np.ascontiguousarray(stored.transpose(0, 2, 3, 1))

    def ours(first: int) -> Iterator[Tensor]:
        for start in range(first, first + count, batch):
            yield feed.pictures(start, min(batch, first + count - start))[0]

    def items(first: int) -> Sequence[tuple[int, bool]]:
        loader = feed._loader
        places, mirrored = loader.places(first, count), loader.mirrored(first, count)
        return list(zip(places.tolist(), mirrored.tolist(), strict=True))

    def torchvision(first: int) -> Iterator[Tensor]:
        yield from DataLoader(PictureDataset(pictures), batch, sampler=items(first))

    def numpy(first: int) -> Iterator[Tensor]:
        for pixels in DataLoader(ArrayDataset(stored), batch, sampler=items(first)):
            yield pixels.to(torch.float32) / 127.5 - 1

    return {"ours": ours, "torchvision": torchvision, "numpy": numpy}


def fingerprint(batches: Iterator[Tensor]) -> str:
    """The hash of a stream's images as 8-bit pixels, and of how they are cut into batches."""
    digest = hashlib.sha256()
    for batch in batches:
        digest.update(str(tuple(batch.shape)).encode())
        digest.update(to_pixels(batch).contiguous().numpy().tobytes())
    return digest.hexdigest()


def measure(found: dict[str, Stream], count: int, repeats: int) -> dict[str, list[float]]:
    """Microseconds of CPU per image, of each round."""
    starts = {name: iter(range(0, (repeats + 2) * count, count)) for name in found}

    def read(name: str) -> None:
        for _ in found[name](next(starts[name])):
            pass

    actions = {name: lambda name=name: read(name) for name in found}
    times = take_turns(actions, CPU, repeats, warmup=2)
    return {name: [1e6 * value / count for value in values] for name, values in times.items()}


def summary(times: dict[str, list[float]]) -> list[dict[str, object]]:
    """Medians, and the ratio of each round's pair with its quartiles, per peer."""
    rows: list[dict[str, object]] = []
    ours, _ = middle(times["ours"], 3)
    for name in ("torchvision", "numpy"):
        pairs = zip(times[name], times["ours"], strict=True)
        ratio, ends = middle([theirs / mine for theirs, mine in pairs], 2)
        theirs, _ = middle(times[name], 2)
        rows.append(
            {
                "peer": name, "ours_us": ours, "peer_us": theirs, "ratio": ratio,
                "ratio_quartiles": ends,
            }
        )  # fmt: skip
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Check, measure, print one line per peer and one JSON object; 1 if the batches differ."""
    parser = argparse.ArgumentParser(description="cost of an image's way to the network")
    parser.add_argument("--side", type=int, default=32, help="pixels")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    where = conditions(CPU)  # before the benchmark is the load itself
    count = min(32 * options.batch, options.images)
    with tempfile.TemporaryDirectory() as folder:
        found = streams(mapped(Path(folder), options.images, options.side), options.batch, count)
        start = options.images - count // 2  # over the end of an epoch
        hashes = {name: fingerprint(stream(start)) for name, stream in found.items()}
        if len(set(hashes.values())) > 1:
            print(f"data: the batches differ ({hashes}); nothing was measured")
            return 1
        rows = summary(measure(found, count, options.repeats))
    for row in rows:
        print(
            f"data: {row['ratio']}x less CPU per image than {row['peer']} ({row['ours_us']} "
            f"against {row['peer_us']} us, {options.side}x{options.side}, batches of "
            f"{options.batch}); equal batches"
        )
    asked = {name: getattr(options, name) for name in ("side", "images", "batch", "repeats")}
    publish({"benchmark": "data", "rows": rows, "guard": GUARD, **asked, **where}, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
