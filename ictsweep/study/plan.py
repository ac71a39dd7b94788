"""What a study will run, said before it runs."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from ictsweep.records import Event
from ictsweep.study.engine import Engine
from ictsweep.study.forecast import MOST, NoSampler, chance, run_ahead, trained_kimg
from ictsweep.study.spec import Axis, StudySpec


def plan(spec: StudySpec, facts: Sequence[str] = ()) -> RenderableType:
    """The plan of a valid spec: rungs, trials, axes, and the training that chance would spend;
    `facts` say what trial 0 is made of.
    """
    return Group(*_lines(spec), *facts, _axes(spec))


def expected_kimg(spec: StudySpec) -> float:
    """kimg of training in the whole study when ranks are a matter of chance: an estimate."""
    engine = Engine(spec, [{}], NoSampler())
    engine.apply(Event(kind="study", time=0.0, data={"slots": 1}))
    return trained_kimg(run_ahead(engine, chance(spec.seed)))


def _lines(spec: StudySpec) -> list[str]:
    kind = "each rung a complete run of its own" if spec.short_run else "points of one run"
    return [
        f"study {spec.study}: {spec.trials} configurations, trial 0 on {spec.replicates} seeds, "
        f"minimize {spec.minimize}",
        f"rungs: {', '.join(map(str, spec.rungs))} kimg ({kind}); "
        f"the best 1 in {spec.stopping.reduction} go on",
        f"training: {_training(spec)}",
        f"each trial: {spec.resources.workers} worker(s)",
    ]


def _training(spec: StudySpec) -> str:
    full = spec.total * spec.rungs[-1]
    if spec.total > MOST:
        return f"at most {full:,} kimg in one long run each"
    expected = expected_kimg(spec)
    if expected >= full:
        return (
            f"about {expected:,.0f} kimg; running every trial straight to its end would take "
            f"{full:,}: with so few trials, stopping saves nothing"
        )
    return f"about {expected:,.0f} kimg if ranks were chance; every trial to its end: {full:,}"


def _axes(spec: StudySpec) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("searched")
    table.add_column("over")
    for axis in spec.search:
        table.add_row(axis.path, _over(axis))
    return table


def _over(axis: Axis) -> str:
    when = " and ".join(map(str, axis.when))
    return f"{axis}{', log scale' if axis.log else ''}{f', when {when}' if when else ''}"
