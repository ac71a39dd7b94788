"""Of a study's checkpoints, what is needed stays and the rest goes, whatever is killed when."""

import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ictsweep.errors import StorageError
from ictsweep.records import Event, State, TrialRecord, trials
from ictsweep.study import retention
from ictsweep.study.retention import Podium, Retention, Stays, podium, stays
from ictsweep.study.spec import Keep, StudySpec
from ictsweep.study.store import StudyFolder
from tests.study.worlds import play, spec

LAST = "000036-000036"
BEFORE = "000036-000024"


def record(number: int, state: State, value: float | None = None, **changes: Any) -> TrialRecord:
    """A trial that ended in `state` with `value` at the budget."""
    from ictsweep.study.rungs import ending

    cards = (ending(36, value, None, "it ended"),) if state != State.RUNNING else ()
    return replace(
        TrialRecord(
            number=number, params={}, seed=0, replicate_of=None, state=state, asked=0.0, cards=cards
        ),
        **changes,
    )


def write_runs(folder: StudyFolder, numbers: Sequence[int]) -> None:
    """What training leaves of trials: two checkpoints, a torn one, a snapshot, samples."""
    for number in numbers:
        trial = folder.trial_dir(number)
        for name in (BEFORE, LAST, f".{LAST}.new"):
            write(trial / "checkpoints" / name / "meta.json")
            write(trial / "checkpoints" / name / "state.pt")
        write(trial / "snapshots" / "000036-000036000-0.05.pt")
        write(trial / "samples" / "000036-000036.png")
        write(trial / "config.yaml")


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)


def left(folder: StudyFolder) -> set[str]:
    """All files of the study's trials."""
    root = folder.path / "trials"
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def kept(folder: StudyFolder, numbers: Sequence[int]) -> dict[int, list[str]]:
    """The checkpoints that each trial has."""
    return {n: sorted(p.name for p in (folder.trial_dir(n) / "checkpoints").glob("*"))
            for n in numbers}  # fmt: skip


def study(path: Path, best: int = 2) -> StudyFolder:
    return StudyFolder.create(path / "s", spec(keep=Keep(best=best)))


def test_by_hand(tmp_path: Path) -> None:
    """Best 2 of 3.0 (trial 4), 2.0 (trial 6), 9.0 (trial 0), 5.0 (trial 7): 6 and 4, and 0 as the
    baseline; its seeds 1 and 2 have no place though 1.0 is the lowest; 3 was stopped, 5 failed, 8
    runs.
    """
    records = [
        record(0, State.COMPLETE, 9.0), record(1, State.COMPLETE, 1.0, replicate_of=0),
        record(2, State.COMPLETE, 1.0, replicate_of=0), record(3, State.PRUNED, 0.5),
        record(4, State.COMPLETE, 3.0), record(5, State.FAILED), record(6, State.COMPLETE, 2.0),
        record(7, State.COMPLETE, 5.0), record(8, State.RUNNING),
    ]  # fmt: skip
    folder = study(tmp_path)
    write_runs(folder, range(9))
    Retention(folder, records)
    whole = sorted([BEFORE, LAST, f".{LAST}.new"])
    assert kept(folder, range(9)) == {
        0: [LAST], 1: [], 2: [], 3: [], 4: [LAST], 5: whole, 6: [LAST], 7: [], 8: whole
    }  # fmt: skip
    snapshots = {p.parts[-3] for p in folder.path.rglob("snapshots/*.pt")}
    assert snapshots == {"0000", "0004", "0005", "0006", "0008"}
    assert len(list(folder.path.rglob("*.png"))) == 9
    assert len(list(folder.path.rglob("config.yaml"))) == 9


def test_a_better_trial_displaces_the_worst_of_the_best_at_once(tmp_path: Path) -> None:
    folder = study(tmp_path, best=1)
    write_runs(folder, [0, 3, 4, 5])
    rule = Retention(folder, [record(0, State.COMPLETE, 9.0), record(3, State.RUNNING)])
    rule.ended(record(3, State.COMPLETE, 5.0))
    assert kept(folder, [0, 3]) == {0: [LAST], 3: [LAST]}
    rule.ended(record(4, State.COMPLETE, 5.0))  # a tie: the earlier one stays
    assert kept(folder, [0, 3, 4]) == {0: [LAST], 3: [LAST], 4: []}
    rule.ended(record(5, State.COMPLETE, 1.0))
    assert kept(folder, [0, 3, 4, 5]) == {0: [LAST], 3: [], 4: [], 5: [LAST]}


def test_a_storage_that_does_not_answer_puts_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The trial's end stands; its checkpoints go when the study is opened again."""
    folder = study(tmp_path)
    write_runs(folder, [1])
    shelf, there, pruned = Retention(folder, []), left(folder), record(1, State.PRUNED)

    def away(*of: object) -> None:
        raise StorageError("the bucket is away")

    with monkeypatch.context() as patched:
        patched.setattr(retention, "_parts", away)
        shelf.ended(pruned)
    assert left(folder) == there
    assert "trial 1: the bucket is away" in caplog.text
    Retention(folder, [pruned])
    assert left(folder) < there


