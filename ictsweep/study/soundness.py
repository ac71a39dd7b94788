"""Whether a study can run as written: domains, the space around trial 0, the yardstick, rungs.

A parameter's domain is written once, in its dataclass: an axis is checked by putting its ends (or
every choice) into the trial block and reading the result as a configuration.
"""

import difflib
from collections.abc import Iterable, Mapping
from itertools import combinations, product
from typing import Any

from ictsweep.config import ConfigError, Optimizer, TrialConfig, trial_config
from ictsweep.evaluation import metric_key
from ictsweep.problems import KeyPath, Problem, did_you_mean, dotted, number_type, shown, wanted
from ictsweep.schema import leaves
from ictsweep.study.axes import Axis, Scalar, substituted
from ictsweep.study.spec import StudySpec, ladder

BATCH = "optimizer.batch"

# What makes trials comparable, by the path or block that must stay as it is.
_FIXED = {
    "budget_kimg": "trials of different lengths cannot be ranked; the rungs already stop weak ones",
    "evaluate": "every trial must be measured in the same way",
    "data": "every trial must learn, and be compared with, the same data",
}


def space_problems(spec: StudySpec) -> list[Problem]:
    """Everything that keeps the study from running, by its path in the search space file."""
    if problems := trial_problems(spec.trial):
        return problems + [p for axis in spec.search for p in _path_problems(axis)]
    config = trial_config(spec.trial)
    axes = [problem for axis in spec.search for problem in _axis_problems(spec, axis, config)]
    batches = [config.optimizer.batch, *([] if axes else _searched_batches(spec))]
    around = [] if axes else [*_corner_problems(spec), *_start_problems(spec)]
    return [
        *axes,
        *around,
        *_metric_problems(spec, config),
        *_rung_problems(spec, config),
        *_worker_problems(spec.resources.workers, batches),
    ]


