"""What the page's scripts know of a study, as plain JSON: each number once, the many ones as bytes.

A column of numbers is {"t": dtype, "b": base64 of little-endian bytes}; the scripts read it as a
typed array. Nothing here is markup, and the page escapes the whole of it.
"""

import base64
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ictsweep.report import table, words
from ictsweep.report.figures.timeline import TOLD
from ictsweep.report.format import count, duration, setting
from ictsweep.report.health import amount
from ictsweep.report.reproduce import written
from ictsweep.report.samples import Picture
from ictsweep.report.strips import Strip
from ictsweep.report.view import Point, Stint, StudyView, TrialView
from ictsweep.study.spec import Axis


def study_data(
    view: StudyView,
    pictures: Iterable[tuple[int, Picture]],
    strips: Iterable[Strip],
    lengths: Sequence[int],
) -> dict[str, Any]:
    """Everything the page shows by script. Trials are in halving order, so places are ranks."""
    trials = view.standing()
    return {
        "study": view.spec.study,
        "metric": view.metric,
        "rungs": list(view.spec.rungs),
        "lengths": list(lengths),
        "best": view.best,
        "choices": {a.path: _choices(a) for a in view.spec.search if a.choices is not None},
        "paths": list(view.paths),
        "table": _table(view, trials),
        "trials": [_trial(view, t) for t in trials],
        "points": _points(trials),
        "spectra": _spectra(trials),
        "pictures": {number: _picture(p) for number, p in pictures},
        "strips": {s.trial: {**_picture(s.picture), "rows": list(s.rows)} for s in strips},
    }


def typed(values: Iterable[Any], dtype: str) -> dict[str, str]:
    """Numbers as bytes: dtype is numpy's ("i4", "f8")."""
    array = np.asarray(list(values), dtype=f"<{dtype}")
    return {"t": dtype, "b": base64.b64encode(array.tobytes()).decode()}


def _choices(axis: Axis) -> dict[str, str]:
    """Each choice as a cell shows it -> as YAML has it, for commands to be copied."""
    return {setting(choice): written(choice) for choice in axis.choices or ()}


def _table(view: StudyView, trials: Sequence[TrialView]) -> dict[str, Any]:
    """Columns with their cells: what is shown, and what it sorts by where that is another."""
    rows = table.rows(view)
    columns = []
    for i, column in enumerate(table.columns(view)):
        cells = [row.cells[i] for row in rows]
        columns.append(
            {
                "head": column.head,
                "name": column.name,
                "numeric": column.numeric,
                "texts": [cell.text for cell in cells],
                "keys": _keys([cell.key for cell in cells]),
                **_exact([cell.exact for cell in cells]),
            }
        )
    return {"columns": columns, "numbers": [t.number for t in trials]}


def _keys(keys: Sequence[float | str | None]) -> Any:
    """Numbers as typed, NaN for nothing; None where texts sort by themselves."""
    if any(isinstance(key, str) for key in keys):
        return None
    return typed((math.nan if key is None else key for key in keys), "f8")


def _exact(values: Sequence[float | None]) -> dict[str, Any]:
    """The numbers for CSV, of a column that sorts by something else."""
    if all(value is None for value in values):
        return {}
    return {"exact": typed((_number(value) for value in values), "f8")}


def _trial(view: StudyView, trial: TrialView) -> dict[str, Any]:
    """One trial's words; what is empty is left out."""
    facts: dict[str, Any] = {
        "n": trial.number,
        "label": words.label(trial),
        "note": table.note(trial, view.best),
        "seed": str(trial.seed),  # JavaScript's numbers are too short for it
        "of": trial.replicate_of,
        "searched": trial.searched,
        "comparable": trial.comparable,
        "cards": [words.decision(card) for card in trial.cards],
        "failures": list(trial.failures),
        "retries": list(trial.retries),
        "stints": [_stint(s, view.started or 0.0) for s in trial.stints],
        "times": [
            ["trained", f"{trial.kimg:,} kimg in {duration(trial.train_s)}"],
            ["evaluated", duration(trial.evaluate_s)],
            *_held(view, trial),
        ],
        "kimg": trial.sample_kimg,
        "pictured": trial.sample is not None,
        "valueless": trial.valueless or None,
    }
    return {key: value for key, value in facts.items() if not _empty(value)}


def _held(view: StudyView, trial: TrialView) -> Iterator[list[str]]:
    """What its launches held in all."""
    if trial.stints:
        held = amount(view, view.cost(trial.held_s))
        yield ["held", f"{held} in {count(len(trial.stints), 'launch', 'launches')}"]


def _empty(value: Any) -> bool:
    """Whether there is nothing to say; 0 is something."""
    return value is None or value is False or value in ("", [])


def _stint(stint: Stint, start: float) -> list[str]:
    """A launch in a few texts: when, how long, what its time went to, how it ended."""
    phases = ", ".join(
        f"{TOLD.get(key, key)} {duration(seconds)}" for key, seconds in stint.phases.items()
    )
    halved = f", micro-batch halved {stint.halvings} times" if stint.halvings else ""
    ending = {"": "left", "running": "running or not told"}.get(stint.ending, stint.ending)
    return [
        f"{duration(stint.start - start)} into the study{halved}",
        duration(stint.seconds),
        phases,
        ending,
    ]


def _points(trials: Sequence[TrialView]) -> dict[str, Any]:
    """All evaluations in one row of columns; `runs` says whose they are: (place of the trial,
    length of the run, first point, one past the last), four numbers each.
    """
    runs, points = [], []
    for place, trial in enumerate(trials):
        for run in trial.runs:
            runs.append((place, run.run_kimg, len(points), len(points) + len(run.points)))
            points.extend(run.points)
    stages = any(p.stage is not None for p in points)
    return {
        "runs": typed((n for run in runs for n in run), "i4"),
        "kimg": typed((p.kimg for p in points), "i4"),
        "value": typed((p.scored.value for p in points), "f8"),
        "error": typed((_number(p.scored.error) for p in points), "f4"),
        "levels": typed((p.levels for p in points), "i4"),
        "loss": typed((p.loss for p in points), "f4"),
        "grad": typed((p.grad_norm for p in points), "f4"),
        **({"stage": typed((_stage(p) for p in points), "i4")} if stages else {}),
    }


def _spectra(trials: Sequence[TrialView]) -> dict[str, Any]:
    """The bands of noise levels at the end of every run that recorded them, in one row of columns;
    `runs` as in `_points`.
    """
    runs: list[tuple[int, ...]] = []
    columns: dict[str, list[float]] = {"sigma": [], "images": [], "loss": []}
    for place, trial in enumerate(trials):
        for run in trial.runs:
            if run.spectrum:
                first = len(columns["sigma"])
                for key, column in columns.items():
                    column.extend(run.spectrum[key])
                runs.append((place, run.run_kimg, first, len(columns["sigma"])))
    return {
        "runs": typed((n for run in runs for n in run), "i4"),
        **{key: typed(column, "f4") for key, column in columns.items()},
    }


def _stage(point: Point) -> int:
    return -1 if point.stage is None else point.stage


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _picture(picture: Picture) -> dict[str, Any]:
    return {
        "uri": picture.uri, "w": picture.width, "h": picture.height, "px": picture.magnified
    }  # fmt: skip
