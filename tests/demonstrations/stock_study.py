"""One driver's session of a study made of stock parts: Ray's Tuner, OptunaSearch and ASHAScheduler,
on scripted curves.

    python -m tests.demonstrations.stock_study FOLDER            begins a study in an empty folder
    python -m tests.demonstrations.stock_study FOLDER --resume   continues it by Tuner.restore

The searcher and the scheduler are Ray's own; the subclasses here only write down, in
FOLDER/decisions.jsonl, what they decided.
"""

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from tests.study.worlds import curve

NAME = "stock"
TRIALS = 12
BUDGET = 8  # reports of a trial that is never stopped; rungs at 1, 2, 4 and 8
REDUCTION = 2
SEED = 3
PACE_S = 0.15  # from report to report
PAUSE_AFTER, PAUSE_S = 3, 2.5  # every trial rests there: time for a snapshot, and for the kill
SPACE = {"a": FloatDistribution(0.0, 1.0), "b": FloatDistribution(1e-3, 1.0, log=True)}


def trainable(config: dict[str, float]) -> None:
    """A trial: one value of its curve per report, with a checkpoint to come back to."""
    begun = tune.get_checkpoint()
    step = int((Path(begun.path) / "step").read_text()) if begun else 0
    while step < BUDGET:
        time.sleep(PAUSE_S if step == PAUSE_AFTER else PACE_S)
        step += 1
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "step").write_text(str(step))
            kept = tune.Checkpoint.from_directory(folder)
            tune.report({"fid": curve(config, 4 * step)}, checkpoint=kept)


def note(folder: str, **fields: Any) -> None:
    """Write one line to the study's decisions.jsonl: in the system's hands when this returns, so
    that a kill loses none of it.
    """
    with (Path(folder) / "decisions.jsonl").open("a") as file:
        file.write(json.dumps(fields) + "\n")


class WatchedSearch(OptunaSearch):
    """Ray's OptunaSearch; writes down its suggestions, and what Optuna was told of each trial."""

    folder: str

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """As OptunaSearch does."""
        params = super().suggest(trial_id)
        note(self.folder, kind="suggest", trial=trial_id, params=params)
        return params

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """As OptunaSearch does."""
        super().on_trial_complete(trial_id, result, error)
        told = {t.number: t for t in self._ot_study.trials}[self._ot_trials[trial_id].number]
        note(
            self.folder, kind="told", trial=trial_id, state=told.state.name, value=told.value,
            steps=sorted(told.intermediate_values),
        )  # fmt: skip


class WatchedASHA(ASHAScheduler):
    """Ray's ASHAScheduler; writes down each verdict and the rung that the value entered."""

    folder: str

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """As ASHAScheduler does."""
        bracket = self._trial_info[trial.trial_id]
        before = {milestone: dict(values) for milestone, values in bracket._rungs}
        action = super().on_trial_result(tune_controller, trial, result)
        entered = [
            m for m, values in bracket._rungs if trial.trial_id in set(values) - set(before[m])
        ]
        rung = entered[0] if entered else None
        others = before[rung] if rung is not None else {}
        cutoff = bracket.cutoff(others)
        note(
            self.folder, kind="result", trial=trial.trial_id, step=result["training_iteration"],
            value=result["fid"], rung=rung, others=len(others),
            cutoff=None if cutoff is None else -float(cutoff), action=action,
        )  # fmt: skip
        return action


def tuner(folder: Path) -> tune.Tuner:
    """The study, new."""
    search = WatchedSearch(
        SPACE, metric="fid", mode="min", sampler=TPESampler(n_startup_trials=4, seed=SEED)
    )
    asha = WatchedASHA(
        metric="fid", mode="min", max_t=BUDGET, grace_period=1, reduction_factor=REDUCTION
    )
    search.folder = asha.folder = str(folder)
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=asha,
            num_samples=TRIALS,
            max_concurrent_trials=1,
            reuse_actors=True,  # a process for all trials, not one each: quicker, decides nothing
        ),
        run_config=tune.RunConfig(name=NAME, storage_path=str(folder), verbose=0),
    )


def main(arguments: list[str] | None = None) -> None:
    """Run or continue the study in a folder to its end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)
    folder = options.folder.absolute()
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    if options.resume:
        study = tune.Tuner.restore(str(folder / NAME), trainable, resume_unfinished=True)
    else:
        study = tuner(folder)
    results = study.fit()
    ids = [trial.trial_id for trial in results._experiment_analysis.trials]
    note(str(folder), kind="trials", ids=ids)
    ray.shutdown()


if __name__ == "__main__":
    main()