def trial_problems(block: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a trial block."""
    return [problem.under("trial") for problem in _misfits(block, {})]


def _misfits(block: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[Problem, ...]:
    try:
        trial_config(substituted(block, params))
    except ConfigError as error:
        return error.problems
    return ()


def _axis_problems(spec: StudySpec, axis: Axis, config: TrialConfig) -> list[Problem]:
    """What is wrong with one axis, the others at the trial block's values."""
    place = ("search", axis.path)
    found = _path_problems(axis) or _kind_problems(axis)
    if found:
        return found
    key = "range" if axis.choices is None else "choices"
    for i, end in enumerate(axis.ends):
        for problem in _misfits(spec.trial, {axis.path: end}):
            own = dotted(problem.path) == axis.path
            message = problem.message if own else f"with {shown(end)}, {problem}"
            found.append(Problem((*place, key, i), message))
    value = config.value(axis.path)
    if not found and not axis.holds(value):
        message = (
            f"trial 0 has {shown(value)}, which is not in {axis}; trial 0 is the `trial` block as "
            "written and must be in the space: widen it, or change the value in `trial`"
        )
        found.append(Problem(place, message, at_key=True))
    return found


def _path_problems(axis: Axis) -> list[Problem]:
    """Whether the axis is over something that a trial has and a study may vary."""
    place, path = ("search", axis.path), axis.path
    known = [dotted(leaf) for leaf in leaves(TrialConfig)]
    fixed = _FIXED.get(path.split(".")[0])
    searchable = [leaf for leaf in known if leaf.split(".")[0] not in _FIXED]
    if fixed:
        message = f"cannot be searched: {fixed}"
    elif path in known:
        return []
    elif inside := [leaf for leaf in searchable if leaf.startswith(f"{path}.")]:
        message = f"a block, not a value; search values of it: {', '.join(inside[:6])}"
    elif path.endswith(".preset"):
        message = "a preset cannot be searched; search the values that it sets"
    else:
        message = f"a trial has no such value{_nearest(path, searchable)}"
    return [Problem(place, message, at_key=True)]


def _nearest(path: str, known: list[str]) -> str:
    near = [leaf for leaf in known if leaf.endswith(f".{path}")]
    near = near or difflib.get_close_matches(path, known, n=3, cutoff=0.7)
    near = near or difflib.get_close_matches(path, known, n=1, cutoff=0.4)
    block = path.rpartition(".")[0]
    beside = [leaf for leaf in known if block and leaf.rpartition(".")[0] == block]
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; it has {', '.join((beside or known)[:6])}, ..."


def _kind_problems(axis: Axis) -> list[Problem]:
    """Whether the axis has the form that its parameter needs."""
    hint = next(h for path, h in leaves(TrialConfig).items() if dotted(path) == axis.path)
    kind, place = number_type(hint), ("search", axis.path)
    if axis.choices is not None:
        return []
    if kind is None:
        message = f"{axis.path} is no number but {wanted(hint)}; list values as choices: [a, b]"
        return [Problem((*place, "range"), message)]
    if axis.path == BATCH:
        message = (
            "a batch must divide every evaluation interval, which a range cannot promise; "
            "list sizes as choices: [64, 128]"
        )
        return [Problem((*place, "range"), message)]
    if kind is int and isinstance(axis.step, float):
        return [
            Problem((*place, "step"), f"got {axis.step}; expected an integer, as {axis.path} is")
        ]
    return []


def _corner_problems(spec: StudySpec) -> Iterable[Problem]:
    """Pairs of axes whose extremes exclude each other, such as s0 above s1."""
    for a, b in combinations(spec.search, 2):
        for x, y in product(_extremes(a), _extremes(b)):
            if problems := _misfits(spec.trial, {a.path: x, b.path: y}):
                message = (
                    f"{shown(y)} is possible together with {a.path} {shown(x)}, but then "
                    f"{problems[0]}; narrow one of the two"
                )
                yield Problem(("search", b.path), message, at_key=True)
                break


def _extremes(axis: Axis) -> tuple[Scalar, ...]:
    numbers = [end for end in axis.ends if isinstance(end, int | float)]
    return (min(numbers), max(numbers)) if len(numbers) == len(axis.ends) else axis.ends


def _start_problems(spec: StudySpec) -> Iterable[Problem]:
    axes = {axis.path: axis for axis in spec.search}
    for i, entry in enumerate(spec.warm_start):
        found = [_value_problem(axes, (i, path), value) for path, value in entry.items()]
        wrong = [problem.under("warm_start") for problem in found if problem]
        yield from wrong
        for problem in () if wrong else _misfits(spec.trial, entry):
            yield Problem(("warm_start", i), f"with these values, {problem}")


def _value_problem(axes: Mapping[str, Axis], place: KeyPath, value: Any) -> Problem | None:
    path = str(place[-1])
    if path not in axes:
        message = f"not searched; searched are {', '.join(axes)}{did_you_mean(path, axes)}"
        return Problem(place, message, at_key=True)
    if not axes[path].holds(value):
        return Problem(place, f"got {shown(value)}; expected a value in {axes[path]}")
    return None


def _metric_problems(spec: StudySpec, config: TrialConfig) -> Iterable[Problem]:
    keys = [metric_key(steps) for steps in config.evaluate.steps]
    if spec.minimize not in keys:
        known = f"one of {', '.join(keys)}" if len(keys) > 1 else keys[0]
        message = (
            f"got {shown(spec.minimize)}; expected {known}, which trial.evaluate.steps "
            f"{list(config.evaluate.steps)} yields{did_you_mean(spec.minimize, keys)}"
        )
        yield Problem(("minimize",), message)


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
        block = Optimizer(batch=batch).block
        blocks = batch // block
        if blocks % workers:
            able = [str(n) for n in range(1, min(blocks, 1024) + 1) if blocks % n == 0]
            message = (
                f"got {workers}; a batch of {batch} is {blocks} blocks of {block} images; "
                f"numbers of workers that share them evenly: {', '.join(able)}"
            )
            yield Problem(("resources", "workers"), message)
