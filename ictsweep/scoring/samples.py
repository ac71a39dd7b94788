"""Samples of a trained model in a folder, which appears when it is complete and not before."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ictsweep.data import load
from ictsweep.errors import Diverged, UserError
from ictsweep.evaluation import (
    BATCH,
    Route,
    Sampler,
    Steps,
    class_labels,
    latents,
    to_uint8,
)
from ictsweep.progress import Progress
from ictsweep.scoring.formats import Drawn, Format
from ictsweep.scoring.subject import Subject
from ictsweep.scoring.work import alone, load_tensors, read_json, save_tensors, write_json
from ictsweep.training.precision import tf32

_FACTS = "samples.json"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Which samples: the first `images` of the latents of `seed`, in `steps` steps (None: the
    fewest that the model is evaluated with), of the classes `labels` in turn (none: as frequent as
    in the data).
    """

    images: int = 64
    steps: int | None = None
    seed: int = 0
    labels: tuple[int, ...] = ()


def write_samples(subject: Subject, wish: Wish, form: Format, to: Path) -> Iterator[Progress]:
    """Draw samples into the folder `to`, with samples.json saying what they are.

    The latents are those of evaluations with the same seed. What a kill left beside `to`
    (`.NAME.partial`) is continued by the same call and gives the same bytes. UserError if `to`
    holds anything else; nothing is done if it holds this already.
    """
    steps, route = _route(subject, wish)
    facts = _facts(subject, wish, form, route)
    to = to.absolute()
    if read_json(to / _FACTS) == facts:
        yield Progress(wish.images, wish.images, "images")
        return
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"{to}: holds other files; choose another folder, or remove it")
    source = _Source(subject.samplers()[steps], route, wish, _labels(subject, route, wish), subject)
    partial = to.parent / f".{to.name}.partial"
    with alone(partial):
        _same_work(partial, facts)
        yield from _draw(source, partial)
        form.write(partial, (_part(partial, first) for first in _firsts(wish.images)))
        shutil.rmtree(partial / "parts")
        (partial / ".lock").unlink()
        partial.rename(to)


@dataclass(frozen=True, eq=False)
class _Source:
    """What gives the samples at any position."""

    sampler: Sampler
    route: Route
    wish: Wish
    of_data: Tensor | None
    subject: Subject

    @torch.no_grad()
    def draw(self, first: int, count: int) -> Drawn:
        shape = self.subject.meta.image_shape
        noise = latents(self.wish.seed, first, count, self.route.noises, shape)
        labels = self._labels(first, count)
        with tf32(False):
            samples = self.sampler(noise, labels)
        bad = int((~samples.isfinite()).flatten(1).any(dim=1).sum())
        if bad:
            raise Diverged(f"{bad} of {count} samples are not finite: the model has diverged")
        return Drawn(to_uint8(samples), labels)

    def _labels(self, first: int, count: int) -> Tensor | None:
        if not self.route.classes:
            return None
        if self.wish.labels:
            given = torch.tensor(self.wish.labels)
            return given[torch.arange(first, first + count) % len(given)]
        assert self.of_data is not None
        return class_labels(self.wish.seed, first, count, self.of_data)


def _route(subject: Subject, wish: Wish) -> tuple[Steps, Route]:
    found = subject.routes()
    for steps, route in found.items():
        if wish.steps in (None, route.steps):
            return steps, route
    known = ", ".join(str(route.steps) for route in found.values())
    raise UserError(
        f"--steps {wish.steps}: {subject.place} is sampled in {known} steps (evaluate.steps and "
        "evaluate.schedules of its configuration)"
    )


def _labels(subject: Subject, route: Route, wish: Wish) -> Tensor | None:
    """The data's labels where samples take theirs from them. UserError for wrong wishes."""
    if wish.labels and not route.classes:
        raise UserError(f"--labels: {subject.place} is a model without classes; leave it out")
    wrong = [label for label in wish.labels if not 0 <= label < route.classes]
    if wrong:
        raise UserError(f"--labels: got {wrong[0]}; expected 0 to {route.classes - 1}")
    if not route.classes or wish.labels:
        return None
    data = load(subject.config.data)
    if data.digest != subject.meta.data or data.labels is None:
        raise UserError(
            f"the data {data.name} are not those that the model was trained on, whose labels its "
            "samples have: restore them, or choose --labels"
        )
    return data.labels


def _facts(subject: Subject, wish: Wish, form: Format, route: Route) -> dict[str, Any]:
    """What decides the files' bytes."""
    return {
        "checkpoint": subject.place.name,
        "weights": subject.digest,
        "images": wish.images,
        "seed": wish.seed,
        "solver": route.solver,
        "levels": list(route.levels),
        "eta": route.eta,
        "guidance": route.guidance,
        "labels": list(wish.labels) or ("as frequent as in the data" if route.classes else None),
        "format": form.name,
    }


def _same_work(partial: Path, facts: Mapping[str, Any]) -> None:
    """Leave only parts of this very work in the folder."""
    if read_json(partial / _FACTS) != facts:
        for path in partial.iterdir():
            if path.name != ".lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_json(partial / _FACTS, facts)


def _draw(source: _Source, partial: Path) -> Iterator[Progress]:
    total = source.wish.images
    for first in _firsts(total):
        count = min(BATCH, total - first)
        path = _path(partial, first)
        if load_tensors(path) is None:
            drawn = source.draw(first, count)
            labels = {} if drawn.labels is None else {"labels": drawn.labels}
            save_tensors(path, {"pixels": drawn.pixels, **labels})
        yield Progress(first + count, total, "images")


def _part(partial: Path, first: int) -> Drawn:
    tensors = load_tensors(_path(partial, first))
    assert tensors is not None
    return Drawn(tensors["pixels"], tensors.get("labels"))


def _firsts(images: int) -> range:
    return range(0, images, BATCH)


def _path(partial: Path, first: int) -> Path:
    return partial / "parts" / f"{first:08d}.pt"
