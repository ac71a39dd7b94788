"""A study's first minute before it starts: the data is read, networks are built and the model to
start from is opened, so that what cannot work is said with its place in the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ictsweep.config import TrialConfig
from ictsweep.consistency import Perceptual, PosteriorMean
from ictsweep.data import Images, load
from ictsweep.errors import UserError
from ictsweep.problems import Problem, shown
from ictsweep.study.axes import Axis, Scalar, chooses_part
from ictsweep.study.conditions import contexts
from ictsweep.study.configurations import configured, possible, with_starts
from ictsweep.study.facts import facts, parameters
from ictsweep.study.spec import StudySpec
from ictsweep.training import init_problems, start_path

# Values that have to go with the data, or with a model to start from.
_WITH_THE_DATA = ("network.", "init.", "method.path.", "method.sigma_data")


class Rehearsal(NamedTuple):
    """What is wrong with a study's trials, by path in the search space file, and what trial 0 is
    made of, in lines for people.
    """

    problems: list[Problem]
    facts: list[str]


def rehearse(config: TrialConfig) -> list[Problem]:
    """What is wrong with a configuration's data, or with the rest of it for such data."""
    images = _data(config)
    return images if isinstance(images, list) else _problems(config, images)


def rehearse_study(spec: StudySpec) -> Rehearsal:
    """The rehearsal of trial 0 and of every choice of network, method and first weights."""
    config = configured(spec.trial, {})
    images = _data(config)
    found = images if isinstance(images, list) else _problems(config, images)
    if found or isinstance(images, list):
        return Rehearsal([problem.under("trial") for problem in found], [])
    axes = [problem for axis in spec.search for problem in _axis_problems(spec, axis, images)]
    return Rehearsal(axes, facts(spec.trial, config, images))


def _data(config: TrialConfig) -> Images | list[Problem]:
    try:
        return load(config.data)
    except UserError as error:
        return [Problem(("data", "path") if config.data.path else ("data",), str(error))]


def _problems(config: TrialConfig, images: Images) -> list[Problem]:
    found = [
        *_label_problems(config, images),
        *_reference_problems(config, images),
        *_distance_problems(config),
        *config.level_problems(max(images.shape[1:])),
    ]
    try:
        parameters(config, images)
    except (ValueError, RuntimeError) as error:  # torch refuses sizes that no memory could hold
        return [*found, Problem(("network",), str(error))]
    return found or init_problems(config, images.shape)


def _label_problems(config: TrialConfig, images: Images) -> Iterator[Problem]:
    """Whether the data says which of the network's classes each image belongs to, and has images
    of each: samples are drawn of the classes that the data has.
    """
    classes, labels, place = config.network.classes, images.labels, ("network", "classes")
    if not classes:
        return
    if labels is None:
        message = f"the data {images.name} has no labels; add an array `labels` to its file"
        yield Problem(place, f"got {classes}; {message}, or set classes 0")
        return
    present = labels.unique().tolist()
    if present != list(range(classes)):
        span = f"go from {present[0]} to {present[-1]}, {len(present)} classes in all"
        message = f"the labels of the data {images.name} {span}"
        yield Problem(place, f"got {classes}; {message}; expected each of 0 to {classes - 1}")


def _reference_problems(config: TrialConfig, images: Images) -> Iterator[Problem]:
    path = config.method.path
    if isinstance(path, PosteriorMean) and path.references > len(images.pixels):
        message = f"the data {images.name} has {len(images.pixels)} images"
        place = ("method", "path", "references")
        yield Problem(place, f"got {path.references}; {message}; expected at most as many")


def _distance_problems(config: TrialConfig) -> Iterator[Problem]:
    """A perceptual distance's network is built, which may take a download."""
    if isinstance(config.method.distance, Perceptual) and (found := Perceptual.obstacle()):
        yield Problem(("method", "distance"), found)


def _axis_problems(spec: StudySpec, axis: Axis, images: Images) -> Iterator[Problem]:
    """Ends of an axis that do not go with the data, or with the model to start from."""
    if not (chooses_part(axis.path) or axis.path.startswith(_WITH_THE_DATA)):
        return
    key = "range" if axis.choices is None else "choices"
    for i, end in enumerate(axis.ends):
        for context in contexts(spec.search, [axis]):
            params = possible(spec, {**context, axis.path: end})
            found = _problems(configured(spec.trial, params), images)
            for problem in found:
                message = f"with {_said(context)}{shown(end)}, {problem}"
                yield Problem(("search", axis.path, key, i), message)
            if found:
                break


def _said(context: Mapping[str, Scalar]) -> str:
    return "".join(f"{path} {value} and " for path, value in context.items())


def placed(spec: StudySpec) -> StudySpec:
    """The spec with its files' paths made absolute, because workers start in folders of their own,
    and one checkpoint for every run that its trials start from (`start_path`).
    """
    trial = dict(spec.trial)
    if "data" in trial and (path := trial["data"].get("path")):
        trial["data"] = {**trial["data"], "path": str(Path(path).absolute())}
    return with_starts(replace(spec, trial=trial), start_path)
