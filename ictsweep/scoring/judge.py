"""A trained model and the yardstick it is measured with: its run's own, or another."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ictsweep.config import TrialConfig, trial_config
from ictsweep.data import Images, load
from ictsweep.errors import UserError
from ictsweep.evaluation import Evaluator
from ictsweep.progress import Progress
from ictsweep.scoring.subject import Subject
from ictsweep.seeds import derive_seed
from ictsweep.training.single import open_yardstick

_FILES = (".npz", ".npy")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How to measure; what is not given is as the run was measured.

    `features` are the plain values of a FeatureConfig ({"name": "inception"}) and `metrics` names
    of metrics in them (with other features and none given: the Fréchet distance). `data` is a
    folder of prepared data, or an array's file, to compare with instead of the run's own.
    """

    images: int | None = None
    features: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    data: Path | None = None

    def applied(self, config: TrialConfig) -> TrialConfig:
        """The configuration measured this way. ConfigError where that cannot be."""
        block = config.to_dict()
        evaluate = dict(block["evaluate"])
        if self.features:
            evaluate |= {"features": dict(self.features), "metrics": []}
        if self.metrics:
            evaluate["metrics"] = list(self.metrics)
        if self.images is not None:
            evaluate["images"] = self.images
        return trial_config({**block, "evaluate": evaluate, "data": self._placed(block["data"])})

    def _placed(self, data: dict[str, Any]) -> dict[str, Any]:
        if self.data is None:
            return data
        name = "array" if self.data.suffix in _FILES else "prepared"
        return {**data, "name": name, "path": str(self.data)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """A subject, configured as it is measured, and its evaluator on the latents of its `seed`.
    `cache` is where feature networks and the data's features are kept.
    """

    subject: Subject
    evaluator: Evaluator

    @staticmethod
    def of(subject: Subject, wanted: Wanted, seed: int, cache: Path | None = None) -> "Judge":
        """The judge of a subject; `ready` must have been done before it scores. UserError where
        data or feature network are missing or do not fit.
        """
        config = wanted.applied(subject.config)
        images = _images(subject, config, own=wanted.data is None)
        cache = cache_of(subject.run) if cache is None else cache
        return Judge(
            subject=replace(subject, config=config),
            evaluator=open_yardstick(config, images, seed, cache, subject.device),
        )

    def ready(self) -> Iterator[Progress]:
        """Compute what the evaluator compares with, where the cache lacks it."""
        return self.evaluator.reference.build()

    def draw(self, index: int) -> "Judge":
        """The judge of the draw `index` (from 0): the first has the seed's own latents, which
        evaluations during training with that seed have too.
        """
        seed = self.evaluator.seed
        again = seed if index == 0 else derive_seed(seed, "draw", index)
        return replace(self, evaluator=replace(self.evaluator, seed=again))


def cache_of(run: Path) -> Path:
    """Where the feature networks of a run are kept: with its study's, or in its folder."""
    run = run.absolute()
    study = run.parent.parent
    of_study = run.parent.name == "trials" and (study / "study.yaml").exists()
    return (study.parent if of_study else run) / ".cache"


def _images(subject: Subject, config: TrialConfig, own: bool) -> Images:
    images = load(config.data)
    if own and images.digest != subject.meta.data:
        raise UserError(
            f"the data {images.name} are not those that {subject.place} was trained on: restore "
            "them, or name others to compare with (--data)"
        )
    if images.shape != subject.meta.image_shape:
        raise UserError(
            f"the data {images.name} have pictures of {_size(images.shape)}; {subject.place} makes "
            f"pictures of {_size(subject.meta.image_shape)}: prepare the data in that size"
        )
    _check_labels(images, config.network.classes, subject.place)
    return images


def _check_labels(images: Images, classes: int, place: Path) -> None:
    """Samples of a model of classes get theirs from the data: UserError where it knows others."""
    if not classes:
        return
    if images.labels is None:
        raise UserError(
            f"the data {images.name} have no labels; {place} is a model of {classes} classes, "
            "whose samples take them from the data: compare with data that have labels"
        )
    low, high = int(images.labels.min()), int(images.labels.max())
    if low < 0 or high >= classes:
        raise UserError(
            f"the labels of the data {images.name} go from {low} to {high}; {place} knows 0 to "
            f"{classes - 1}: compare with data of its classes"
        )


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
