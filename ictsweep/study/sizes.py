"""What a study writes to the disk, in bytes.

Checkpoints are counted as they exist at once: those of running trials, two each and one that is
being written; of finished trials the best `keep.best` and trial 0 keep one. Everything else stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ictsweep.study.spans import Span
from ictsweep.study.work import Work

_RUNNING = Span(1.0, 2.0, 3.0)  # checkpoints of a running trial: until its first evaluation, none
# Compressed sheets of samples, per byte of pictures; small pictures are enlarged on them.
_SHEET, _SHEET_SMALL = Span(0.3, 0.9, 1.2), Span(0.5, 1.2, 2.3)
_ENLARGED = 32
# Lines of the log: one measured number with its passport; the rest of a measurement; a trial's
# other lines (its parameters, launch, verdict, leave) per rung.
_NUMBER, _MEASUREMENT, _REST = Span(350, 450, 700), Span(250, 350, 500), Span(150, 400, 1000)
_TRIAL_FILES = Span(1_000, 2_500, 6_000)  # its configuration
_RAY_SESSION, _RAY_TRIAL = Span(1e3, 10e3, 1e6), Span(5e3, 30e3, 100e3)  # Ray's own files


@dataclass(frozen=True, kw_only=True)
class Evaluations:
    """What the evaluations of a study leave: how many there are, the numbers that each measures,
    the pictures on its sheet and the shape (c, h, w) of one.
    """

    count: Span
    numbers: int
    pictures: int
    image_shape: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of a study's folder by kind: `peak` while it runs, `kept` at its end; and `shared`, the
    features of the data that the studies of one storage share.
    """

    peak: Mapping[str, Span]
    kept: Mapping[str, Span]
    shared: Span


def sizes(
    works: Sequence[Work],
    *,
    trials: int,
    rungs: int,
    slots: int,
    kept_trials: Span,
    evaluations: Evaluations,
    shared: Span,
) -> Sizes:
    """The bytes of a study of `trials` trials like `works`, `slots` at once, `kept_trials` of which
    keep their last checkpoint.
    """
    checkpoint = _spread([work.checkpoint_bytes for work in works])
    snapshots = _spread([work.snapshot_bytes for work in works])
    kept = checkpoint * kept_trials + snapshots * kept_trials
    running = checkpoint * _RUNNING * slots + snapshots * slots
    rest = {
        "samples": _sheets(evaluations),
        "log": _log(evaluations, trials, rungs),
        "Ray's files": _RAY_SESSION + _RAY_TRIAL * trials,
    }
    return Sizes(
        peak={"checkpoints": kept + running, **rest},
        kept={"checkpoints": kept, **rest},
        shared=shared,
    )


def total(parts: Mapping[str, Span]) -> Span:
    """All kinds together."""
    found = Span.exactly(0.0)
    for part in parts.values():
        found += part
    return found


def reference_bytes(metrics: Sequence[str], images: int, dims: int | None) -> Span:
    """The features of the data that metrics need, in the storage's cache: mean and covariance in
    float64, and one by one (float32) those of `images` pictures. Where only the opened file tells
    how many features there are, from 64 to 4,096 are thought possible.
    """
    widths = Span(64, 1024, 4096) if dims is None else Span.exactly(dims)
    single = bool({"kid", "kd", "precision", "recall"} & set(metrics))
    return widths * widths * 8.0 + widths * (4.0 * images * single)


def _spread(values: Sequence[int]) -> Span:
    return Span(min(values), sum(values) / len(values), max(values))


def _sheets(evaluations: Evaluations) -> Span:
    c, h, w = evaluations.image_shape
    factor = _SHEET if h >= _ENLARGED else _SHEET_SMALL
    return evaluations.count * factor * (evaluations.pictures * c * h * w)


def _log(evaluations: Evaluations, trials: int, rungs: int) -> Span:
    lines = evaluations.count * (_NUMBER * evaluations.numbers + _MEASUREMENT)
    return lines + (_REST * rungs + _TRIAL_FILES) * trials
