"""The first screen's small pictures, as places in percent: drawn by HTML and CSS alone, so they are
there before any script is and look right in every mode and on paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ictsweep.report.axisnames import short
from ictsweep.report.figures.agreement import Agreement, trusted
from ictsweep.report.figures.evidence import EvidenceInfo
from ictsweep.report.figures.importance import ImportanceInfo
from ictsweep.report.figures.progress import ProgressInfo
from ictsweep.report.format import number, tick

BARS = 5  # parameters shown


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A thing on a line: from `low` to `high` with its middle `at`, all in percent; what it is."""

    at: float
    low: float
    high: float
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One line of marks with its name."""

    name: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Lines over one common axis, whose ticks are (place in percent, text)."""

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]


def evidence_lanes(info: EvidenceInfo) -> Lanes | None:
    """Searched trials, what luck alone would show, and trial 0 over its seeds."""
    pairs = (*info.baseline, *info.searched)
    if not pairs:
        return None
    ends = [s.value + sign * (s.error or 0.0) for _, s in pairs for sign in (-1, 1)]
    if info.luck is not None:
        ends += [info.luck.low, info.luck.high]
    if info.noise is not None:
        ends += [info.noise.mean - info.noise.sd, info.noise.mean + info.noise.sd]
    scale = _Scale.over(ends)
    lanes = [
        Lane(name="searched", marks=tuple(_points(scale, info.searched, info.best, "searched"))),
        Lane(name="trial 0, by seed", marks=tuple(_points(scale, info.baseline, None, "baseline"))),
    ]
    if info.luck is not None:
        low, high = info.luck.low, info.luck.high
        text = (
            f"luckiest of {info.luck.tried} equal trials: {number(low)} to {number(high)}, 9 times "
            "in 10"
        )
        mark = scale.mark(info.luck.expected, low, high, "luck", text)
        lanes.insert(1, Lane(name="luck alone", marks=(mark,)))
    return Lanes(lanes=tuple(lanes), ticks=scale.ticks())


def _points(scale: "_Scale", pairs: Sequence, best: int | None, kind: str) -> list[Mark]:
    marks = []
    for trial, scored in pairs:
        error = scored.error or 0.0
        which = "best" if trial == best else kind
        text = f"trial {trial}: {number(scored.value)}"
        marks.append(
            scale.mark(scored.value, scored.value - error, scored.value + error, which, text)
        )
    return sorted(marks, key=lambda mark: mark.kind == "best")  # the best on top


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> "_Scale":
        low, high = min(values), max(values)
        air = 0.05 * (high - low) or max(0.5, 1e-6 * abs(high))  # which the largest numbers notice
        return cls(low - air, high + air)

    def at(self, value: float) -> float:
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def mark(self, at: float, low: float, high: float, kind: str, text: str) -> Mark:
        return Mark(at=self.at(at), low=self.at(low), high=self.at(high), kind=kind, text=text)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Three or so round numbers."""
        return tuple((self.at(v), tick(v)) for v in round_numbers(self.low, self.high))


def round_numbers(low: float, high: float, about: int = 4) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high], about so many."""
    rough = (high - low) / about
    power = 10.0 ** _floor_log10(rough)
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough)
    first = int(low // step) + 1
    found = [i * step for i in range(first, first + 3 * about) if i * step < high]
    return [round(value, 12) for value in found]


def _floor_log10(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A parameter's importance in percent, its range, and where chance ends."""

    name: str
    path: str
    share: float
    low: float
    high: float
    chance: float
    stands_out: bool


def importance_bars(info: ImportanceInfo) -> tuple[Bar, ...]:
    """The most important few."""
    return tuple(
        Bar(
            name=short(b.path), path=b.path, share=round(100 * b.share, 1),
            low=round(100 * max(0.0, b.low), 1), high=round(100 * min(1.0, b.high), 1),
            chance=round(100 * min(1.0, b.chance), 1), stands_out=b.stands_out,
        )
        for b in info.bars[:BARS]
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stairs:
    """The best value so far over spending, in a box of 100 x 100 (0, 0 its upper left): the
    staircase as an SVG path, points as (x, y, kind), trial 0's band, and axis texts.
    """

    path: str
    points: tuple[tuple[float, float, str], ...]
    band: tuple[float, float] | None
    ups: tuple[tuple[float, str], ...]
    end: str
    axis: str


def stairs(info: ProgressInfo) -> Stairs | None:
    """Best so far, small."""
    reached = [*((s, "baseline") for s in info.baseline), *((s, "searched") for s in info.searched)]
    if not reached:
        return None
    values = [s.scored.value for s, _ in reached]
    if info.noise is not None:
        values += [info.noise.mean - info.noise.sd, info.noise.mean + info.noise.sd]
    scale = _Scale.over(values)
    end = max(info.end, *(s.spent for s, _ in reached)) or 1.0
    xs = [round(100 * x / end, 2) for x, _ in info.best]
    ys = [round(100 - scale.at(y), 2) for _, y in info.best]
    path = f"M{xs[0]},{ys[0]}" if xs else ""
    path += "".join(f"H{x}V{y}" for x, y in zip(xs[1:], ys[1:], strict=True)) + (
        "H100" if xs else ""
    )
    band = None
    if info.noise is not None:
        band = (
            100 - scale.at(info.noise.mean + info.noise.sd),
            100 - scale.at(info.noise.mean - info.noise.sd),
        )
    return Stairs(
        path=path, band=band, axis=info.spending.axis, end=tick(end),
        points=tuple(
            (round(100 * s.spent / end, 2), round(100 - scale.at(s.scored.value), 2), kind)
            for s, kind in reached[-300:]
        ),
        ups=tuple((100 - at, text) for at, text in scale.ticks()),
    )  # fmt: skip


def trust_lanes(infos: Sequence[Agreement]) -> Lanes | None:
    """Kendall's tau of each rung with the full budget, from -1 (left) to 1."""
    told = [i for i in trusted(tuple(infos)) if i.tau is not None]
    if not told:
        return None
    scale = _Scale(-1.0, 1.0)
    lanes = []
    for info in told:
        assert info.tau is not None
        assert info.low is not None
        assert info.high is not None
        text = f"tau {info.tau:.2f}, {info.low:.2f} to {info.high:.2f}"
        mark = scale.mark(info.tau, info.low, info.high, "tau", text)
        lanes.append(Lane(name=f"{info.early:,} kimg", marks=(mark,)))
    return Lanes(lanes=tuple(lanes), ticks=((0, "−1"), (50, "0"), (100, "1")))
