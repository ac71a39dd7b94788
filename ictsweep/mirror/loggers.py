"""TensorBoard, Weights & Biases and MLflow, told of a study through Ray Tune's logger callbacks.

The callbacks follow the event log like any other follower instead of sitting in Tune's loop: there,
one that raises ends the study and one that waits for a network stops it, and a trial that is
launched again would be a new one. Here a tool's record of a trial is all that the log says of it;
one that an interrupted session left unfinished is written anew. Steps are kimg: all that a trial
has trained, its earlier, shorter runs included.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune.utils import flatten_dict

from ictsweep.files import append_line, whole_lines
from ictsweep.mirror.following import Following
from ictsweep.mirror.index import Index
from ictsweep.mirror.tools import Tool
from ictsweep.records import Measurement, State, TrialRecord
from ictsweep.shell import command
from ictsweep.study.space import resolve
from ictsweep.study.spec import StudySpec
from ictsweep.study.store import StudyFolder


@dataclass(frozen=True, eq=False, kw_only=True)
class Shown:
    """A trial as Ray's callbacks know one: what they read of Tune's own class."""

    trial_id: str
    name: str
    config: Mapping[str, Any]
    local_path: str
    experiment_dir_name: str

    @property
    def evaluated_params(self) -> Mapping[str, Any]:
        """What the hyperparameter views show."""
        return self.config

    def init_local_path(self) -> None:
        """Make the folder that the tool's files of this trial go to."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return self.name


class Logbook:
    """One tool's records of a study's trials: `catch_up` brings them to the log's end."""

    def __init__(self, folder: StudyFolder, tool: Tool) -> None:
        self._index = Index(folder)
        self._place = folder.path.absolute() / "loggers" / tool.name
        self._tool = tool
        self._callback: Any = None
        self._open: dict[int, Shown] = {}
        self._told: Counter[int] = Counter()  # measurements, by trial
        self._list = self._place.with_suffix(".closed")  # a line for each finished record
        self._closed = dict(line.split() for line in whole_lines(self._list))

    def catch_up(self) -> None:
        """Tell the tool what was added to the log since the last time."""
        for number in self._index.advance():
            record = self._index.record(number)
            if record.launches and self._closed.get(str(number)) != str(record.ended):
                self._tell(record)

    def close(self) -> None:
        """Let the tool write what it holds; trials under way stay open in the log, so they will be
        written anew.
        """
        if self._callback is not None:
            for shown in self._open.values():
                self._callback.log_trial_end(shown, failed=True)
            self._callback.on_experiment_end(trials=[])

    def _tell(self, record: TrialRecord) -> None:
        number, spec = record.number, self._index.spec(record.number)
        callback = self._callback
        if callback is None:
            callback = self._tool.begin(spec.study, self._index.identity, self._place)
            self._callback = callback
        if number not in self._open:
            self._begin(callback, spec, record)
        shown = self._open[number]
        for measurement in record.measurements[self._told[number] :]:
            self._told[number] += 1
            callback.log_trial_result(self._told[number], shown, result(spec, measurement))
        if record.ended is not None:
            callback.log_trial_end(shown, failed=record.state == State.FAILED)
            append_line(self._list, f"{number} {record.ended}")
            self._closed[str(number)] = str(record.ended)
            del self._open[number], self._told[number]

    def _begin(self, callback: Any, spec: StudySpec, record: TrialRecord) -> None:
        name = f"trial-{record.number:04d}"
        shown = Shown(
            trial_id=f"{self._index.identity}-{record.number:04d}",
            name=name,
            config=settings(spec, record),
            local_path=str(self._place / name),
            experiment_dir_name=spec.study,
        )
        self._tool.clear(callback, shown)
        callback.log_trial_start(shown)
        self._open[record.number] = shown


def logging_to(tool: Tool, folder: StudyFolder) -> Following:
    """Keeps a tool's records up to date beside a running study (in its Ray session)."""
    remedy = command("resume", folder.place, "--log", tool.name)
    return Following(tool.name, lambda: Logbook(folder, tool), remedy)


def settings(spec: StudySpec, record: TrialRecord) -> dict[str, Any]:
    """A trial's whole configuration by dotted path, and what else tells it from others."""
    config = flatten_dict(resolve(spec, record.params).to_dict(), delimiter=".")
    known = {"trial": record.number, "seed": str(record.seed), "replicate_of": record.replicate_of}
    return {key: _scalar(value) for key, value in {**known, **config}.items() if value is not None}


def result(spec: StudySpec, measurement: Measurement) -> dict[str, float]:
    """A measurement as the callbacks take it: flat numbers, and the step under the two names that
    they look for.
    """
    m = measurement
    shorter = sum(kimg for kimg in spec.rungs if kimg < m.run_kimg) if spec.short_run else 0
    step = shorter + m.kimg
    rest = {
        "run_kimg": m.run_kimg, "kimg": m.kimg, "levels": m.levels, "loss": m.loss,
        "grad_norm": m.grad_norm, "train_s": m.train_s, "evaluate_s": m.evaluate_s,
    }  # fmt: skip
    errors = {f"{key}_error": value for key, value in m.errors.items()}
    return {"timesteps_total": step, "training_iteration": step, **m.values, **errors, **rest}


def _scalar(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | float) else str(value)
