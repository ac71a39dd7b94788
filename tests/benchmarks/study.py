"""What a study costs beside its training, in this process alone: no Ray (see `study_ray`), the real
conductor, engine, log and sampler, and fake trainers, which only report made-up measurements.

    python -m tests.benchmarks.study [--trials 5000 --reports 20 --out FILE]

decide   decisions a second of the engine's simulated study
suggest  a suggestion after n trials, against plain Optuna with the same sampler, seed and history
conduct  a whole study: CPU a report for the first and last hundred trials, memory, the log's size
resume   what it takes to go on from its finished log

Correctness first: a study cut at random events must decide the same, and both sides must suggest
the same, or there is no number.
"""

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import torch

from ictsweep.records import Event, State
from ictsweep.seeds import derive_seed
from ictsweep.study.engine import Sampler
from ictsweep.study.forecast import NoSampler, chance, run_ahead
from ictsweep.study.memory import Memory
from ictsweep.study.store import Log, StudyFolder
from tests.benchmarks import fakes
from tests.benchmarks.measuring import conditions, middle, publish

CPU = torch.device("cpu")
GOALS = {"decisions_per_s": 10_000, "suggest_ms": 100, "memory_mb": 2048, "resume_s": 10}
HUNDRED = 100


def decided(events: Sequence[Event]) -> list[Event]:
    """The decisions of a log."""
    return [event for event in events if event.kind in ("ask", "verdict")]


def simulate(trials: int, sampler: Sampler, log: Sequence[Event] = ()) -> list[Event]:
    """A simulated study of eight slots, from a log to its end."""
    engine = fakes.mind(fakes.spec(trials, 4), sampler)
    begun = list(log) or [fakes.opened(8)]
    engine.replay(begun)
    return [*begun, *run_ahead(engine, by_trial)]


def by_trial(trial: int, rung: int) -> float:
    """A score that does not depend on who asked for one before."""
    return random.Random(trial * 1000 + rung).random()


def cut_anywhere(trials: int = 64, cuts: int = 20) -> bool:
    """Whether a study that was cut and resumed decides as the whole one, with the real sampler."""
    study, dice = fakes.spec(trials, 4), random.Random(0)

    def sampler() -> Memory:
        return Memory(study, fakes.DISTRIBUTIONS)

    whole = decided(simulate(trials, sampler()))
    events = simulate(trials, sampler())
    return all(
        decided(simulate(trials, sampler(), events[: dice.randrange(1, len(events))])) == whole
        for _ in range(cuts)
    )


def decide(trials: int, name: str, repeats: int) -> dict[str, object]:
    """Decisions a second of CPU."""
    rates = []
    for _ in range(repeats):
        study = fakes.spec(trials, 4, "random" if name == "none" else name)
        sampler = NoSampler() if name == "none" else Memory(study, fakes.DISTRIBUTIONS)
        engine = fakes.mind(study, sampler)
        engine.apply(fakes.opened(8))
        start = time.process_time()
        events = run_ahead(engine, chance(0))
        rates.append(len(decided(events)) / (time.process_time() - start))
    rate, ends = middle(rates, 0)
    return {"part": "decide", "trials": trials, "sampler": name, "per_s": rate, "quartiles": ends}


def histories(trials: int) -> list[tuple[dict[str, float], dict[int, float], State]]:
    """What became of so many trials: parameters, values by rung, last state."""
    dice = random.Random(1)
    made = []
    for _ in range(trials):
        params = {name: dice.random() for name in fakes.AXES}
        rungs = [20] if dice.random() < 0.75 else [20, 80]
        values = {rung: sum(params.values()) + dice.gauss(0, 0.2) for rung in rungs}
        made.append((params, values, State.COMPLETE if len(rungs) == 2 else State.PRUNED))
    return made


def ours(trials: int) -> Memory:
    """The sampler's memory of those trials."""
    memory = Memory(fakes.spec(2 * trials, 20), fakes.DISTRIBUTIONS)
    for number, (params, values, state) in enumerate(histories(trials)):
        memory.begin(number, params)
        for rung, value in values.items():
            memory.observe(number, rung, value)
        memory.finish(number, state, values[80] if state == State.COMPLETE else None)
    return memory


def plain(trials: int) -> optuna.Study:
    """The same in Optuna alone."""
    study = optuna.create_study(direction="minimize")
    for params, values, state in histories(trials):
        complete = state == State.COMPLETE
        study.add_trial(
            optuna.create_trial(
                params=params, distributions=fakes.DISTRIBUTIONS, intermediate_values=values,
                state=optuna.trial.TrialState[state.name], value=values[80] if complete else None,
            )
        )  # fmt: skip
    return study


def suggest(trials: int, repeats: int) -> dict[str, object] | None:
    """Milliseconds of CPU of one suggestion, in turns; None if the two do not agree."""
    memory, study = ours(trials), plain(trials)
    times: dict[str, list[float]] = {"ours": [], "optuna": []}
    for number in range(trials, trials + repeats):
        start = time.process_time()
        suggested = memory.suggest(number)
        times["ours"].append(1e3 * (time.process_time() - start))
        memory.begin(number, suggested)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=16, seed=derive_seed(3, "sampler", number) % 2**32
        )
        start = time.process_time()
        asked = study.ask(fakes.DISTRIBUTIONS)
        times["optuna"].append(1e3 * (time.process_time() - start))
        if asked.params != suggested:
            return None
    mine, ends = middle(times["ours"], 2)
    theirs, _ = middle(times["optuna"], 2)
    row = {"ours_ms": mine, "quartiles": ends, "optuna_ms": theirs}
    return {"part": "suggest", "trials": trials, **row, "ratio": round(mine / theirs, 2)}


