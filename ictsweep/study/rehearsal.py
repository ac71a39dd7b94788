"""A study's first minute before it starts: the data is read, networks are built and the model to
start from is opened, so that what cannot work is said with its place in the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ictsweep.config import TrialConfig
from ictsweep.consistency import CleanPairs, Perceptual, PosteriorMean
from ictsweep.data import Images, load, location, stand_in
from ictsweep.errors import UserError
from ictsweep.evaluation import (
    ClassifierFeatures,
    InceptionFeatures,
    below_dimension,
    dimension,
    feature_problems,
    prepare_extractor,
)
from ictsweep.problems import Problem, shown
from ictsweep.study.axes import Axis, Scalar, chooses_part, substituted
from ictsweep.study.branches import branches, said
from ictsweep.study.conditions import contexts
from ictsweep.study.configurations import configured, possible, with_starts
from ictsweep.study.domains import misfits
from ictsweep.study.facts import facts, parameters
from ictsweep.study.priors import prior, prior_problems, with_places
from ictsweep.study.spec import StudySpec
from ictsweep.training import init_problems, start_path

# Values that have to go with the data, or with a model to start from.
_WITH_THE_DATA = ("network.", "init.", "method.path.", "method.sigma_data")


MOST_BRANCHES = 256  # combinations of a search's choices that are tried; seconds


class Rehearsal(NamedTuple):
    """What is wrong with a study's trials, by path in the search space file; what trial 0 is made
    of, in lines for people; and the pictures it was tried on, None where the trials themselves are
    wrong.

    Where nothing is wrong but that the data or a feature network is not here, the pictures of a
    data set whose shape is known are blank.
    """

    problems: list[Problem]
    facts: list[str]
    images: Images | None


def rehearse(config: TrialConfig) -> list[Problem]:
    """What is wrong with a configuration's data, or with the rest of it for such data."""
    images = _data(config)
    found = images if isinstance(images, list) else _problems(config, images)
    return [*found, *_feature_problems(config, images)]


def rehearse_study(spec: StudySpec) -> Rehearsal:
    """The rehearsal of trial 0, of every choice of network, method and first weights, and of the
    combinations of choices.
    """
    config = configured(spec.trial, {})
    data = _data(config)
    absent = [*(data if isinstance(data, list) else []), *_feature_problems(config, data, spec)]
    lacking = [problem.under("trial") for problem in absent]
    images = stand_in(config.data) if isinstance(data, list) else data
    if images is None:
        return Rehearsal(lacking, [], None)
    found = [problem.under("trial") for problem in _problems(config, images)]
    found = found or [
        problem for axis in spec.search for problem in _axis_problems(spec, axis, images)
    ]
    found = found or [*_branch_problems(spec, images)] or [*prior_problems(spec)]
    if found:
        return Rehearsal([*found, *lacking], [], None)
    told = [str(prior(spec, place)) for place in spec.priors]
    return Rehearsal(lacking, [*facts(spec.trial, config, images), *told], images)


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
        sources = "an array `labels`, class folders or a dataset.json"
        message = f"the data {images.name} has no labels (from {sources}); add some"
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


def _feature_problems(
    config: TrialConfig, images: Images | list[Problem], spec: StudySpec | None = None
) -> list[Problem]:
    """Whether the network whose features judge the samples is there and takes such images: a study
    without it would stop at its first evaluation. `spec` is that of the study whose trials are
    ranked by it, None outside a study.
    """
    features = config.evaluate.features
    if missing := feature_problems(features):
        place = ("evaluate", "features", "path" if getattr(features, "path", None) else "name")
        return [Problem(place, message) for message in missing]
    # These two take any images; to open the first is to train it.
    if isinstance(images, list) or isinstance(features, ClassifierFeatures | InceptionFeatures):
        return []
    try:
        opened = prepare_extractor(features, images.pixels, images.labels, images.name, Path())
    except UserError as error:
        return [Problem(("evaluate", "features"), str(error))]
    minimize = "" if spec is None else spec.minimize
    return _few_samples(config, minimize, opened.dims) if dimension(features) is None else []


def _few_samples(config: TrialConfig, minimize: str, dims: int) -> list[Problem]:
    """Whether there are samples enough for features of which only the opened file tells how many
    there are.
    """
    diffusion = isinstance(config.method.pairs, CleanPairs)
    found = below_dimension(config.evaluate, minimize, dims, diffusion)
    return [Problem(("evaluate", "images"), found)] if found else []


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
    return f"{said(context)} and " if context else ""


def _branch_problems(spec: StudySpec, images: Images) -> Iterator[Problem]:
    """Combinations of choices, each possible by itself, that no trial can be made of."""
    tried: set[object] = set()
    for branch in filter(None, islice(branches(spec.search), MOST_BRANCHES)):
        params = possible(spec, branch)
        found = [*misfits(spec.trial, params)]
        if not found:
            config = configured(spec.trial, params)
            # What of a configuration has to go with the data.
            parts = (replace(config.network, dropout=0.0), config.init, config.method, config.data)
            found = [] if parts in tried else _problems(config, images)
            tried.add(parts)
        if found:
            place = ("search", [*branch][-1])
            message = f"with {said(branch)}, {found[0]}; give one of these choices a `when`"
            yield Problem(place, message, at_key=True)
            return


def placed(spec: StudySpec) -> StudySpec:
    """The spec with its files' paths made absolute, because workers start in folders of their own,
    and one checkpoint for every run that its trials start from (`start_path`).
    """
    trial = dict(spec.trial)
    config = configured(trial, {})
    if (data := location(config.data)) is not None:
        trial = substituted(trial, {"data.path": str(data.absolute())})
    if (weights := config.evaluate.features.location) is not None:
        trial = substituted(trial, {"evaluate.features.path": str(weights.absolute())})
    return with_starts(replace(spec, trial=trial, warm_start=with_places(spec)), start_path)
