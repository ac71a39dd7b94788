"""Real studies on a real local Ray: run, killed, resumed, two workers a trial, nothing left
behind.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from ictsweep.records import Event, State, trials
from ictsweep.study.memory import Memory
from ictsweep.study.store import StudyFolder
from tests.launch.forecasts import bytes_by_kind, forecast_of

pytestmark = pytest.mark.ray

SPACE = """
study: small
minimize: fd
seed: 1
trial:
  data: {{name: digits}}
  network: {{preset: tiny, channels: 4, dropout: 0.1}}
  method: {{preset: ict}}
  optimizer: {{lr: 1.0e-3, batch: 200}}
  precision: fp32
  budget_kimg: 4
  evaluate: {{every_kimg: 1, images: 128, steps: [1, 2], grid: 16}}
search:
  method.pairs.steps.period: {{range: [0.06, 0.5], log: true}}
  network.dropout: {{range: [0.0, 0.9]}}
trials: {trials}
replicates: {replicates}
sampler: {{name: tpe, startup_trials: 2}}
stopping: {{first_rung_kimg: 1, reduction: 2}}
resources: {{workers: {workers}, launch_kimg: 8}}
"""


class Study:
    """A study started as a user starts it, in a process whose descendants can be found again."""

    def __init__(
        self, home: Path, *, trials: int = 3, replicates: int = 1, workers: int = 1
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.mark = f"ICTSWEEP_TEST_MARK={uuid.uuid4().hex}"
        self.folder = StudyFolder(home / "studies" / "small")
        space = SPACE.format(trials=trials, replicates=replicates, workers=workers)
        (home / "space.yaml").write_text(space)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        name, value = self.mark.split("=")
        log = (self.home / "screen.log").open("ab")
        return subprocess.Popen(
            [sys.executable, "-m", "ictsweep", *command, "--storage", "studies"],
            cwd=self.home,
            env={**os.environ, name: value},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def finish(self, *command: str, seconds: float = 400) -> None:
        code = self.start(*command).wait(timeout=seconds)
        assert code == 0, (self.home / "screen.log").read_text()

    def events(self) -> list[Event]:
        return self.folder.events() if self.folder.path.exists() else []

    def decisions(self) -> list[tuple]:
        kinds = ("ask", "verdict")
        return [(e.kind, e.trial, dict(e.data)) for e in self.events() if e.kind in kinds]

    def scores(self) -> dict[tuple[int, int, int], dict[str, float]]:
        return {
            (t.number, m.run_kimg, m.kimg): dict(m.values)
            for t in self.folder.trials()
            for m in t.measurements
        }

    def processes(self) -> list[int]:
        """Living processes that descend from ours, by the mark in their environment."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (path / "environ").read_bytes():
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def named(self) -> list[str]:
        """What `processes` are, for people."""
        places = (Path(f"/proc/{pid}/cmdline") for pid in self.processes())
        return [place.read_bytes().replace(b"\0", b" ").decode()[:150] for place in places]


def nothing_is_left(study: Study) -> None:
    """No process of the study lives on: at Ray's niceness one may take long to end."""
    deadline = time.monotonic() + 60
    while study.processes():
        assert time.monotonic() < deadline, study.named()
        time.sleep(0.1)


