"""What a study will take, said before it runs: training, time, money, bytes, each with its bounds.

Bounds come from three places: how many trials are stopped when (study.outlook), how fast the
machines are (study.speeds), and, where the search chooses parts of the trial, how much work the
configurations are (study.work). They are taken together (study.spans), so the truth is rarely
outside them. Not in them: machines that are taken away and what is then repeated, matrix algebra on
the CPU, and pauses between sessions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ictsweep.study.outlook import Outlook, Outlooks, outlooks
from ictsweep.study.sizes import Evaluations, Sizes, sizes
from ictsweep.study.spans import Span
from ictsweep.study.spec import Limits, StudySpec
from ictsweep.study.speeds import Speed
from ictsweep.study.work import Work


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a study does, apart from machines. `works` are its trials', and again those of
    the trials after them; `numbers` and `pictures` are the numbers and pictures of one evaluation.
    """

    spec: StudySpec
    works: Sequence[Work]
    numbers: int
    pictures: int
    image_shape: tuple[int, int, int]
    shared: Span

    def work(self, trial: int) -> Work:
        """That of a trial."""
        return self.works[trial % len(self.works)]


@dataclass(frozen=True, kw_only=True)
class Times:
    """Hours: `gpu_hours` of all GPUs together (trial-hours where trials use none), `hours` from
    beginning to end, and what the GPUs cost (None without a price or GPUs).
    """

    hours: Span
    trial_hours: Span
    gpu_hours: Span | None
    cost: Span | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`seeds` is how often the study was run ahead each way; `images` are those that a trial has
    seen when it is judged at each rung; `kimg` and `exaflop` (10^18 operations, training and
    evaluation) those of the whole study; `times` None where no speed is known.
    """

    spec: StudySpec
    slots: int
    seeds: int
    images: tuple[int, ...]
    kimg: Span
    exaflop: Span
    evaluations: Span
    times: Times | None
    sizes: Sizes


def planned(task: Task, slots: int, speed: Speed | None, gpus: float) -> Plan:
    """The plan of a study with `slots` trials at once, each on `gpus` GPUs."""
    spec = task.spec
    ways = outlooks(spec, slots)
    train, evaluate = ways.span(_training(task)), ways.span(_evaluating(task))
    evaluations = ways.span(lambda outlook: sum(_evaluations(task, outlook).values()))
    return Plan(
        spec=spec,
        slots=slots,
        seeds=ways.seeds,
        images=images_to_rungs(spec),
        kimg=ways.span(lambda outlook: outlook.kimg),
        exaflop=(train + evaluate) * 1e-18,
        evaluations=evaluations,
        times=None if speed is None else _times(task, ways, slots, speed, gpus),
        sizes=sizes(
            task.works, trials=spec.total, rungs=len(spec.rungs), slots=slots,
            kept_trials=_kept(spec, ways),
            evaluations=Evaluations(
                count=evaluations, numbers=task.numbers, pictures=task.pictures,
                image_shape=task.image_shape,
            ),
            shared=task.shared,
        ),
    )  # fmt: skip


def images_to_rungs(spec: StudySpec) -> tuple[int, ...]:
    """Images that a trial has been trained on when it is judged at each rung: where every rung is a
    run of its own, those of the runs before it too.
    """
    rungs = spec.rungs
    sums = (sum(rungs[: i + 1]) if spec.short_run else rungs[i] for i in range(len(rungs)))
    return tuple(1000 * kimg for kimg in sums)


def against(limits: Limits, plan: Plan) -> list[str]:
    """What the limits mean for the plan, one sentence for each that is given."""
    times = plan.times
    wanted = (
        ("max_hours", limits.max_hours, times and times.hours, "hours"),
        ("max_gpu_hours", limits.max_gpu_hours, times and times.gpu_hours, "GPU-hours"),
        ("max_cost", limits.max_cost, times and times.cost, ""),
    )
    return [
        f"limits.{name} {limit:g}: {_verdict(limit, needed, unit)}"
        for name, limit, needed, unit in wanted
        if limit is not None
    ]


def _verdict(limit: float, needed: Span | None, unit: str) -> str:
    if needed is None:
        return "cannot be compared: no speed is known, or trials use no GPU"
    bounds = f"{needed.low:.3g} to {needed.high:.3g} {unit}".strip()
    if limit < needed.low:
        return f"the study will end early: it needs {bounds}"
    if limit < needed.high:
        return f"the study may end early: it needs {bounds}"
    return f"enough for {bounds}"


def _times(task: Task, ways: Outlooks, slots: int, speed: Speed, gpus: float) -> Times:
    """From work and speed to hours: what is trained and evaluated, started and waited for."""
    steps = ways.span(_steps(task))
    training = (ways.span(_training(task)) * speed.train_s).at_least(steps * speed.step_s)
    evaluating = ways.span(_evaluating(task)) * speed.evaluate_s
    waiting = (training + evaluating) * speed.idle
    starting = speed.launch_s * task.spec.total
    trial_hours = (training + evaluating + waiting + starting) * (1 / 3600)
    stretch = ways.span(lambda outlook: _stretch(task.spec, slots, outlook))
    gpu_hours = trial_hours * gpus if gpus else None
    price = task.spec.limits.gpu_hour_price
    return Times(
        hours=trial_hours * stretch * (1 / slots),
        trial_hours=trial_hours,
        gpu_hours=gpu_hours,
        cost=gpu_hours * price if gpu_hours and price else None,
    )


def _stretch(spec: StudySpec, slots: int, outlook: Outlook) -> float:
    """How much longer the study takes than if all slots were busy to its end."""
    busy = outlook.kimg + spec.total * spec.resources.launch_kimg
    return outlook.clock_kimg * slots / busy


def _training(task: Task) -> Callable[[Outlook], float]:
    return lambda outlook: sum(
        1000 * sum(runs) * task.work(trial).step_flop for trial, runs in outlook.runs.items()
    )


def _steps(task: Task) -> Callable[[Outlook], float]:
    return lambda outlook: sum(
        1000 * sum(runs) / task.work(trial).batch for trial, runs in outlook.runs.items()
    )


def _evaluating(task: Task) -> Callable[[Outlook], float]:
    return lambda outlook: sum(
        count * task.work(trial).evaluation_flop
        for trial, count in _evaluations(task, outlook).items()
    )


def _evaluations(task: Task, outlook: Outlook) -> dict[int, int]:
    """By trial, how often it is evaluated."""
    every = task.spec.trial["evaluate"]["every_kimg"]
    return {trial: sum(kimg // every for kimg in runs) for trial, runs in outlook.runs.items()}


def _kept(spec: StudySpec, ways: Outlooks) -> Span:
    """How many trials keep their last checkpoint: the best that finish, and trial 0."""
    finished = ways.span(lambda outlook: _finished(spec, outlook))
    best = spec.keep.best
    return Span(min(best, finished.low), min(best, finished.likely), min(best + 1, finished.high))


def _finished(spec: StudySpec, outlook: Outlook) -> int:
    """How many configurations reach the full budget."""
    return sum(
        runs[-1] == spec.rungs[-1]
        for trial, runs in outlook.runs.items()
        if not 0 < trial < spec.replicates
    )
