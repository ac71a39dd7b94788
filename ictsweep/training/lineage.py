"""A trial's runs, one after another in the same processes: short runs of growing budget, or one
long run with rungs in it.

Under `short_run` every rung is a complete run on the rung's budget, the whole curriculum compressed
into it, begun anew; under `same_run` a rung is a point of one run. Why both exist: judged in the
middle of its own doubling curriculum, a run says little about its end.
"""

import shutil
from collections.abc import Collection
from dataclasses import replace

from ictsweep.training.job import Job
from ictsweep.training.post_hoc import forget_snapshots
from ictsweep.training.runtime import Runtime
from ictsweep.training.trainer import Trainer


def fit_lineage(
    job: Job,
    runtime: Runtime,
    *,
    rungs: tuple[int, ...],
    short_run: bool,
    recorded: Collection[tuple[int, int]] = (),
) -> bool:
    """Train a trial through its rungs (kimg, the last one the budget); False if the study stopped
    it on the way.

    `recorded` are the (run_kimg, kimg) that the study knows already. A short run whose end is
    recorded is not trained again: only its verdict is awaited.
    """
    for budget, asked_at in runs(rungs, short_run):
        last = budget == rungs[-1]
        if (budget, budget) in recorded and not last:
            go_on = runtime.verdict(budget)
        else:
            known = {kimg for run, kimg in recorded if run == budget}
            config = job.config.with_budget(budget)
            run = replace(job, config=config, rungs=asked_at, recorded=known)
            go_on = Trainer(run, runtime).fit()
        if runtime.rank == 0 and not (last and go_on):
            _forget(job, budget)  # neither a promoted short run nor a stopped run is continued
        if not go_on:
            return False
    return True


def runs(rungs: tuple[int, ...], short_run: bool) -> list[tuple[int, tuple[int, ...]]]:
    """(budget, kimg at which a verdict is awaited) of each run. Nothing is awaited at the full
    budget.
    """
    if short_run:
        return [(budget, (budget,)) for budget in rungs[:-1]] + [(rungs[-1], ())]
    return [(rungs[-1], rungs[:-1])]


def _forget(job: Job, budget: int) -> None:
    for path in (job.folder / "checkpoints").glob(f"{budget:06d}-*"):
        shutil.rmtree(path, ignore_errors=True)
    forget_snapshots(job.folder / "snapshots", budget)