def wait_for(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def killed_and_resumed(study: Study, moment: int) -> Study:
    """A study whose driver was killed after `moment` measurements, and that `resume` ended."""
    driver = study.start("run", "space.yaml")
    wait_for(
        lambda: (
            sum(e.kind == "measure" for e in study.events()) >= moment or driver.poll() is not None
        ),
        300,
        "the study does not get there",
    )
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    recorded = study.events()
    study.finish("resume", "small")
    assert study.events()[: len(recorded)] == recorded
    return study


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of 3 configurations, two at once where two fit, killed once and resumed."""
    return killed_and_resumed(Study(tmp_path_factory.mktemp("whole")), 3)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The same without a kill."""
    study = Study(tmp_path_factory.mktemp("undisturbed"))
    study.finish("run", "space.yaml")
    return study


def test_the_study_ends_as_asked_and_says_so(whole: Study) -> None:
    records = whole.folder.trials()
    assert [r.number for r in records] == [0, 1, 2]
    assert all(r.state in (State.COMPLETE, State.PRUNED) for r in records)
    screen = (whole.home / "screen.log").read_text()
    assert "reports/small/index.html" in screen
    assert (whole.home / "reports/small/index.html").exists()
    assert "Traceback" not in screen
    assert "raylet" not in screen


def test_the_folder_is_as_large_as_check_said(whole: Study) -> None:
    said = forecast_of(whole.folder, slots=2)
    for kind, size in bytes_by_kind(whole.folder).items():
        assert said.kept[kind].low <= size <= said.kept[kind].high, kind


def test_log_optuna_and_report_agree_on_every_trial(whole: Study) -> None:
    from optuna.trial import TrialState

    from ictsweep.study.engine import Engine
    from ictsweep.study.space import distributions, starts
    from tests.report.reading import trials_of_page

    spec = whole.folder.spec()
    memory = Memory(spec, distributions(spec))
    Engine(spec, starts(spec), memory).replay(whole.events())
    told = memory.trials()
    shown = trials_of_page(whole.home / "reports/small/index.html")
    states = {State.COMPLETE: TrialState.COMPLETE, State.PRUNED: TrialState.PRUNED}
    assert set(shown) == {r.number for r in whole.folder.trials()}
    for record in whole.folder.trials():
        last = record.cards[-1]
        assert shown[record.number] == (str(record.state), pytest.approx(last.value, rel=1e-12))
        if record.replicate_of is None:
            assert told[record.number].state == states[record.state]
            assert told[record.number].value == last.value
            assert told[record.number].intermediate_values == {
                card.rung_kimg: card.value for card in record.cards
            }


def test_nothing_is_left_running(whole: Study) -> None:
    nothing_is_left(whole)


@pytest.mark.slow
def test_a_killed_driver_loses_nothing_and_decides_the_same(
    whole: Study, undisturbed: Study, tmp_path: Path
) -> None:
    later = killed_and_resumed(Study(tmp_path), 6)
    for study in (whole, later):
        assert without_times(study) == without_times(undisturbed)
        assert study.scores() == undisturbed.scores()
    nothing_is_left(later)


def without_times(study: Study) -> str:
    return json.dumps(study.decisions(), sort_keys=True, default=dict)


@pytest.mark.slow
def test_ctrl_c_says_how_to_resume(tmp_path: Path) -> None:
    study = Study(tmp_path)
    driver = study.start("run", "space.yaml")
    wait_for(lambda: any(e.kind == "measure" for e in study.events()), 300, "no measurement")
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group
    assert driver.wait(timeout=30) == 130
    screen = (study.home / "screen.log").read_text()
    assert "ictsweep resume studies/small" in screen
    assert "Traceback" not in screen
    assert {r.state for r in trials(study.events())} == {State.RUNNING}
    wait_for(lambda: not study.processes(), 10, f"processes left: {study.processes()}")


@pytest.mark.slow
def test_two_workers_score_as_one(whole: Study, tmp_path: Path) -> None:
    """Trial 0 on two gloo workers: the same measurements within 1e-2 relative (float32 rounding,
    grown by training).
    """
    study = Study(tmp_path, trials=1, replicates=1, workers=2)
    study.finish("run", "space.yaml")
    alone = {key: v for key, v in whole.scores().items() if key[0] == 0}
    assert set(study.scores()) == set(alone)
    for key, values in study.scores().items():
        assert values == pytest.approx(alone[key], rel=1e-2)


def test_an_existing_study_is_refused_with_the_way_on(whole: Study) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ictsweep", "run", "space.yaml", "--storage", "studies"],
        cwd=whole.home, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "ictsweep resume studies/small" in done.stderr
    assert "Traceback" not in done.stderr


LEAVING = """
study: small
minimize: fd
trial:
  data: {name: digits}
  network: {preset: tiny, channels: 8, dropout: 0.0}
  method: {preset: ict}
  optimizer: {lr: 1.0e-3, batch: 200}
  precision: fp32
  budget_kimg: 64
  evaluate: {every_kimg: 4, images: 128, steps: [1], grid: 16}
search:
  optimizer.lr: {range: [1.0e-6, 1.0e-3], log: true}
trials: 5
warm_start:
  - {}
  - {optimizer.lr: 1.0e-6}
  - {optimizer.lr: 1.1e-6}
  - {optimizer.lr: 1.2e-6}
  - {optimizer.lr: 1.3e-6}
replicates: 1
stopping: {first_rung_kimg: 16, reduction: 4, fidelity: short_run}   # one of five goes on
resources: {launch_kimg: 1}
"""


def named(study: Study, name: bytes) -> set[int]:
    """The study's processes of a kind: RayTrainWorker trains, ImplicitFunc drives a trial."""
    found = set()
    for pid in study.processes():
        try:
            if name in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
        except OSError:
            continue
    return found


def workers(study: Study) -> set[int]:
    return named(study, b"RayTrainWorker")


def ended(study: Study, trial: int) -> bool:
    return any(r.number == trial and r.state != State.RUNNING for r in trials(study.events()))


def trains(study: Study, trial: int) -> bool:
    return any(r.number == trial and r.measurements for r in trials(study.events()))


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two trials at once")
def test_stopped_trials_leave_and_killed_ones_come_back(tmp_path: Path) -> None:
    """Trials 1 to 4 hardly learn and lose to trial 0.

    Trial 1 is stopped: its worker is gone within 5 s, and trial 2 takes its place. In the middle of
    its training, trial 2's worker is killed; then one of the two trial drivers, which serve trials
    in turn. Both trials are lost, launched again and end as if nothing had been, and the study goes
    on to its end.
    """
    study = Study(tmp_path)
    (tmp_path / "space.yaml").write_text(LEAVING)
    driver = study.start("run", "space.yaml")
    wait_for(lambda: len(workers(study)) == 2, 200, "two trials start")
    first = workers(study)
    wait_for(lambda: ended(study, 1), 200, "trial 1 is stopped")
    wait_for(lambda: len(workers(study) & first) == 1, 5, "its worker leaves")
    wait_for(lambda: trains(study, 2), 100, "trial 2 takes its place")
    (newcomer,) = workers(study) - first
    os.kill(newcomer, signal.SIGKILL)
    wait_for(lambda: ended(study, 2), 200, "trial 2 comes back and is stopped")
    wait_for(lambda: trains(study, 3), 100, "trial 3 takes its place")
    os.kill(max(named(study, b"ImplicitFunc")), signal.SIGKILL)
    assert driver.wait(timeout=300) == 0
    states = {r.number: r.state for r in study.folder.trials()}
    assert states == {0: State.COMPLETE, **dict.fromkeys(range(1, 5), State.PRUNED)}
    failures = [(e.trial, e.data["kind"]) for e in study.events() if e.kind == "fail"]
    assert failures[0] == (2, "lost")
    assert len(failures) == 2
    assert failures[1] in ((0, "lost"), (3, "lost"), (4, "lost"))
    assert [e.trial for e in study.events() if e.kind == "retry"] == [n for n, _ in failures]
    nothing_is_left(study)
