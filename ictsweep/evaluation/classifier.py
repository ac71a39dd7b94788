"""A small convolutional classifier of small pictures, trained in seconds, for its features.

Two trainings on the same data must give the same weights, on any machine and with any number of
threads: the weights' hash is part of a metric's identity. So it trains in float64 and its weights
are rounded to bfloat16's 8 bits at the end, which swallows the last digits in which two machines
differ.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ictsweep.seeds import derive_seed

FEATURES = 64
# Changing anything below or in the network is another recipe: count it up, and cached weights are
# left aside.
RECIPE = 1
_WIDTHS = (16, 32, FEATURES)
_BATCH = 64
_EPOCHS = 15
_MIN_STEPS, _MAX_STEPS = 300, 1000
_WARMUP = 30
_RATE = 1e-2
_SMOOTHING = 0.1
_HELD_OUT = 2000
_FORWARD = 256
_TURNS = 4


class Classifier(nn.Module):
    """Three convolutions, global average pooling to 64 features, one linear layer.

    For pictures of 8x8 or more with any number of channels. The first stride grows with the size so
    that the shorter side is 16 or less from there on, which bounds the work per picture.
    """

    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        c, h, w = image_shape
        assert min(h, w) >= 8
        stride = math.ceil(min(h, w) / 16)
        inner = 3 if stride == 1 else 2 * stride + 1
        a, b, d = _WIDTHS
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(c, a, inner, stride=stride, padding=inner // 2),
                nn.Conv2d(a, b, 3, padding=1),
                nn.Conv2d(b, d, 3, stride=2, padding=1),
            ]
        )
        self.norms = nn.ModuleList([nn.GroupNorm(1, width) for width in _WIDTHS])
        self.head = nn.Linear(d, classes)

    def features(self, x: Tensor) -> Tensor:
        """[n, c, h, w] in [-1, 1] -> [n, 64]."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.silu(norm(convolution(x)))
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] in [-1, 1] -> class scores [n, classes]."""
        return self.head(self.features(x))


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A float32 classifier and its share of right answers on pictures that it was not shown."""

    network: Classifier
    accuracy: float


def train_classifier(pixels: Tensor, labels: Tensor | None) -> Trained:
    """Train on uint8 [n, c, h, w] to tell the labels [n] apart, or else how a picture was turned.

    One fifth of the pictures (2,000 at most) is held out for the accuracy. Deterministic; no global
    random state is touched; the work does not grow beyond 64,000 pictures shown.
    """
    generator = torch.Generator().manual_seed(derive_seed(RECIPE, "classifier"))
    order = torch.randperm(len(pixels), generator=generator)
    held_out = max(1, min(len(pixels) // 5, _HELD_OUT))
    task = _Task(pixels=pixels, labels=labels)
    network = _initial(_shape(pixels), task.classes, generator)
    with _one_thread():  # so small a network only waits for others
        _fit(network, task, order[held_out:], generator)
    network = network.to(torch.bfloat16).to(torch.float32).eval().requires_grad_(False)
    return Trained(network=network, accuracy=_accuracy(network, task, order[:held_out], generator))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def features_of(network: Classifier, pixels: Tensor) -> Tensor:
    """uint8 [n, c, h, w] -> float32 [n, 64], in batches of a fixed size, whatever n is."""
    with torch.no_grad():
        parts = [network.features(_scaled(x, torch.float32)) for x in pixels.split(_FORWARD)]
    return torch.cat(parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Task:
    """What there is to answer: `labels` int64 [n] from 0, or, when None, which of 4 turns."""

    pixels: Tensor
    labels: Tensor | None

    @property
    def classes(self) -> int:
        return _TURNS if self.labels is None else int(self.labels.max()) + 1

    def examples(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [m, c, h, w] and answers [m] at `index` [m]."""
        pictures = self.pixels[index]
        if self.labels is not None:
            return pictures, self.labels[index]
        turn = torch.randint(_TURNS, (len(index),), generator=generator)
        return _turned(pictures)[turn, torch.arange(len(index))], turn


def _turned(x: Tensor) -> Tensor:
    """Each picture four ways, [4, m, c, h, w]: quarter turns when square, flips otherwise."""
    if x.shape[2] == x.shape[3]:
        return torch.stack([x.rot90(k, (2, 3)) for k in range(_TURNS)])
    return torch.stack([x, x.flip(2), x.flip(3), x.flip(2, 3)])


def _shape(pixels: Tensor) -> tuple[int, int, int]:
    _, c, h, w = pixels.shape
    return c, h, w


def _initial(
    image_shape: tuple[int, int, int], classes: int, generator: torch.Generator
) -> Classifier:
    # Building layers draws from the global generator: put it back, and draw weights from our own.
    with torch.random.fork_rng(devices=[]):
        network = Classifier(image_shape, classes).to(torch.float64)
    for layer in [*network.convolutions, network.head]:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return network


def _fit(network: Classifier, task: _Task, index: Tensor, generator: torch.Generator) -> None:
    """Adam with warm-up and a cosine to zero, on random batches of the pictures at `index`."""
    steps = min(max(_EPOCHS * len(index) // _BATCH, _MIN_STEPS), _MAX_STEPS)
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE, eps=1e-6)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _rate(step, steps)
        chosen = index[torch.randint(len(index), (_BATCH,), generator=generator)]
        pictures, answers = task.examples(chosen, generator)
        scores = network(_scaled(pictures, torch.float64))
        loss = F.cross_entropy(scores, answers, label_smoothing=_SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _rate(step: int, steps: int) -> float:
    return _RATE * min(1.0, (step + 1) / _WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _accuracy(network: Classifier, task: _Task, index: Tensor, generator: torch.Generator) -> float:
    pictures, answers = task.examples(index, generator)
    guesses = network.head(features_of(network, pictures)).argmax(dim=1)
    return float((guesses == answers).double().mean())


def _scaled(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 -> [-1, 1]."""
    return pixels.to(dtype) / 127.5 - 1
