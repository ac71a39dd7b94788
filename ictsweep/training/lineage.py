"""A trial's runs, one after another in the same processes: short runs of growing budget, or one
long run with rungs in it.

Under `short_run` every rung is a complete run on the rung's budget, the whole curriculum compressed
into it, begun anew; under `same_run` a rung is a point of one run. Why both exist: judged in the
middle of its own doubling curriculum, a run says little about its end.
"""

import shutil
from collections.abc import Collection
from dataclasses import replace

from ictsweep.answers import Outcome, Word
from ictsweep.training.clock import Phase
from ictsweep.training.job import Job
from ictsweep.training.keeping import CHECKPOINTS
from ictsweep.training.post_hoc import SNAPSHOTS, forget_snapshots
from ictsweep.training.runtime import Runtime
from ictsweep.training.trainer import Trainer

_ENDS = {
    Word.GO_ON: Outcome.FINISHED, Word.STOP: Outcome.STOPPED, Word.LEAVE: Outcome.LEFT
}  # fmt: skip


def fit_lineage(
    job: Job,
    runtime: Runtime,
    *,
    rungs: tuple[int, ...],
    short_run: bool,
    recorded: Collection[tuple[int, int]] = (),
) -> Outcome:
    """Train a trial through its rungs (kimg, the last one the budget), or to where the study ends
    it, or to where it is asked to leave.

    `recorded` are the (run_kimg, kimg) that the study knows already. A short run whose end is
    recorded is not trained again: only its verdict is awaited.
    """
    for budget, asked_at in runs(rungs, short_run):
        last = budget == rungs[-1]
        if (budget, budget) in recorded and not last:
            with job.clock.phase(Phase.IDLE):
                outcome = _ENDS[runtime.verdict(budget)]
        else:
            known = {kimg for run, kimg in recorded if run == budget}
            config = job.config.with_budget(budget)
            run = replace(job, config=config, rungs=asked_at, recorded=known)
            outcome = Trainer(run, runtime).fit()
        if outcome is Outcome.LEFT:
            return outcome
        if runtime.rank == 0 and not (last and outcome is Outcome.FINISHED):
            _forget(job, budget)  # neither a promoted short run nor a stopped run is continued
            runtime.keep(job.folder, CHECKPOINTS, SNAPSHOTS)
        if outcome is Outcome.STOPPED:
            return outcome
    return Outcome.FINISHED


def runs(rungs: tuple[int, ...], short_run: bool) -> list[tuple[int, tuple[int, ...]]]:
    """(budget, kimg at which a verdict is awaited) of each run. Nothing is awaited at the full
    budget.
    """
    if short_run:
        return [(budget, (budget,)) for budget in rungs[:-1]] + [(rungs[-1], ())]
    return [(rungs[-1], rungs[:-1])]


def _forget(job: Job, budget: int) -> None:
    for path in (job.folder / CHECKPOINTS).glob(f"{budget:06d}-*"):
        shutil.rmtree(path, ignore_errors=True)
    forget_snapshots(job.folder / SNAPSHOTS, budget)
