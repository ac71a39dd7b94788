"""What a study costs beside its training on a real Ray, with fake trainers: nothing is trained, a
trial is one process of Ray Tune that reports made-up measurements. Real: Ray, Tune, the searcher,
the scheduler, the mailbox, the conductor, the log. Left out: Ray Train's group of workers, which
costs each trial 8 to 17 s of start-up whoever conducts the study.

    python -m tests.benchmarks.study_ray compare [--trials 200]      against stock Ray Tune
    python -m tests.benchmarks.study_ray session FOLDER --trials 5000 --reports 20 --minutes 6

`compare` runs the same number of trials with the same reports through stock parts (Tuner,
OptunaSearch with TPE, ASHAScheduler), once as they come and once with this project's settings of
Ray (actors reused, no loggers). `session` begins or continues one study in FOLDER, asks its trials
to leave after so many minutes, and prints what the session cost.
"""

import argparse
import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import optuna
import ray
import ray.tune
import torch
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from ictsweep.answers import Word
from ictsweep.launch.cluster import cluster
from ictsweep.launch.mailbox import open_mailbox
from ictsweep.launch.worker import Assignment
from ictsweep.records import State
from ictsweep.study.spec import StudySpec
from ictsweep.study.store import Log, StudyFolder
from ictsweep.study.tune import MailPost, StudySearcher, Watch, assignments, conduct
from tests.benchmarks import fakes
from tests.benchmarks.measuring import conditions, middle, publish
from tests.benchmarks.study import account_of, memory_mb

SLOTS = 4
SIDES = ("ours", "stock", "reuse")
CPU = torch.device("cpu")


def fake_trainer(config: dict[str, Any]) -> None:
    """A trial of ours: reports, waits until each report is recorded, asks at the rungs whether to
    go on.
    """
    assignment: Assignment = config["assignment"]
    study = fakes.spec(1, assignment.rungs[0])
    phases = dict.fromkeys(("startup_s", "train_s", "evaluate_s", "idle_s"), 0.0)
    for kimg in fakes.points(study)[len(assignment.recorded) :]:
        made = fakes.measurement(study, assignment.config, assignment.seed, kimg)
        if _report(assignment, made) != Word.GO_ON:
            break
        if kimg in assignment.rungs and _verdict(assignment, kimg) != Word.GO_ON:
            break
    _post(assignment.trial, {"leave": {"seconds": 1.0, "gpus": 0.0, "phases": phases}})


def _report(assignment: Assignment, made: dict[str, Any]) -> str:
    answer = assignment.mailbox.report.remote(assignment.trial, made)
    letter: Any = ray.get(assignment.mailbox.next_letter.remote(assignment.trial, 60.0))
    _post(assignment.trial, letter)
    return ray.get(answer)


def _verdict(assignment: Assignment, kimg: int) -> str:
    return ray.get(assignment.mailbox.verdict.remote(assignment.trial, kimg))


def _post(trial: int, letter: Any) -> None:
    ray.tune.report({"trial": trial, "letter": json.dumps(letter)})


def stock_trainer(params: dict[str, Any], reports: int) -> None:
    """A trial of the stock study: the same reports; Tune stops it."""
    for kimg in fakes.points(fakes.spec(1, reports)):
        made = fakes.measurement(fakes.spec(1, reports), params, 0, kimg)
        ray.tune.report({"fd": made["values"]["fd"], "kimg": kimg, "letter": json.dumps(made)})


class Deadline:
    """Asks the session to end after so many seconds, as Ctrl-C does."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def asked(self) -> bool:
        """Whether it is over."""
        return time.monotonic() > self._end

    def listen(self) -> None:
        """There is nobody to listen to."""


def session(folder: Path, trials: int, reports: int, minutes: float) -> dict[str, object]:
    """One session of ours in a folder, new or begun."""
    begun = (folder / "study.yaml").exists()
    study = fakes.spec(trials, reports)
    home = StudyFolder.open(folder) if begun else StudyFolder.create(folder, study)
    account, watch = fakes.Account(), fakes.Stopwatch(study)
    with Log(home) as log, cluster(None):
        asked_before = sum(event.kind == "ask" for event in home.events())
        wall, cpu = time.perf_counter(), time.process_time()
        mailbox = open_mailbox()
        conductor = fakes.opened_in(
            home, fakes.Counting(log, account), MailPost(mailbox), watch, SLOTS
        )
        resumed = time.perf_counter() - wall
        assign = assignments(
            home, dict, cache=folder, micro_batch=None, recompute=False, mailbox=mailbox
        )
        look = Watch(conductor, cast(Any, Deadline(60 * minutes)), lambda: SLOTS, str, str)
        searcher = StudySearcher(conductor, assign)
        conduct(conductor, searcher, look, fake_trainer, folder.absolute() / "ray")
        row = {
            "side": "ours", "wall_s": round(time.perf_counter() - wall, 1),
            "cpu_s": round(time.process_time() - cpu, 1), "opened_in_s": round(resumed, 2),
            "asked_before": asked_before, "asked": conductor.engine.asked,
            "finished": conductor.engine.finished, "memory_mb": memory_mb(),
        }  # fmt: skip
    return row | account_of(account, watch, asked_before)


def stock(folder: Path, trials: int, reports: int, *, tuned: bool) -> dict[str, object]:
    """The same through stock parts; `tuned` with this project's settings of Ray."""
    trainer = partial(stock_trainer, reports=reports)
    with cluster(None) if tuned else _plain_cluster():
        started, cpu = time.perf_counter(), time.process_time()
        tuner = ray.tune.Tuner(
            ray.tune.with_resources(trainer, {"cpu": (os.cpu_count() or 1) / SLOTS}),
            tune_config=ray.tune.TuneConfig(
                search_alg=_stock_search(), scheduler=_stock_asha(fakes.spec(trials, reports)),
                num_samples=trials, max_concurrent_trials=SLOTS, reuse_actors=tuned,
            ),
            run_config=ray.tune.RunConfig(name="stock", storage_path=str(folder), verbose=0),
        )  # fmt: skip
        found = tuner.fit()
        done = [result.metrics for result in found if result.error is None and result.metrics]
        return {
            "side": "stock, reuse" if tuned else "stock",
            "wall_s": round(time.perf_counter() - started, 1),
            "cpu_s": round(time.process_time() - cpu, 1),
            "asked": len(found), "reports": sum(m["training_iteration"] for m in done),
            "finished": len(done) == trials, "memory_mb": memory_mb(),
        }  # fmt: skip


