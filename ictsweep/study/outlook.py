"""How a study may go, before anything is trained: its engine run ahead on made-up results.

Two ways of making them up bound what the sampler will do. By chance, a trial's rank at a rung says
nothing: that is random search, and the least training. A sampler that learns suggests better trials
later, which are stopped less often, at most as if each suggestion were as good as the best of all
before it. Studies by TPE were seen between the two: near the second where few parameters matter and
seeds scatter little. Both are run with several seeds, because how many trials reach the end is a
matter of few.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ictsweep.records import Event
from ictsweep.study.engine import Engine
from ictsweep.study.forecast import MOST, NoSampler, Score, chance, run_ahead
from ictsweep.study.spans import Span, quantile
from ictsweep.study.spec import StudySpec

# Seeds of small studies, and of large ones, whose course is less a matter of luck; trials run ahead
# in all.
_MANY, _FEW, _TRIALS = 100, 5, 8_000


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """One way in which the study may go: by trial, the kimg that each of its runs comes to; and the
    kimg on the study's clock at its end.
    """

    runs: Mapping[int, tuple[int, ...]]
    clock_kimg: float

    @property
    def kimg(self) -> int:
        """kimg of training in all."""
        return sum(sum(kimg) for kimg in self.runs.values())


@dataclass(frozen=True, kw_only=True)
class Outlooks:
    """Ways in which a study may go: with ranks by chance, and with a sampler that learns."""

    by_chance: Sequence[Outlook]
    learning: Sequence[Outlook]

    @property
    def seeds(self) -> int:
        """With how many seeds each of the two was run."""
        return len(self.by_chance)

    def span(self, quantity: Callable[[Outlook], float]) -> Span:
        """A quantity of a study's course: midway between the means by chance and of a sampler that
        learns, from the 5 % quantile of the one to the 95 % quantile of the other.
        """
        chance = [quantity(outlook) for outlook in self.by_chance]
        learning = [quantity(outlook) for outlook in self.learning]
        ends = quantile(chance, 0.05), quantile(learning, 0.95)
        likely = (sum(chance) / len(chance) + sum(learning) / len(learning)) / 2
        return Span(min(*ends, likely), likely, max(*ends, likely))


def outlooks(spec: StudySpec, slots: int) -> Outlooks:
    """Ways in which a valid study may go with `slots` trials at once."""
    seeds = max(_FEW, min(_MANY, _TRIALS // spec.total))
    go = _by_the_engine if spec.total <= MOST else _one_by_one
    return Outlooks(
        by_chance=[go(spec, slots, seed, _by_chance) for seed in range(seeds)],
        learning=[go(spec, slots, seed, _learning) for seed in range(seeds)],
    )


def expected_kimg(spec: StudySpec) -> float:
    """kimg of training in the whole study when ranks are a matter of chance: the mean."""
    found = outlooks(spec, slots=1).by_chance
    return sum(outlook.kimg for outlook in found) / len(found)


# From a study and a trial, among how many random ones it is the best.
_Luck = Callable[[StudySpec, int], int]


def _by_chance(spec: StudySpec, trial: int) -> int:
    return 1


def _learning(spec: StudySpec, trial: int) -> int:
    if spec.sampler.name == "random":
        return 1
    return max(1, trial - (spec.sampler.startup_trials + spec.replicates - 1) + 1)


def _by_the_engine(spec: StudySpec, slots: int, seed: int, luck: _Luck) -> Outlook:
    engine = Engine(spec, [{}], NoSampler())
    engine.apply(Event(kind="study", time=0.0, data={"slots": slots}))
    events = run_ahead(engine, _score(spec, seed, luck))
    return Outlook(runs=_runs(events), clock_kimg=engine.clock)


def _score(spec: StudySpec, seed: int, luck: _Luck) -> Score:
    draw = chance(seed)
    # The least of n uniform numbers is distributed as 1 - u^(1/n).
    return lambda trial, rung: 1 - draw(trial, rung) ** (1 / luck(spec, trial))


def _runs(events: Iterable[Event]) -> dict[int, tuple[int, ...]]:
    longest: dict[int, dict[int, int]] = {}
    for event in events:
        if event.kind == "measure" and event.trial is not None:
            run, kimg = event.data["run_kimg"], event.data["kimg"]
            found = longest.setdefault(event.trial, {})
            found[run] = max(found.get(run, 0), kimg)
    return {trial: tuple(found.values()) for trial, found in longest.items()}


def _one_by_one(spec: StudySpec, slots: int, seed: int, luck: _Luck) -> Outlook:
    """The same without the engine's clock, for studies of thousands of trials: each is judged to
    its end before the next begins, and all `slots` are taken to be busy to the study's end.
    """
    score = _score(spec, seed, luck)
    arrived: dict[int, list[float]] = {kimg: [] for kimg in spec.rungs}
    runs: dict[int, tuple[int, ...]] = {}
    for trial in range(spec.total):
        reached = _reached(spec, trial, arrived, score)
        passed = tuple(kimg for kimg in spec.rungs if kimg <= reached)
        runs[trial] = passed if spec.short_run else (reached,)
    launching = spec.total * spec.resources.launch_kimg
    return Outlook(runs=runs, clock_kimg=(sum(map(sum, runs.values())) + launching) / slots)


def _reached(spec: StudySpec, trial: int, arrived: Mapping[int, list[float]], score: Score) -> int:
    """The last rung that a trial is trained to; its values join the sorted ones that `arrived`."""
    for rung in spec.rungs[:-1]:
        if 0 < trial < spec.replicates:
            continue  # neither stopped nor compared
        value, there = score(trial, rung), arrived[rung]
        rank = bisect_right(there, value)
        there.insert(rank, value)
        if trial and rank >= max(1, len(there) // spec.stopping.reduction):
            return rung
    return spec.rungs[-1]
