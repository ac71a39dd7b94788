"""Why this project has a searcher and a scheduler of its own: a study made of Ray's stock parts
(Tuner, OptunaSearch with a seeded TPE, ASHAScheduler) decides differently once its driver was
killed and Tuner.restore continued it.

    python -m tests.demonstrations.stock_ray [FOLDER]

Scripted curves, one trial at a time, so that nothing depends on timing. Two uninterrupted studies
must agree; a third one's driver is killed (SIGKILL) while a trial rests between two rungs, its
snapshot complete; a fourth one's while Tune writes its snapshot. Then the same curves through this
project's engine, its log cut at every event. Prints the decisions that differ, and why. Studies
that are in FOLDER already are only read. What Ray 2.60 and Optuna 5.0 do is in stock_ray.txt.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ictsweep.study.spec import Stopping
from tests.demonstrations import stock_study
from tests.study.worlds import decisions, play, spec

KILLED_TRIAL, KILLED_STEP = 5, stock_study.PAUSE_AFTER  # past rungs 1 and 2, before rung 4
SNAPSHOT_S = 1.5  # the trial rests longer, and snapshots are taken every second
LIMIT_S = 240.0

Line = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """What a study decided about one trial, in the order of its life: what was suggested, each
    report's verdict, and what Optuna was told at its end.
    """

    params: dict[str, float]
    verdicts: tuple[Line, ...]
    told: Line


@dataclass(frozen=True)
class Difference:
    """One decision that came out differently."""

    trial: int
    decision: str
    whole: str
    restored: str
    reason: str


def session(folder: Path, *more: str, snapshot_s: float = 1.0) -> subprocess.Popen[bytes]:
    """A driver of the study in `folder`, with a snapshot at most every so many seconds (Tune's own
    choice is ten: in its favour, next to nothing is lost with the driver).
    """
    with (folder / "screen.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.demonstrations.stock_study", str(folder), *more],
            env={**os.environ, "TUNE_GLOBAL_CHECKPOINT_S": str(snapshot_s)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def run(folder: Path) -> list[Trial]:
    """A study from its beginning to its end."""
    if folder.exists():
        return story(lines(folder))
    folder.mkdir(parents=True)
    return _finished(folder, session(folder))


def run_killed(folder: Path) -> list[Trial]:
    """The same study; its driver is killed in the middle of a trial, then Tuner.restore goes on."""
    if folder.exists():
        return story(lines(folder))
    folder.mkdir(parents=True)
    driver = session(folder)
    _wait(driver, folder, lambda: _reached(lines(folder)), pause_s=0.02)
    time.sleep(SNAPSHOT_S)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    return _finished(folder, session(folder, "--resume"))


def run_torn(folder: Path) -> list[Trial]:
    """The same study; its driver is killed while it writes a snapshot, then Tuner.restore."""
    if folder.exists():
        return story(lines(folder))
    folder.mkdir(parents=True)
    driver = session(folder, snapshot_s=0.0)
    _wait(driver, folder, lambda: _reached(lines(folder)), pause_s=0.02)
    _wait(driver, folder, lambda: _caught_writing(driver, folder), pause_s=0.0)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    return _finished(folder, session(folder, "--resume"))


def _wait(
    driver: subprocess.Popen[bytes], folder: Path, ready: Callable[[], bool], pause_s: float
) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not ready():
        assert driver.poll() is None, (folder / "screen.log").read_text()
        assert time.monotonic() < deadline, "the study does not get to where it is to be killed"
        time.sleep(pause_s)


def _caught_writing(driver: subprocess.Popen[bytes], folder: Path) -> bool:
    """Whether the driver now stands still with half a snapshot on the disk; else it goes on."""
    (state,) = (folder / stock_study.NAME).glob("experiment_state-*.json")
    if state.stat().st_size > 0:
        return False
    driver.send_signal(signal.SIGSTOP)
    time.sleep(0.05)
    if state.stat().st_size == 0:
        return True
    driver.send_signal(signal.SIGCONT)
    return False


def lines(folder: Path) -> list[Line]:
    """What the study's parts wrote down so far."""
    path = folder / "decisions.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _reached(seen: Sequence[Line]) -> bool:
    order = _order(seen)
    return len(order) > KILLED_TRIAL and any(
        line["kind"] == "result" and line["trial"] == order[KILLED_TRIAL]
        and line["step"] == KILLED_STEP for line in seen
    )  # fmt: skip


def _order(seen: Iterable[Line]) -> list[str]:
    return [line["trial"] for line in seen if line["kind"] == "suggest" and line["params"]]


def _finished(folder: Path, driver: subprocess.Popen[bytes]) -> list[Trial]:
    assert driver.wait(timeout=LIMIT_S) == 0, (folder / "screen.log").read_text()
    return story(lines(folder))


def story(seen: Sequence[Line]) -> list[Trial]:
    """The trials that the study ended with, in the order in which they were suggested."""
    kept = next(line["ids"] for line in seen if line["kind"] == "trials")
    return [
        _trial([line for line in seen if line.get("trial") == name])
        for name in _order(seen)
        if name in kept
    ]


def _trial(mine: Sequence[Line]) -> Trial:
    results = {line["step"]: line for line in mine if line["kind"] == "result"}  # last word counts
    (told,) = [line for line in mine if line["kind"] == "told"]
    suggested = next(line["params"] for line in mine if line["kind"] == "suggest")
    return Trial(suggested, tuple(results[step] for step in sorted(results)), told)


