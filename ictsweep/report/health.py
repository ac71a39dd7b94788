"""Is the study healthy and in budget: what it used, of how much, and what went wrong, in words."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from ictsweep.records import State
from ictsweep.report.format import count, duration, moment, tick
from ictsweep.report.view import StudyView
from ictsweep.report.words import label


@dataclass(frozen=True, kw_only=True)
class Used:
    """So much of a means, in words; `share` of its limit in percent (None without a limit), 100 or
    more where it is used up.
    """

    name: str
    text: str
    share: float | None = None

    @property
    def width(self) -> float:
        """Of the meter, in percent."""
        return min(100.0, self.share or 0.0)


def used(view: StudyView) -> tuple[Used, ...]:
    """What the study took, each of its limit where it has one: GPU-hours (or hours of trials),
    then hours of a driver and money where they are limited. As the driver counts them.
    """
    limits, spent = view.spec.limits, view.spent
    held = spent.gpu_hours or view.held()
    found = [_of("used", held, limits.max_gpu_hours if view.gpus else None, partial(amount, view))]
    if limits.max_hours is not None:
        found.append(_of("driver", spent.hours, limits.max_hours, lambda h: duration(3600 * h)))
    if (cost := spent.cost(limits)) is not None:
        found.append(_of("cost", cost, limits.max_cost, "{:,.2f}".format))
    return tuple(found)


def _of(name: str, value: float, most: float | None, said: Callable[[float], str]) -> Used:
    if most is None:
        return Used(name=name, text=said(value))
    share = round(100 * value / most, 1)
    return Used(name=name, text=f"{_plain(said(value))} of {said(most)}", share=share)


def _plain(text: str) -> str:
    """Without the unit that follows the limit."""
    return text.removesuffix(" GPU-hours")


def amount(view: StudyView, hours: float) -> str:
    """Hours of trials or GPUs in words, small ones in minutes: "12.4 GPU-hours", "20 min of
    trials".
    """
    if hours < 1 and not view.gpus:
        return f"{duration(3600 * hours)} of trials"
    return f"{tick(hours)} {view.cost_unit}"


def failures(view: StudyView) -> str:
    """How many launches failed, by kind, and what became of their trials."""
    kinds = Counter(text.partition(":")[0] for t in view.trials for text in t.failures)
    lacking = sum(t.valueless for t in view.trials)
    dropped = (
        f" {count(lacking, 'evaluation')} gave no finite value: in no figure." if lacking else ""
    )
    if not kinds:
        return f"No launch failed.{dropped}"
    by_kind = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    lost = view.states[State.FAILED]
    retried = sum(len(t.retries) for t in view.trials)
    again = f", {retried} launched again" if retried else ""
    verb = f"{count(lost, 'trial')} lost by it" if lost else "no trial lost by it"
    return f"{count(sum(kinds.values()), 'failure')} ({by_kind}){again}; {verb}.{dropped}"


def facts(view: StudyView) -> Iterator[tuple[str, str]]:
    """Short answers beside the states."""
    rungs = ", ".join(f"{rung:,}" for rung in view.spec.rungs)
    yield "trained", f"{sum(t.kimg for t in view.trials):,} kimg"
    yield "rungs", f"{rungs} kimg, {'each its own run' if view.spec.short_run else 'of one run'}"
    if view.started is not None and view.updated is not None:
        yield "clock", f"{duration(view.updated - view.started)}, to {moment(view.updated)}"
    if len({slots for _, slots in view.room}) > 1:
        yield "room", f"{min(s for _, s in view.room)} to {max(s for _, s in view.room)} at once"
    if view.priors:
        yield "older results", f"{view.priors:,} taken over"
    if view.halts:
        last = view.halts[-1]
        yield "last halt", f"{last.kind}: {last.reason}"


def spent(view: StudyView) -> list[tuple[str, str, float]]:
    """What the machines were held for, by where their trials ended: (label, hours in words, share
    in percent).
    """
    seconds: dict[str, float] = defaultdict(float)
    for trial in view.trials:
        name = label(trial)
        if not trial.searched and trial.state == State.COMPLETE:
            name = "trial 0 and its seeds"
        seconds[name] += trial.held_s
    return phases(view, seconds)


def phases(view: StudyView, seconds: Mapping[str, float]) -> list[tuple[str, str, float]]:
    """Seconds by name, the most first: (name, hours in words, share in percent)."""
    total = sum(seconds.values()) or 1.0
    return [
        (name, amount(view, view.cost(s)), round(100 * s / total, 1))
        for name, s in sorted(seconds.items(), key=lambda item: -item[1])
    ]
