"""What the sampler knows: an in-memory Optuna study, rebuilt from the event log whenever needed.

Optuna is told the truth of multi-fidelity trials: step = the rung's kimg, stopped = PRUNED with its
last rung value, diverged = PRUNED without one (never a NaN), failed = FAIL. Each suggestion comes
from a fresh sampler seeded by (study seed, trial number): it is a function of the history alone, so
a resumed study neither repeats nor skips suggestions. A trial is asked for the axes that it has, in
their order; TPE draws those that all trials have jointly, the others each from the trials that had
it.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from ictsweep.records import State
from ictsweep.seeds import derive_seed
from ictsweep.study.axes import Axis
from ictsweep.study.conditions import taken
from ictsweep.study.spec import Sampler, StudySpec

_STATES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


class Memory:
    """Optuna's study behind three verbs in a trial's order of life: suggest/begin, observe,
    finish.
    """

    def __init__(self, spec: StudySpec, distributions: Mapping[str, BaseDistribution]) -> None:
        """`distributions` are those of the spec's axes, by path."""
        logging.getLogger("optuna").setLevel(logging.WARNING)
        self._axes = spec.search
        self._distributions = dict(distributions)
        self._sampler = spec.sampler
        self._seed = spec.seed
        self._study = optuna.create_study(direction="minimize", sampler=RandomSampler(seed=0))
        self._ids: dict[int, int] = {}
        self._suggested: tuple[int, dict[str, Any]] | None = None

    def suggest(self, number: int) -> dict[str, Any]:
        """Parameters for trial `number`; the same whenever it is asked again before `begin`."""
        if self._suggested is None or self._suggested[0] != number:
            self._study.sampler = _sampler(
                self._sampler, derive_seed(self._seed, "sampler", number)
            )
            trial = self._study.ask()
            taken(self._axes, lambda axis: _suggest(trial, axis, self._distributions[axis.path]))
            self._ids[number] = trial._trial_id
            self._suggested = (number, dict(trial.params))
        return dict(self._suggested[1])

    def recall(self, prior: Mapping[str, Any]) -> None:
        """A trial of an older study (the data of a `prior` fact): it has no number here."""
        params, state = dict(prior["params"]), State(prior["state"])
        scores = {int(kimg): value for kimg, value in prior["values"].items()}
        self._study.add_trial(
            create_trial(
                state=_STATES[state],
                value=scores[max(scores)] if state == State.COMPLETE else None,
                params=params,
                distributions={path: self._distributions[path] for path in params},
                intermediate_values=scores,
            )
        )

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        """Trial `number` runs with `params` (suggested here, given by the user, or read from the
        log).
        """
        if number in self._ids:
            assert self._suggested == (number, dict(params)), "the log disagrees with the sampler"
            return
        running = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions={path: self._distributions[path] for path in params},
        )
        running.datetime_start = datetime.now()
        self._ids[number] = self._study._storage.create_new_trial(self._study._study_id, running)

    def reopen(self, number: int) -> None:
        """Trial `number`, which had failed, runs again. Optuna never reopens a trial: another one
        takes its place, with the values it had.
        """
        failed = next(t for t in self._study.get_trials() if t._trial_id == self._ids[number])
        running = create_trial(
            state=TrialState.RUNNING,
            params=failed.params,
            distributions=failed.distributions,
            intermediate_values=failed.intermediate_values,
        )
        running.datetime_start = datetime.now()
        self._ids[number] = self._study._storage.create_new_trial(self._study._study_id, running)

    def observe(self, number: int, rung_kimg: int, value: float) -> None:
        """Trial `number` scored `value` at a rung."""
        self._trial(number).report(value, rung_kimg)

    def finish(self, number: int, state: State, value: float | None) -> None:
        """Trial `number` ended; `value` only for COMPLETE."""
        self._study.tell(self._trial(number), value, state=_STATES[state], skip_if_finished=False)

    def trials(self) -> dict[int, FrozenTrial]:
        """Optuna's own records by our trial number (for tests and reports of agreement)."""
        by_id = {t._trial_id: t for t in self._study.get_trials(deepcopy=True)}
        return {number: by_id[trial_id] for number, trial_id in self._ids.items()}

    def _trial(self, number: int) -> optuna.Trial:
        return optuna.Trial(self._study, self._ids[number])


def _suggest(trial: optuna.Trial, axis: Axis, among: BaseDistribution) -> Any:
    path = axis.path
    if isinstance(among, CategoricalDistribution):
        return trial.suggest_categorical(path, among.choices)
    if isinstance(among, IntDistribution):
        return trial.suggest_int(path, among.low, among.high, step=among.step, log=among.log)
    assert isinstance(among, FloatDistribution)
    return trial.suggest_float(path, among.low, among.high, step=among.step, log=among.log)


def _sampler(sampler: Sampler, seed: int) -> BaseSampler:
    seed = seed % 2**32  # numpy's limit
    if sampler.name == "random":
        return RandomSampler(seed=seed)
    return TPESampler(n_startup_trials=sampler.startup_trials, seed=seed)
