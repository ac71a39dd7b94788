"""How far long work has come: a bar with the time left on a terminal, a line now and then elsewhere
(a log is for grep).
"""

import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TextIO

from ictsweep.progress import Progress

_SPARSE_S = 30.0


def follow(progress: Iterator[Progress], title: str, file: TextIO | None = None) -> None:
    """Do the work that `progress` iterates over and show it on `file` (standard error, so that
    results can be piped). Ctrl-C says that the work goes on another time.
    """
    out: TextIO = sys.stderr if file is None else file
    show = _bar if out.isatty() else _lines
    try:
        show(progress, title, out)
    except KeyboardInterrupt:
        print(f"{title}: interrupted; the same command goes on from here", file=out, flush=True)
        raise
    finally:  # locks are given back now, whoever keeps the iterator
        close = getattr(progress, "close", None)
        if close is not None:
            close()


def _bar(progress: Iterator[Progress], title: str, file: TextIO) -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    words = TextColumn("{task.description}")
    unit = TextColumn("{task.fields[unit]}")
    left = TimeRemainingColumn(compact=True)
    columns = (words, BarColumn(), MofNCompleteColumn(), unit, TimeElapsedColumn(), left)
    with Bar(*columns, console=Console(file=file), speed_estimate_period=120.0) as bar:
        task = bar.add_task(title, total=None, unit="")
        for step in progress:
            if bar.tasks[0].total is None and step.total:  # what was ready before is not speed
                bar.reset(task, total=step.total, completed=step.done)
            bar.update(task, completed=step.done, total=step.total or None, unit=step.unit)


def _lines(progress: Iterator[Progress], title: str, file: TextIO) -> None:
    """At the first step, the last, and at most every half minute."""
    pace, said, last = Pace(), None, None
    for step in progress:
        now = time.monotonic()
        pace.see(step.done, now)
        if said is None or now - said >= _SPARSE_S:
            print(line(title, step, pace.left(step)), file=file, flush=True)
            said, last = now, None
        else:
            last = step
    if last is not None:
        print(line(title, last, pace.left(last)), file=file, flush=True)


class Pace:
    """The time left, from what was done since the first step that was seen: what was ready before
    took no time now.
    """

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self._last = (0, 0.0)

    def see(self, done: int, now: float) -> None:
        """`done` things were ready at `now` seconds on any clock."""
        self._first = self._first or (done, now)
        self._last = (done, now)

    def left(self, step: Progress) -> float | None:
        """Seconds that the rest will take; None where nothing tells."""
        if self._first is None or not step.total:
            return None
        done, seconds = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return (step.total - step.done) * seconds / done if done > 0 and seconds > 0 else None


def line(title: str, step: Progress, left_s: float | None) -> str:
    """A step in words: "evaluate: 4,096 of 50,000 images (8 %), about 0:12:00 left"."""
    if not step.total:
        return f"{title}: {step.done:,} {step.unit}"
    share = f"{step.done / step.total:.0%}".replace("%", " %")
    text = f"{title}: {step.done:,} of {step.total:,} {step.unit} ({share})"
    if left_s is None or step.done >= step.total:
        return text
    return f"{text}, about {timedelta(seconds=round(left_s))} left"
