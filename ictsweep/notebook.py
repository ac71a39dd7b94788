"""A study in a notebook: its results as pandas frames (neither torch, ray nor optuna).

>>> study = ictsweep.open_study(".ictsweep/studies/digits")
>>> study.best["final.fd"]
>>> study.trials.plot.scatter("network.dropout", "final.fd")
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ictsweep.records import Event, Ledger, Measurement, State, TrialRecord
from ictsweep.study.retention import podium
from ictsweep.study.spec import Keep, StudySpec
from ictsweep.study.store import StudyFolder

_BAND = ("sigma", "images", "loss")
PHASES = ("startup_s", "train_s", "evaluate_s", "idle_s")


class Study:
    """A study's results as its log has them when they are first asked for. A study that runs is
    opened again to see what is new.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder

    @cached_property
    def spec(self) -> StudySpec:
        """The study as it was run: its search, rungs and metric."""
        return self._folder.spec()

    @cached_property
    def records(self) -> list[TrialRecord]:
        """The trials by number, without the passports of their measurements."""
        return Ledger(map(_without_passports, self._folder.tail().news())).trials()

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial, indexed by `trial`, its number.

        state               running, complete, pruned or failed
        replicate_of        the trial that it repeats with another seed; missing for configurations
        seed                of its training
        asked, ended        times (UTC)
        reason              why it ended
        attempts            how often it was launched
        gpu_s               seconds that it held GPUs, times their number
        startup_s, train_s, evaluate_s, idle_s
                            seconds by phase, over all its launches that said so; missing for none
        A.B                 its value at each searched path, missing where it does not have it
        METRIC@KIMG, METRIC@KIMG.error
                            the study's metric at each rung, and one standard error
        final.METRIC, final.METRIC.error
                            every metric at the full budget, of trials that completed it
        """
        rows = [_trial(self.spec, record) for record in self.records]
        frame = pd.DataFrame(rows, columns=_columns(self.spec, rows))
        kinds = {"trial": "int64", "replicate_of": "Int64", "attempts": "int64"}
        return frame.astype(kinds if rows else {}).set_index("trial")

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row per evaluation.

        trial               its trial's number
        run_kimg, kimg      the length of the run it was taken in, and how far that was: thousands
                            of images
        rung                whether it is the one that counts at a rung
        levels, stage       noise levels, and complete stages of the curriculum, at that point
        loss, grad_norm     of the last step
        grad_cosine         between the gradient in the run's precision and in float32
        train_s, evaluate_s seconds of training in the run so far, and of this evaluation
        samples             its sheet of samples, under the trial's folder
        METRIC, METRIC.error
                            each metric and its standard error
        """
        rows = [
            _measurement(self.spec, record, m)
            for record in self.records
            for m in record.measurements
        ]
        frame = pd.DataFrame(rows)
        return frame.astype({"stage": "Int64"}) if rows else frame

    @cached_property
    def noise_levels(self) -> pd.DataFrame:
        """One row per evaluation and band of noise levels that was trained on since the evaluation
        before (logs of earlier versions have none).

        trial, run_kimg, kimg
                            the evaluation
        sigma               the band's middle; bands are of one width in log sigma
        images, loss        the images trained on there, and their mean loss
        """
        rows = [
            (record.number, m.run_kimg, m.kimg, *band)
            for record in self.records
            for m in record.measurements
            for band in zip(*(m.spectrum.get(key, ()) for key in _BAND), strict=True)
        ]
        return pd.DataFrame(rows, columns=["trial", "run_kimg", "kimg", *_BAND])

    @cached_property
    def best(self) -> pd.Series | None:
        """The row in `trials` of the configuration with the least value at the full budget (its
        number is the row's name); None while no trial has reached it.
        """
        places = podium(Keep(best=1), self.records).places
        if not places or places[0][0] != places[0][0]:
            return None
        return self.trials.loc[places[0][1]]

    def __repr__(self) -> str:
        return f"Study({self._folder.place!r}: {len(self.records)} trials)"


def open_study(place: str | Path) -> Study:
    """The study at a path or URL; StudyError if there is none."""
    return Study(StudyFolder.open(place))


def _without_passports(event: Event) -> Event:
    """A measurement's passports are most of a log, and all alike."""
    if event.kind != "measure":
        return event
    return replace(event, data={**event.data, "passports": {}})


def _trial(spec: StudySpec, record: TrialRecord) -> dict[str, Any]:
    last = record.at_rung(spec.rungs[-1], short_run=spec.short_run)
    final = last if last is not None and record.state == State.COMPLETE else None
    return {
        "trial": record.number,
        "state": str(record.state),
        "replicate_of": record.replicate_of,
        "seed": record.seed,
        "asked": _moment(record.asked),
        "ended": _moment(record.ended),
        "reason": record.reason,
        "attempts": len(record.launches),
        "gpu_s": sum(leave.seconds * leave.gpus for leave in record.leaves),
        **_phases(record),
        **{axis.path: record.params.get(axis.path) for axis in spec.search},
        **dict(_at_rungs(spec, record)),
        **(_scores(final, "final.") if final is not None else {}),
    }


def _columns(spec: StudySpec, rows: list[dict[str, Any]]) -> list[str]:
    """All columns, those of the metrics last."""
    first = list(_trial(spec, _NOBODY))
    return list(dict.fromkeys([*first, *(key for row in rows for key in row)]))


_NOBODY = TrialRecord(
    number=0, params={}, seed=0, replicate_of=None, state=State.RUNNING, asked=0.0
)


def _moment(seconds: float | None) -> Any:
    """A time of the log (UTC)."""
    return None if seconds is None else pd.Timestamp(seconds, unit="s", tz="UTC")


def _phases(record: TrialRecord) -> dict[str, float | None]:
    said = [leave.phases for leave in record.leaves if leave.phases]
    return {
        phase: sum(phases.get(phase, 0.0) for phases in said) if said else None for phase in PHASES
    }


def _at_rungs(spec: StudySpec, record: TrialRecord) -> Iterator[tuple[str, float | None]]:
    for rung in spec.rungs:
        found = record.at_rung(rung, short_run=spec.short_run)
        name = f"{spec.minimize}@{rung}"
        yield name, None if found is None else found.values[spec.minimize]
        yield f"{name}.error", None if found is None else found.errors.get(spec.minimize)


def _measurement(spec: StudySpec, record: TrialRecord, m: Measurement) -> dict[str, Any]:
    counts = m.kimg in spec.rungs and record.at_rung(m.kimg, short_run=spec.short_run) is m
    plain = ("levels", "stage", "loss", "grad_norm", "grad_cosine", *PHASES[1:3], "samples")
    return {
        "trial": record.number,
        "run_kimg": m.run_kimg,
        "kimg": m.kimg,
        "rung": counts,
        **{name: getattr(m, name) for name in plain},
        **_scores(m),
    }


def _scores(m: Measurement, prefix: str = "") -> Mapping[str, float | None]:
    found: dict[str, float | None] = {}
    for key, value in m.values.items():
        found[f"{prefix}{key}"] = value
        found[f"{prefix}{key}.error"] = m.errors.get(key)
    return found
