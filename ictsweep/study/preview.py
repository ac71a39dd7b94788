"""A study looked at before it runs: what it will take, and which configurations it will try."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ictsweep.config import ConfigError, TrialConfig
from ictsweep.consistency import CleanPairs
from ictsweep.data import Images, load
from ictsweep.evaluation import dimension, metric_keys
from ictsweep.problems import Problem
from ictsweep.study.branches import said
from ictsweep.study.counting import Counter, not_counted
from ictsweep.study.draws import changes, first_drawn, random_trials
from ictsweep.study.plan import Plan, Task, planned
from ictsweep.study.sizes import reference_bytes
from ictsweep.study.space import resolve, starts
from ictsweep.study.spec import StudySpec
from ictsweep.study.speeds import Ran, Speed, of_gpu, of_person, of_study
from ictsweep.study.store import StudyFolder

SAMPLES = 3  # configurations that are shown
_RANDOM = 64  # random trials whose work stands for all later ones
_COMPARED = 50_000  # pictures whose features are kept one by one, at most (evaluation.reference)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a trial's speed is taken from: a kind of GPU, images per second that somebody measured,
    or an older study. At most one; none: no speed is known.
    """

    gpu: str | None = None
    images_per_s: float | None = None
    like: StudyFolder | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """`samples` are the first configurations after trial 0, by what differs from it: by dotted
    path, (trial 0's value, its own). `remarks` say what the plan leaves out.
    """

    plan: Plan
    speed: Speed | None
    gpus: float
    samples: Sequence[Mapping[str, tuple[Any, Any]]]
    remarks: Sequence[str]


def preview(spec: StudySpec, images: Images, slots: int, source: Source) -> Preview:
    """The plan of a rehearsed study on pictures like `images`, `slots` trials at once."""
    config, counter = resolve(spec, {}), Counter(images.shape)
    task = _task(spec, config, counter, images)
    speed = _speed(source, spec, config, task.works[0].step_flop)
    gpus = _gpus(spec, source)
    return Preview(
        plan=planned(task, slots, speed, gpus),
        speed=speed,
        gpus=gpus,
        samples=[changes(spec, params) for params in first_drawn(spec, SAMPLES)],
        remarks=[f"not counted: {what}" for what in not_counted(config)],
    )


def random_problems(spec: StudySpec) -> list[Problem]:
    """Random points of a space that can be no trial, though each of its axes and pairs of them can
    be: the first one found.
    """
    for params in random_trials(spec, _RANDOM):
        try:
            resolve(spec, params)
        except ConfigError as error:
            message = f"a random trial, with {said(params)}, cannot be: {error.problems[0]}"
            return [Problem(("search",), f"{message}; narrow one of these axes", at_key=True)]
    return []


def _task(spec: StudySpec, config: TrialConfig, counter: Counter, images: Images) -> Task:
    evaluate = config.evaluate
    first, *rest = starts(spec)
    params = [first] * spec.replicates + rest + random_trials(spec, _RANDOM)
    compared = min(len(images), _COMPARED)
    return Task(
        spec=spec,
        works=[counter.work(resolve(spec, p)) for p in params[: spec.total]],
        numbers=len(metric_keys(evaluate, isinstance(config.method.pairs, CleanPairs))),
        pictures=min(evaluate.grid, evaluate.images),
        image_shape=images.shape,
        shared=reference_bytes(evaluate.measured, compared, dimension(evaluate.features)),
    )


def _speed(source: Source, spec: StudySpec, config: TrialConfig, step_flop: float) -> Speed | None:
    workers = spec.resources.workers
    if source.gpu is not None:
        return of_gpu(source.gpu, config.precision, workers)
    if source.images_per_s is not None:
        return of_person(source.images_per_s, step_flop, config.precision)
    if source.like is not None:
        return _like(source.like, config, workers)
    return None


def _gpus(spec: StudySpec, source: Source) -> float:
    """GPUs of one trial: what the space says, else one per worker where the speed is of GPUs (for a
    person's number, that is taken to be so).
    """
    resources, old = spec.resources, source.like
    if resources.gpus_per_worker is not None:
        return resources.workers * resources.gpus_per_worker
    if old is None:
        return float(resources.workers)
    held = [launch.gpus for record in old.trials() for launch in record.launches]
    return float(resources.workers) if max(held, default=0.0) > 0 else 0.0


def _like(folder: StudyFolder, config: TrialConfig, workers: int) -> Speed:
    """The speed that an older study measured, its trials' work counted like this one's."""
    old, spec = resolve(folder.spec(), {}), folder.spec()
    counter = Counter(load(old.data).shape)
    trials = []
    for record in folder.trials():
        work = counter.work(resolve(spec, record.params))
        trials.append(
            Ran(record=record, step_flop=work.step_flop, evaluation_flop=work.evaluation_flop)
        )
    notes = [
        f"its trials had {theirs} where this study's have {ours}"
        for theirs, ours in (
            (f"precision {old.precision}", f"precision {config.precision}"),
            (f"{spec.resources.workers} worker(s)", f"{workers} worker(s)"),
            (f"batches of {old.optimizer.batch}", f"batches of {config.optimizer.batch}"),
        )
        if theirs != ours
    ]
    return of_study(folder.place, trials, notes)