def _stock_search() -> OptunaSearch:
    sampler = optuna.samplers.TPESampler(n_startup_trials=16, seed=3)
    return OptunaSearch(fakes.DISTRIBUTIONS, metric="fd", mode="min", sampler=sampler)


def _stock_asha(study: StudySpec) -> ASHAScheduler:
    first, last = study.rungs
    return ASHAScheduler(
        time_attr="kimg", metric="fd", mode="min", grace_period=first, max_t=last,
        reduction_factor=study.stopping.reduction,
    )  # fmt: skip


@contextlib.contextmanager
def _plain_cluster() -> Iterator[None]:
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def one_side(name: str, folder: Path, trials: int, reports: int) -> dict[str, object]:
    """One study of a side, in a process and a Ray of its own."""
    if name != "ours":
        return stock(folder, trials, reports, tuned=name == "reuse")
    row = session(folder / "fake", trials, reports, minutes=60)
    records = StudyFolder.open(folder / "fake").trials()
    whole = all(record.state in (State.COMPLETE, State.PRUNED) for record in records)
    return row | {"finished": row["finished"] and whole and len(records) == trials}


def compare(trials: int, reports: int, repeats: int) -> list[dict[str, Any]]:
    """Rounds of all sides, one after the other."""
    size = ("--trials", str(trials), "--reports", str(reports))
    return [_in_a_process("side", name, *size) for _ in range(repeats) for name in SIDES]


def complete(rows: list[dict[str, Any]], trials: int) -> list[dict[str, Any]] | None:
    """The rows, or None when one of them did not run all its trials to their ends."""
    whole = all(row["finished"] and row["asked"] == trials for row in rows)
    return rows if whole else None


def _in_a_process(*words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.study_ray", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def summary(rows: list[dict[str, Any]]) -> list[dict[str, object]]:
    """Medians of each side, and how much longer the others take than ours, round by round."""
    sides: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        sides.setdefault(row["side"], []).append(row)
    found = []
    for name, mine in sides.items():
        ratios = [a["wall_s"] / b["wall_s"] for a, b in zip(mine, sides["ours"], strict=True)]
        wall, ends = middle([row["wall_s"] for row in mine], 1)
        found.append(
            {
                "side": name, "wall_s": wall, "wall_quartiles": ends,
                "trials_per_min": round(60 * mine[0]["asked"] / wall),
                "driver_cpu_s": middle([row["cpu_s"] for row in mine], 1)[0],
                "reports": [row["reports"] for row in mine],
                "times_ours": middle(ratios, 2)[0],
            }
        )  # fmt: skip
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 1 if a side did not run all its trials."""
    options = _options(arguments)
    if options.command == "session":
        row = session(options.folder, options.trials, options.reports, options.minutes)
        print(json.dumps(row))
        return 0
    if options.command == "side":
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(one_side(options.name, Path(folder), options.trials, options.reports)))
        return 0
    where = conditions(CPU) | {"ray": ray.__version__, "optuna": optuna.__version__}
    rows = (
        [json.loads(line) for line in options.rounds.read_text().splitlines()]
        if options.rounds
        else compare(options.trials, options.reports, options.repeats)
    )
    rows = complete(rows, options.trials)
    if rows is None:
        print("study_ray: a side did not run all its trials; nothing was measured")
        return 1
    found = summary(rows)
    for row in found:
        print(
            f"study_ray: {row['side']}: {options.trials} trials in {row['wall_s']} s "
            f"({row['trials_per_min']} a minute, {row['times_ours']}x ours), driver "
            f"{row['driver_cpu_s']} s of CPU"
        )
    asked = {name: getattr(options, name) for name in ("trials", "reports", "repeats")}
    publish({"benchmark": "study_ray", "rows": found, **asked, **where}, options.out)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="cost of a study on Ray beside its training")
    parser.add_argument("command", choices=("compare", "session", "side"))
    parser.add_argument("name", nargs="?", default="ours", help="of a side; a session's folder")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--reports", type=int, default=1, help="up to the first rung")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=Path, help="sides measured before, a line of JSON each")
    parser.add_argument("--minutes", type=float, default=6.0, help="a session's length at most")
    parser.add_argument("--out", type=Path, help="also write the comparison's JSON there")
    options = parser.parse_args(arguments)
    options.folder = Path(options.name)
    return options


if __name__ == "__main__":
    from tests.benchmarks.study_ray import main as run  # workers import it under this name

    raise SystemExit(run())
