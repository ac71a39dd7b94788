"""Opening a trained model, or saying why it is not there any more."""

from pathlib import Path

from ictsweep.errors import UserError
from ictsweep.records import State, TrialRecord
from ictsweep.shell import command
from ictsweep.study.retention import Stays, podium, stays
from ictsweep.study.spec import StudySpec
from ictsweep.study.store import StudyFolder
from ictsweep.training.checkpoints import checkpoints
from ictsweep.training.loading import LoadedModel, load_model


def open_model(path: Path) -> LoadedModel:
    """The model of a run's or a checkpoint's folder; UserError if there is none, with the reason
    where a study removed it.
    """
    there = (path / "meta.json").exists() or checkpoints(path / "checkpoints")
    if not there and (reason := removed(path)):
        raise UserError(f"{path}: {reason}")
    return load_model(path)


def removed(path: Path) -> str:
    """Why a study did not keep the checkpoint at `path` (of a trial, or of one of its checkpoints);
    "" where no study removed it.
    """
    trial = _trial_folder(path.absolute())
    if trial is None:
        return ""
    folder = StudyFolder.open(trial.parent.parent)
    spec, records = folder.spec(), folder.trials()
    record = next((r for r in records if r.number == int(trial.name)), None)
    if record is None:
        return ""
    what = stays(record, podium(spec.keep, records))
    again = command(
        "promote", folder.path, "--trial", str(record.number),
        "--budget-kimg", str(spec.rungs[-1]),
    )  # fmt: skip
    if what is Stays.NONE:
        return f"{_ended(record)}, so its checkpoints went: {kept(spec)}; `{again}` trains it again"
    last = "checkpoints/{0:06d}-{0:06d}".format(spec.rungs[-1])
    if what is Stays.LAST and path.absolute() != trial / last:
        return f"of a finished trial only its last checkpoint is kept: {trial / last}"
    return ""


def kept(spec: StudySpec) -> str:
    """What a study keeps, in words."""
    best = spec.keep.best
    whose = "the best finished configuration" if best == 1 else f"the best {best} finished"
    return f"the study keeps those of {whose} and of trial 0 (keep.best)"


def _ended(record: TrialRecord) -> str:
    name = f"trial {record.number}"
    if record.replicate_of is not None:
        return f"{name} is a further seed of trial {record.replicate_of}"
    if record.state == State.COMPLETE:
        return f"{name} is not among the best finished"
    at = f" at {record.cards[-1].rung_kimg} kimg" if record.cards else ""
    return f"{name} was stopped{at} ({record.reason})"


def _trial_folder(path: Path) -> Path | None:
    """The folder of the study's trial that `path` is, or is in."""
    for place in (path, *path.parents):
        inside = place.parent.name == "trials" and place.name.isdigit()
        if inside and (place.parent.parent / "study.yaml").is_file():
            return place
    return None
