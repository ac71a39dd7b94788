"""What the tools' own files say, read with the tools' own packages: for each trial, by metric, the
values at their steps.
"""

import json
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

from ictsweep.mirror.loggers import result
from ictsweep.records import TrialRecord
from ictsweep.study.store import StudyFolder

Curves = dict[str, dict[int, float]]


def expected(folder: StudyFolder, record: TrialRecord) -> Curves:
    """What a tool should have of a trial, from the log."""
    curves: Curves = defaultdict(dict)
    for measurement in record.measurements:
        numbers = result(folder.spec(), measurement)
        for name, value in numbers.items():
            curves[name][int(numbers["timesteps_total"])] = value
    return dict(curves)


def of_tensorboard(place: Path) -> Curves:
    """One trial's folder; values have 32 bits."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(place), size_guidance={"scalars": 0})
    events.Reload()
    prefix, curves = "ray/tune/", {}
    for tag in events.Tags()["scalars"]:
        if tag.startswith(prefix):
            told = events.Scalars(tag)
            curves[tag.removeprefix(prefix)] = {e.step: e.value for e in told}
            assert len({e.step for e in told}) == len(told), "a step told twice"
    return curves


def of_mlflow(uri: str, study: str) -> dict[str, tuple[Any, Curves]]:
    """The runs of a study by name: the run, and its metrics with how often each step was told."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        assert run.info.run_name not in found, "two runs of one trial"
        curves = {}
        for name in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, name)
            curves[name] = {m.step: m.value for m in history}
            assert len(curves[name]) == len(history), "a step told twice"
        found[run.info.run_name] = (run, curves)
    return found


def of_wandb(place: Path) -> tuple[dict[str, Any], Curves]:
    """One trial's folder with its offline run: its configuration and its curves."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = place.glob("wandb/offline-run-*/run-*.wandb")
    config: dict[str, Any] = {}
    curves: Curves = defaultdict(dict)
    for data in _records(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        for item in [*record.run.config.update, *record.config.update]:
            config[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        row = {
            item.key or ".".join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        for name, value in row.items():
            if not name.startswith("_"):
                curves[name][row["_step"]] = value
    return config, dict(curves)


def _records(data: bytes) -> list[bytes]:
    """The records of W&B's log: after a header of 7 bytes, blocks of 32 KiB of pieces, each with
    checksum (4 bytes), length (2) and kind (1: whole, 2: first, 3: middle, 4: last).
    """
    found, parts, at = [], b"", 7
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        if kind == 0:
            break
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            found.append(parts)
            parts = b""
    return found
