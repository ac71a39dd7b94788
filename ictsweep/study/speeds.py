"""How fast a trial's machines are: assumed of a kind of GPU, said by a person, or measured by an
older study. Pure; each says what it is and how sure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ictsweep.errors import UserError
from ictsweep.problems import did_you_mean
from ictsweep.records import TrialRecord
from ictsweep.study.spans import Span

# Peaks in TFLOP/s, dense: float32, TF32, 16 bit; from the makers' data sheets.
GPUS: Mapping[str, tuple[float, float, float]] = {
    "t4": (8.1, 8.1, 65.0),
    "v100": (15.7, 15.7, 125.0),
    "a10g": (31.5, 35.0, 70.0),
    "l4": (30.3, 60.0, 121.0),
    "l40s": (91.6, 183.0, 362.0),
    "a100": (19.5, 156.0, 312.0),
    "h100": (67.0, 495.0, 989.0),
    "h200": (67.0, 495.0, 989.0),
}

# The share of the peak that a step of this code reaches. That of float32 was measured on CPUs
# (three quarters of their fastest convolution); the others are assumed, and so is what several
# GPUs of one trial lose by waiting for each other.
_SHARE_FP32, _SHARE_OTHER = Span(0.5, 0.65, 0.8), Span(0.2, 0.35, 0.5)
_TOGETHER = Span(0.7, 0.9, 1.0)
_STEP_S = Span(0.005, 0.02, 0.05)  # a step's kernels must be started, however small the network
_LAUNCH_S = Span(8.0, 20.0, 60.0)  # the processes of a trial, until its first step
_SAID = Span(0.9, 1.0, 1.1)  # how well a person's number holds
_UNLIKE = Span(0.8, 2.0, 5.0)  # evaluating is float32 without TF32, slower per operation


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds that one trial's machines take: per operation of training and of evaluation, at least
    per step, and per launch; `idle` is the time they wait per second that they work. `source` says
    where all that is from, and `notes` what to keep in mind.
    """

    source: str
    train_s: Span
    evaluate_s: Span
    step_s: Span = field(default_factory=lambda: Span.exactly(0.0))
    launch_s: Span = _LAUNCH_S
    idle: Span = field(default_factory=lambda: Span.exactly(0.0))
    notes: tuple[str, ...] = ()


def of_gpu(kind: str, precision: str, workers: int) -> Speed:
    """The speed assumed of `workers` GPUs of a kind in a configuration's precision; UserError for
    an unknown kind.
    """
    if kind.lower() not in GPUS:
        known = f"expected one of {', '.join(GPUS)}{did_you_mean(kind, GPUS)}"
        raise UserError(
            f"--gpu {kind}: {known}; or give a measured speed (--images-per-s X) or a study that "
            "ran on such machines (--like STUDY)"
        )
    fp32, tf32, half = (1e12 * peak for peak in GPUS[kind.lower()])
    peak = {"fp32": fp32, "tf32": tf32}.get(precision, half)
    share = _SHARE_FP32 if peak == fp32 else _SHARE_OTHER
    together = _TOGETHER if workers > 1 else Span.exactly(1.0)
    return Speed(
        source=f"assumed: {kind.lower()} at {share.likely:.0%} ({share.low:.0%} to "
        f"{share.high:.0%}) of its peak of {peak / 1e12:g} TFLOP/s in {precision}",
        train_s=_inverse(share * together * (peak * workers)),
        evaluate_s=_inverse(_SHARE_FP32 * together * (fp32 * workers)),
        step_s=_STEP_S,
    )


def of_person(images_per_s: float, step_flop: float, precision: str) -> Speed:
    """The speed of which somebody says that a trial trains so many images per second, its step
    being `step_flop` operations per image.
    """
    train = _inverse(_SAID * (images_per_s * step_flop))
    slower = Span.exactly(1.0) if precision == "fp32" else _UNLIKE
    return Speed(
        source=f"given: a trial trains {images_per_s:g} images/s (taken as within a tenth)",
        train_s=train,
        evaluate_s=train * slower,
    )


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A trial of an older study: what its log says, and its operations per image of training and
    per evaluation.
    """

    record: TrialRecord
    step_flop: float
    evaluation_flop: float


def of_study(name: str, trials: Sequence[Ran], notes: Sequence[str] = ()) -> Speed:
    """The speed that an older study measured: the spread of its runs. UserError if it measured
    nothing.
    """
    train = [seconds for ran in trials for seconds in _training(ran)]
    evaluate = [seconds for ran in trials for seconds in _evaluating(ran)]
    if not train or not evaluate:
        raise UserError(f"--like {name}: no trial of this study was measured yet")
    phases = [leave.phases for ran in trials for leave in ran.record.leaves if leave.phases]
    starts = [p["startup_s"] for p in phases if "startup_s" in p]
    return Speed(
        source=f"measured: {len(train)} runs of {name}",
        train_s=Span.around(train),
        evaluate_s=Span.around(evaluate),
        launch_s=Span.around(starts) if starts else _LAUNCH_S,
        idle=_idle(phases),
        notes=tuple(notes),
    )


def _training(ran: Ran) -> Iterable[float]:
    """Seconds per operation in each run of a trial."""
    ends = {m.run_kimg: m for m in sorted(ran.record.measurements, key=lambda m: m.kimg)}
    return [m.train_s / (1000 * m.kimg * ran.step_flop) for m in ends.values()]


def _evaluating(ran: Ran) -> Iterable[float]:
    return [m.evaluate_s / ran.evaluation_flop for m in ran.record.measurements]


def _idle(phases: Sequence[Mapping[str, float]]) -> Span:
    """Waiting per second of work: none, all trials' together, that of the worst twentieth."""
    work = [p.get("train_s", 0.0) + p.get("evaluate_s", 0.0) for p in phases]
    waits = [p.get("idle_s", 0.0) for p in phases]
    if not sum(work):
        return Span.exactly(0.0)
    together = sum(waits) / sum(work)
    worst = Span.around([wait / w for wait, w in zip(waits, work, strict=True) if w]).high
    return Span(0.0, together, max(together, worst))


def _inverse(rate: Span) -> Span:
    """Seconds per operation of operations per second."""
    return Span(1 / rate.high, 1 / rate.likely, 1 / rate.low)
