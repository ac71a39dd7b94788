"""A study's plan in words and tables."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table

from ictsweep.study.plan import against
from ictsweep.study.sizes import total
from ictsweep.study.spans import Span

if TYPE_CHECKING:
    from ictsweep.study.axes import Axis
    from ictsweep.study.preview import Preview
    from ictsweep.study.spec import StudySpec

_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def plan_text(seen: "Preview", facts: list[str]) -> RenderableType:
    """What a study is, what it will take, and what it will try; `facts` say what trial 0 is."""
    spec = seen.plan.spec
    return Group(
        *_study(seen), *facts, _searched(spec), "", _costs(seen), *_said_of_costs(seen), "",
        *_samples(seen),
    )  # fmt: skip


def amount(value: float) -> str:
    """A quantity to three figures, whole where it is large: "777,600", "0.0123"."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(value: float) -> str:
    """Bytes in the unit that suits them."""
    unit, of = next(((name, n) for name, n in _UNITS if value >= n), ("B", 1.0))
    return f"{value / of:.3g} {unit}"


def _study(seen: "Preview") -> Iterator[str]:
    spec, plan = seen.plan.spec, seen.plan
    kind = "each rung a complete run of its own" if spec.short_run else "points of one run"
    yield (
        f"study {spec.study}: {spec.trials} configurations, trial 0 on {spec.replicates} seeds, "
        f"minimize {spec.minimize}"
    )
    yield (
        f"rungs: {', '.join(map(str, spec.rungs))} kimg ({kind}); "
        f"the best 1 in {spec.stopping.reduction} go on"
    )
    yield f"images of a trial up to each rung: {', '.join(f'{n:,}' for n in plan.images)}"
    gpus = f"{seen.gpus:g} GPU(s)" if seen.gpus else "no GPU"
    yield f"each trial: {spec.resources.workers} worker(s), {gpus} where the cluster has any"


def _searched(spec: "StudySpec") -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("searched")
    table.add_column("over")
    for axis in spec.search:
        table.add_row(axis.path, _over(axis))
    return table


def _over(axis: "Axis") -> str:
    when = " and ".join(map(str, axis.when))
    return f"{axis}{', log scale' if axis.log else ''}{f', when {when}' if when else ''}"


def _costs(seen: "Preview") -> Table:
    plan, times = seen.plan, seen.plan.times
    table = Table(box=None, pad_edge=False)
    table.add_column("the whole study")
    for column in ("likely", "from", "to"):
        table.add_column(column, justify="right")
    _row(table, "training, kimg", plan.kimg)
    _row(table, "evaluations", plan.evaluations)
    _row(table, "work, EFLOP", plan.exaflop)
    if times is not None:
        _row(
            table,
            "GPU-hours" if seen.gpus else "hours of trials",
            times.gpu_hours or times.trial_hours,
        )
        _row(table, f"hours, {plan.slots} trial(s) at once", times.hours)
    if times is not None and times.cost is not None:
        _row(table, f"cost, at {plan.spec.limits.gpu_hour_price:g} a GPU-hour", times.cost)
    _row(table, "disk, at once", total(plan.sizes.peak), size)
    for kind, part in plan.sizes.peak.items():
        _row(table, f"  {kind}", part, size)
    _row(table, "disk, at the end", total(plan.sizes.kept), size)
    _row(table, "features of the data, shared", plan.sizes.shared, size)
    return table


def _row(table: Table, name: str, span: Span, form: Any = amount) -> None:
    table.add_row(name, form(span.likely), form(span.low), form(span.high))


def _said_of_costs(seen: "Preview") -> Iterator[str]:
    spec, plan = seen.plan.spec, seen.plan
    full = spec.total * spec.rungs[-1]
    if plan.kimg.likely >= full:
        yield f"every trial to its end: {full:,} kimg; with so few trials, stopping saves nothing"
    else:
        yield f"every trial straight to its end: {full:,} kimg"
    yield (
        f"from ... to: ranks by chance ... a sampler that learns, {plan.seeds} seeds each, and the "
        "bounds of speed and sizes; machines that are taken away are not in it"
    )
    if seen.speed is None:
        yield (
            "hours and cost: no speed is known; give --like STUDY (an older study: the best), "
            "--images-per-s X (one trial's, as `ictsweep train` shows it) or --gpu KIND"
        )
    else:
        yield f"speed: {seen.speed.source}"
        yield from seen.speed.notes
    yield from seen.remarks
    yield from against(spec.limits, plan)


def _samples(seen: "Preview") -> Iterator[RenderableType]:
    yield f"the first {len(seen.samples)} configurations after trial 0, by what differs from it"
    for number, changes in enumerate(seen.samples, seen.plan.spec.replicates):
        yield f"trial {number}: {_differences(changes)}"


def _differences(changes: Mapping[str, tuple[Any, Any]]) -> str:
    parts = [
        f"{path} {_value(new)}" if old is None else f"{path} {_value(old)} -> {_value(new)}"
        for path, (old, new) in changes.items()
    ]
    return ", ".join(parts) or "as trial 0"


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