def test_told_twice_is_told_once(tmp_path: Path) -> None:
    folder = study(tmp_path)
    write_runs(folder, [0, 3, 4])
    rule = Retention(folder, [])
    for _ in range(2):
        for number in (0, 3, 4):
            rule.ended(record(number, State.COMPLETE, float(number)))
    assert kept(folder, [0, 3, 4]) == {0: [LAST], 3: [LAST], 4: []}


def test_no_number_is_the_worst_and_a_lost_last_checkpoint_spares_the_one_before(
    tmp_path: Path,
) -> None:
    nan = float("nan")
    assert podium(Keep(best=1), [record(3, State.COMPLETE, nan), record(4, State.COMPLETE, 9.0)])
    places = Podium(size=2).joined(nan, 3)[0].joined(9.0, 4)[0]
    assert [number for _, number in places.places] == [4, 3]
    assert places.joined(8.0, 5)[1] == 3
    folder = study(tmp_path)
    write_runs(folder, [3])
    shutil.rmtree(folder.trial_dir(3) / "checkpoints" / LAST)
    Retention(folder, [record(3, State.COMPLETE, 1.0)])
    assert BEFORE in kept(folder, [3])[3]


def test_nothing_that_can_be_resumed_goes_at_any_moment_of_a_study() -> None:
    for seed in range(20):
        log = play(spec(), order=random.Random(seed), slots=1 + seed % 4, broken=[4] * (seed % 2))
        for cut in range(1, len(log)):
            records = trials(log[:cut])
            best = podium(Keep(best=2), records)
            for each in records:
                resumable = each.state in (State.RUNNING, State.FAILED)
                assert (stays(each, best) is Stays.ALL) == resumable


def brute(records: Sequence[TrialRecord], study: StudySpec) -> set[int]:
    """The trials whose last checkpoint stays, the long way round."""
    done = [r for r in records if r.state == State.COMPLETE and r.replicate_of is None]
    ranked = sorted(done, key=lambda r: (r.at_rung(36, short_run=True).values["fd"], r.number))
    return {r.number for r in ranked[: study.keep.best]} | {r.number for r in done if not r.number}


def test_a_driver_killed_at_any_event_leaves_the_same_checkpoints(tmp_path: Path) -> None:
    """Killed after a verdict, before or after it acted on it, and opened again."""
    what = spec(keep=Keep(best=2), trials=16)
    log = play(what, order=random.Random(2))
    ends = [n for n, e in enumerate(log) if _ended(e)]
    numbers = [r.number for r in trials(log)]
    outcomes = []
    for place, cut in enumerate([len(log), *ends]):
        folder = StudyFolder.create(tmp_path / f"{place}" / "s", what)
        write_runs(folder, numbers)
        _drive(folder, log[:cut], acts_on_the_last=bool(place % 2))
        _drive(folder, log, since=cut)
        outcomes.append(left(folder))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    with_last = {int(name.split("/")[0]) for name in outcomes[0] if f"/{LAST}/meta" in name}
    assert with_last == brute(trials(log), what)
    assert len(with_last) > 1


def _ended(event: Event) -> bool:
    return event.kind == "verdict" and event.data["action"] != "continue"


def _drive(
    folder: StudyFolder, log: Sequence[Event], *, since: int = 1, acts_on_the_last: bool = True
) -> None:
    """What a driver does from the event `since` of its log to the end of it."""
    rule = Retention(folder, trials(list(log[:since])))
    for n in range(since, len(log)):
        if _ended(log[n]) and (acts_on_the_last or n < len(log) - 1):
            rule.ended(trials(list(log[: n + 1]))[log[n].trial])  # type: ignore[index]


KILLED = """
import os, signal, sys
from pathlib import Path
from ictsweep.study.store import StudyFolder
left = [int(sys.argv[2])]
folder = StudyFolder(Path(sys.argv[1]))
def count(event, args):
    if event in ("os.remove", "os.rmdir"):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
folder.remove("trials/0003/checkpoints/000036-000036")
os._exit(0)
"""


def test_a_kill_at_any_step_leaves_a_checkpoint_whole_or_none(tmp_path: Path) -> None:
    """What it left goes when the study is opened again."""
    stopped, codes = [record(3, State.PRUNED)], []
    for moment in range(9):
        folder = study(tmp_path / f"{moment}")
        place = folder.trial_dir(3) / "checkpoints" / LAST
        write(place / "meta.json")
        write(place / "state.pt")
        code = subprocess.run([sys.executable, "-c", KILLED, str(folder.path), str(moment)])
        codes.append(code.returncode)
        files = {p.name for p in place.glob("*")}
        assert files == {"meta.json", "state.pt"} or "meta.json" not in files
        Retention(folder, stopped)
        assert not place.exists()
        if not code.returncode:
            break
    assert codes == [-9, -9, -9, 0]