def conduct(folder: Path, trials: int, reports: int) -> list[dict[str, object]]:
    """A whole study through the real conductor and log, then its resumption."""
    study = fakes.spec(trials, reports)
    home = StudyFolder.create(folder, study)
    before, account = memory_mb(), fakes.Account()
    watch, room = fakes.Stopwatch(study), fakes.Room()
    with Log(home) as log:
        conductor = fakes.opened_in(home, fakes.Counting(log, account), room, watch, 8)
        fakes.run_alone(conductor, study, room)
    size = (folder / "events.jsonl").stat().st_size
    row = {"part": "conduct", "trials": trials, **account_of(account, watch)}
    row |= {"log_mb": round(size / 1e6, 1), "memory_before_mb": before, "memory_mb": memory_mb()}
    return [row, resume(home)]


def account_of(account: fakes.Account, watch: fakes.Stopwatch, begin: int = 0) -> dict[str, object]:
    """CPU per report, suggestions apart, of the first and of the last hundred trials of a session
    that asked from number `begin` on. The first moments of a session are not counted.
    """
    last = len(account.cpu) - 1
    hundred = min(HUNDRED, last // 2)
    if hundred == 0:
        return {"reports": account.taken}

    def between(first: int, end: int) -> dict[str, float]:
        asked = [watch.seconds.get(begin + n, 0.0) for n in range(first + 1, end + 1)]
        cpu = account.cpu[end] - account.cpu[first] - sum(asked)
        reports = account.reports[end] - account.reports[first]
        return {
            "report_ms": round(1e3 * cpu / max(1, reports), 3),
            "suggest_ms": round(1e3 * sum(asked) / len(asked), 1),
        }

    return {
        "reports": account.taken,
        "first_hundred": between(0, hundred),
        "last_hundred": between(last - hundred, last),
    }


def resume(home: StudyFolder) -> dict[str, object]:
    """Seconds from a study's folder to a conductor that could go on, as a session opens it."""
    start = time.process_time()
    events = len(home.events())
    read = time.process_time() - start
    cpu, wall = time.process_time(), time.perf_counter()
    sampler = Memory(home.spec(), fakes.DISTRIBUTIONS)
    conductor = fakes.opened_in(home, _OneLine(), fakes.Room(), sampler, 8)
    assert conductor.finished
    return {
        "part": "resume", "events": events, "read_s": round(read, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "wall_s": round(time.perf_counter() - wall, 2), "memory_mb": memory_mb(),
    }  # fmt: skip


class _OneLine:
    """A log that takes a session's opening and nothing else."""

    def append(self, events: Sequence[Event]) -> None:
        """A finished study decides nothing."""
        assert [event.kind for event in events] == ["study"]


def memory_mb() -> int:
    """The most that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    match row["part"]:
        case "decide":
            return (
                f"{row['per_s']:,.0f} decisions/s, {row['trials']} trials, sampler {row['sampler']}"
            )
        case "suggest":
            return (
                f"a suggestion after {row['trials']} trials takes {row['ours_ms']} ms "
                f"({row['ratio']}x plain Optuna's {row['optuna_ms']})"
            )
        case "conduct":
            first, last = row["first_hundred"], row["last_hundred"]
            return (
                f"{row['trials']} trials, {row['reports']} reports: {first['report_ms']} ms of CPU "
                f"a report in the first hundred trials, {last['report_ms']} in the last; "
                f"suggestions {first['suggest_ms']} and {last['suggest_ms']} ms; "
                f"{row['memory_mb']} MB ({row['memory_before_mb']} before), log {row['log_mb']} MB"
            )
    return f"{row['events']} events are read and replayed in {row['cpu_s']} s of CPU"


def main(arguments: list[str] | None = None) -> int:
    """Check, measure, print one line per row and one JSON object; 1 if anything disagrees."""
    parser = argparse.ArgumentParser(description="cost of a study beside its training")
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--reports", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    where = conditions(CPU) | {"optuna": optuna.__version__}
    if not cut_anywhere():
        print("study: a study that was cut decides otherwise; nothing was measured")
        return 1
    sizes = sorted({64, min(1000, options.trials), options.trials})
    rows = [decide(n, "none", options.repeats) for n in sizes]
    rows += [decide(n, "tpe", 1) for n in sizes[:2]]
    for n in sizes:
        row = suggest(n, options.repeats)
        if row is None:
            print("study: Optuna suggests otherwise; nothing was measured")
            return 1
        rows.append(row)
    with tempfile.TemporaryDirectory() as folder:
        rows += conduct(Path(folder) / "fake", options.trials, options.reports)
    for row in rows:
        print(f"study: {line(row)}")
    asked = {name: getattr(options, name) for name in ("trials", "reports", "repeats")}
    publish({"benchmark": "study", "rows": rows, "goals": GOALS, **asked, **where}, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
