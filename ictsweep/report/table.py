"""The trials as a table: cells for the page, and the same as a pandas frame for CSV and
notebooks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ictsweep.records import State
from ictsweep.report.axisnames import short
from ictsweep.report.format import duration, scored, setting
from ictsweep.report.theme import MARKS
from ictsweep.report.view import StudyView, TrialView
from ictsweep.report.words import label, reach, why


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a cell shows and what it sorts by (None sorts last); `exact` is its number where it
    sorts by something else.
    """

    text: str
    key: float | str | None
    exact: float | None = None


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's head, its full name, and whether its cells are numbers."""

    head: str
    name: str
    numeric: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial."""

    trial: int
    label: str
    best: bool
    note: str
    cells: tuple[Cell, ...]


def columns(view: StudyView) -> list[Column]:
    """Who, in which place, then what came out, then what was tried, then why it ended."""
    others = _others(view)
    return [
        Column(head="trial", name="trial number", numeric=False),
        Column(head="place", name="furthest first, then by value at the last rung", numeric=True),
        Column(head="state", name="state", numeric=False),
        Column(head="final", name=f"{view.metric} at the full budget", numeric=True),
        *(
            Column(
                head=f"final {key}{' ↑' if rises(key) else ''}",
                name=f"{key} at the full budget{', the higher the better' if rises(key) else ''}",
                numeric=True,
            )
            for key in others
        ),
        Column(head="last rung", name=f"{view.metric} at the last rung reached", numeric=True),
        *(Column(head=short(path), name=path, numeric=True) for path in view.paths),
        Column(head="time", name="training and evaluation time", numeric=True),
        Column(head="why it ended", name="why it ended", numeric=False),
    ]


def rises(key: str) -> bool:
    """Whether more of the metric `key` ("recall_2step") is better: all others are distances."""
    return key.partition("_")[0] in ("precision", "recall", "is")


def rows(view: StudyView) -> list[Row]:
    """One row per trial of the log, in halving order."""
    others = _others(view)
    return [
        Row(
            trial=t.number, label=label(t), best=t.number == view.best, note=note(t, view.best),
            cells=tuple(_cells(t, place, others, view.paths)),
        )
        for place, t in enumerate(view.standing(), 1)
    ]  # fmt: skip


def _cells(
    trial: TrialView, place: int, others: list[str], paths: tuple[str, ...]
) -> Iterator[Cell]:
    ranked = trial.comparable and trial.last is not None
    yield Cell(text=str(trial.number), key=trial.number)
    yield Cell(text=str(place) if ranked else "–", key=place if ranked else None)
    yield Cell(text=label(trial), key=label(trial))
    final = trial.final
    yield Cell(text=scored(final), key=final.value if final else None)
    for other in map(trial.others.get, others):
        below = other is not None and other.below  # compared with no other, so not sorted either
        text = f"{scored(other)}, below dimension" if below else scored(other)
        yield Cell(text=text, key=other.value if other and not below else None)
    last = trial.last
    yield Cell(text=reach(trial), key=place if last else None, exact=last.value if last else None)
    for path in paths:
        has = path in trial.params
        value = trial.params.get(path)
        yield Cell(text=setting(value) if has else "—", key=_key(value) if has else None)
    seconds = trial.train_s + trial.evaluate_s
    yield Cell(text=duration(seconds), key=seconds)
    yield Cell(text=why(trial), key=why(trial))


def _key(value: Any) -> float | str:
    """Numbers sort as numbers, everything else as text."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else setting(value)


def note(trial: TrialView, best: int | None) -> str:
    """What is to be said of a trial beside its number."""
    if trial.replicate_of is not None:
        return f"seed of {trial.replicate_of}"
    return "defaults" if trial.number == 0 else "best" if trial.number == best else ""


def _others(view: StudyView) -> list[str]:
    return sorted({key for t in view.trials for key in t.others})


def labels(view: StudyView) -> list[str]:
    """The states there are, in words, in order of life."""
    found = {label(t) for t in view.trials}
    return [name for name in MARKS if name in found]


def states(view: StudyView) -> list[tuple[str, int, str]]:
    """(label, trials, note) by state of the log, in order of life; diverged trials are stopped
    ones and noted there.
    """
    diverged = sum(label(t) == "diverged" for t in view.trials)
    names = {
        State.COMPLETE: "complete",
        State.PRUNED: "stopped",
        State.RUNNING: "running",
        State.FAILED: "failed",
    }
    notes = {State.PRUNED: f"{diverged} diverged" if diverged else ""}
    return [(name, view.states[state], notes.get(state, "")) for state, name in names.items()]


def frame(view: StudyView) -> pd.DataFrame:
    """One row per trial by number: state, budgets, values with errors, parameters by dotted
    path, timings, reason.
    """
    records = [
        {
            "trial": t.number, "state": str(t.state), "seed": t.seed,
            "replicate_of": t.replicate_of,
            "final": t.final.value if t.final else None,
            "final_error": t.final.error if t.final else None,
            **{f"final_{key}": score.value for key, score in t.others.items()},
            "reached_kimg": t.reached, "at_reached": t.last.value if t.last else None,
            "trained_kimg": t.kimg, "train_s": t.train_s, "evaluate_s": t.evaluate_s,
            **t.params, "reason": why(t),
        }
        for t in view.trials
    ]  # fmt: skip
    return pd.DataFrame.from_records(records).convert_dtypes()