def differences(whole: Sequence[Trial], restored: Sequence[Trial]) -> list[Difference]:
    """What a restored study decided otherwise, trial by trial."""
    found = []
    for number, (one, other) in enumerate(zip(whole, restored, strict=False)):
        found += _suggestion(number, one, other, restored)
        found += [
            difference
            for mine, theirs in zip(one.verdicts, other.verdicts, strict=False)
            if (difference := _verdict(number, mine, theirs)) is not None
        ]
    return found


def _suggestion(
    number: int, one: Trial, other: Trial, restored: Sequence[Trial]
) -> list[Difference]:
    if one.params == other.params:
        return []
    copies = [n for n in range(number) if restored[n].params == other.params]
    reason = f"repeats trial {copies[0]}" if copies else "TPE was told other results"
    return [Difference(number, "suggestion", _point(one.params), _point(other.params), reason)]


def _verdict(number: int, one: Line, other: Line) -> Difference | None:
    same = all(one[key] == other[key] for key in ("action", "rung", "others"))
    if same:
        return None
    return Difference(
        number, f"report {one['step']}", _judged(one), _judged(other), _reason(one, other)
    )


def _reason(one: Line, other: Line) -> str:
    if other["rung"] is not None and other["rung"] < other["step"] and one["rung"] is None:
        return f"the value of report {other['step']} was back-filled into rung {other['rung']:g}"
    if other["others"] < one["others"]:
        return f"the rung held {one['others']} values; after the restore {other['others']}"
    return "other trials reached the rung"


def _judged(line: Line) -> str:
    if line["rung"] is None:
        return f"{line['action'].lower()}, no rung"
    cutoff = "none" if line["cutoff"] is None else f"{line['cutoff']:.1f}"
    return (
        f"{line['action'].lower()}: {line['value']:.1f}, cutoff {cutoff} at rung {line['rung']:g}"
    )


def _point(params: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in params.items())


def told_complete(trials: Sequence[Trial]) -> list[int]:
    """The trials that ASHA stopped below the budget and Optuna was told to be COMPLETE."""
    return [
        number
        for number, trial in enumerate(trials)
        if trial.told["state"] == "COMPLETE" and len(trial.verdicts) < stock_study.BUDGET
    ]


def forgotten(folder: Path) -> tuple[int, int, int]:
    """(trials that the study had and no longer knows at its end, trials that it has then, how many
    of these were suggested as copies of forgotten ones).
    """
    seen = lines(folder)
    kept = next(line["ids"] for line in seen if line["kind"] == "trials")
    suggested = [line for line in seen if line["kind"] == "suggest" and line["params"]]
    lost = [line["params"] for line in suggested if line["trial"] not in kept]
    again = [line["params"] for line in suggested if line["trial"] in kept]
    return len(lost), len(again), sum(params in lost for params in again)


def ours() -> tuple[int, int]:
    """(cuts, cuts after which a decision differs) of this project's engine with its own TPE: such a
    study's log cut at every event.
    """
    study = spec(
        trials=stock_study.TRIALS, replicates=1, trial={"budget_kimg": 4 * stock_study.BUDGET},
        stopping=Stopping(
            first_rung_kimg=4, reduction=stock_study.REDUCTION, fidelity="same_run"
        ),
    )  # fmt: skip
    whole = play(study, order=random.Random(0), slots=1)
    cuts = range(1, len(whole))
    again = [play(study, order=random.Random(cut), slots=1, log=whole[:cut]) for cut in cuts]
    return len(cuts), sum(decisions(log) != decisions(whole) for log in again)


def table(found: Sequence[Difference]) -> str:
    """The differences, a line each."""
    head = ("trial", "decision", "uninterrupted", "killed and restored", "why")
    rows = [head, *((str(d.trial), d.decision, d.whole, d.restored, d.reason) for d in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the four studies and say what differs; 1 if the uninterrupted ones do not agree."""
    parser = argparse.ArgumentParser(description="stock parts after a kill of the driver")
    parser.add_argument("folder", nargs="?", type=Path, help="keeps the studies")
    given = parser.parse_args(arguments).folder
    with tempfile.TemporaryDirectory() as own:
        home = (given or Path(own)).absolute()
        whole, again = run(home / "whole"), run(home / "again")
        if differences(whole, again):
            print("two uninterrupted studies differ; nothing can be said about the others")
            return 1
        found = differences(whole, run_killed(home / "killed"))
        run_torn(home / "torn")
        lost, left, copies = forgotten(home / "torn")
    cuts, wrong = ours()
    for line in (
        f"Driver killed in trial {KILLED_TRIAL} of {len(whole)}, its snapshot complete:",
        table(found),
        f"Repeated suggestions: {sum(d.decision == 'suggestion' for d in found)} (the sampler's "
        "state is in the snapshot).",
        f"Told to Optuna as COMPLETE: trials {told_complete(whole)}, which ASHA stopped.",
        f"Driver killed while it writes its snapshot: Tuner.restore begins anew; {lost} trials are "
        f"forgotten, it ends after {left}, {copies} of them copies of forgotten ones.",
        f"ictsweep, such a study cut at each of its {cuts} events: {wrong} decide otherwise.",
    ):
        print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
