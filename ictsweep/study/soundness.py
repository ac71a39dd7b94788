"""Whether a study can run as written: the trial, the space around it, the yardstick, the rungs."""

from collections.abc import Iterable, Mapping
from typing import Any

from ictsweep.config import TrialConfig, trial_config
from ictsweep.consistency import CleanPairs
from ictsweep.evaluation import (
    InceptionFeatures,
    below_dimension,
    dimension,
    distance_keys,
    metric_keys,
)
from ictsweep.optimizers import block_of
from ictsweep.problems import Problem, did_you_mean, shown
from ictsweep.study.axes import Axis, chooses_part
from ictsweep.study.conditions import contexts
from ictsweep.study.configurations import configured
from ictsweep.study.domains import axis_problems, corner_problems, misfits, start_problems
from ictsweep.study.parameters import BATCH, path_problems
from ictsweep.study.spec import StudySpec, ladder


def space_problems(spec: StudySpec) -> list[Problem]:
    """Everything that keeps the study from running, by its path in the search space file."""
    if problems := trial_problems(spec.trial):
        return problems + [p for axis in spec.search for p in path_problems(axis)]
    config = trial_config(spec.trial)
    axes = [problem for axis in spec.search for problem in axis_problems(spec, axis)]
    batches = [config.optimizer.batch, *([] if axes else _searched_batches(spec))]
    around = [] if axes else [*corner_problems(spec), *start_problems(spec)]
    unmeasured = [] if axes else [p for axis in spec.search for p in _choice_problems(spec, axis)]
    return [
        *axes,
        *around,
        *(_metric_problems(spec, config) or unmeasured),
        *_rung_problems(spec, config),
        *_worker_problems(spec.resources.workers, batches),
    ]


def trial_problems(block: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a trial block."""
    return [problem.under("trial") for problem in misfits(block, {})]


def _denoises(config: TrialConfig) -> bool:
    return isinstance(config.method.pairs, CleanPairs)


def _keys(config: TrialConfig) -> tuple[str, ...]:
    """The names of the numbers of a configuration that can be minimised."""
    return distance_keys(config.evaluate, _denoises(config))


def _metric_problems(spec: StudySpec, config: TrialConfig) -> list[Problem]:
    keys, evaluate = _keys(config), config.evaluate
    if spec.minimize in keys:
        place, dims = ("trial", "evaluate", "images"), dimension(evaluate.features)
        found = dims and below_dimension(evaluate, spec.minimize, dims, _denoises(config))
        return [Problem(place, found)] if found else []
    if not keys:
        message = (
            f"none of {', '.join(evaluate.measured)} is a distance that a study can minimize; add "
            f"{evaluate.features.frechet} or {evaluate.features.kernel}"
        )
        return [Problem(("trial", "evaluate", "metrics"), message)]
    known = f"{'one of ' if len(keys) > 1 else ''}{', '.join(keys)}"
    source = f"trial.evaluate.steps {list(evaluate.steps)} yields"
    if _denoises(config):
        source = "a method that denoises (pairs clean) is measured by"
    if evaluate.metrics:
        source = f"trial.evaluate.metrics {list(evaluate.metrics)} yield"
    message = f"got {shown(spec.minimize)}; expected {known}, which {source}"
    return [Problem(("minimize",), message + _why_not(spec.minimize, config))]


def _why_not(minimize: str, config: TrialConfig) -> str:
    """What is the matter with a metric that a study cannot minimise, ready to end a message."""
    evaluate = config.evaluate
    if minimize in metric_keys(evaluate, _denoises(config)):
        return "; of this one the higher is the better"
    features, inception = evaluate.features, InceptionFeatures()
    names = (inception.frechet, inception.kernel)
    if minimize.startswith(names) and features.frechet != inception.frechet:
        return f"; FID and KID are names for features: {{name: inception}}, not {features.name}"
    return did_you_mean(minimize, _keys(config))


def _choice_problems(spec: StudySpec, axis: Axis) -> Iterable[Problem]:
    """Choices under which a trial is measured by other numbers than the one minimised."""
    if not chooses_part(axis.path):
        return
    for i, choice in enumerate(axis.ends):
        for context in contexts(spec.search, [axis]):
            keys = _keys(configured(spec.trial, {**context, axis.path: choice}))
            if spec.minimize not in keys:
                message = (
                    f"got {shown(choice)}, which is measured by {', '.join(keys)}; this study "
                    f"minimizes {spec.minimize}"
                )
                yield Problem(("search", axis.path, "choices", i), message)
                break


def _rung_problems(spec: StudySpec, config: TrialConfig) -> Iterable[Problem]:
    first, budget, every = (
        spec.stopping.first_rung_kimg,
        config.budget_kimg,
        config.evaluate.every_kimg,
    )
    rungs, place = ladder(spec.stopping, budget), ("stopping", "first_rung_kimg")
    if first > budget:
        yield Problem(place, f"got {first}; expected at most budget_kimg {budget}")
        return
    if rungs[-1] != budget:
        message = (
            f"rungs {', '.join(map(str, rungs))} do not end at budget_kimg {budget}; "
            f"nearest budgets that work: {rungs[-2]}, {rungs[-1]}"
        )
        yield Problem(place, message)
    if first % every:
        near = [k for k in (first // every * every, (first // every + 1) * every) if k]
        message = (
            f"got {first}; a rung is judged by an evaluation, so it must be a multiple of "
            f"evaluate.every_kimg {every}, such as {' or '.join(map(str, near))}"
        )
        yield Problem(place, message)
    if not spec.short_run and 9 * first < budget:
        # a rank before a ninth of one long run says nothing of its end
        message = (
            f"got {first}; in one long run (same_run) nothing before a ninth of the budget is "
            f"worth judging: expected at least {-(-budget // 9)}, or fidelity: short_run"
        )
        yield Problem(place, message)


def _searched_batches(spec: StudySpec) -> list[Any]:
    return [end for axis in spec.search if axis.path == BATCH for end in axis.ends]


def _worker_problems(workers: int, batches: Iterable[int]) -> Iterable[Problem]:
    for batch in dict.fromkeys(batches):
        block = block_of(batch)
        blocks = batch // block
        if blocks % workers:
            able = [str(n) for n in range(1, min(blocks, 1024) + 1) if blocks % n == 0]
            message = (
                f"got {workers}; a batch of {batch} is {blocks} blocks of {block} images; "
                f"numbers of workers that share them evenly: {', '.join(able)}"
            )
            yield Problem(("resources", "workers"), message)
