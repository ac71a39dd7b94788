"""A checkpoint carried from an older study's trial to the one trial of a promoted study.

The promoted study's spec says how far it has come, so it must not run without the checkpoint. Its
driver carries it, when it holds the study and before the trial is asked for: a driver that is
killed meanwhile leaves that to the next one.
"""

import json
from dataclasses import replace
from pathlib import Path

from ictsweep.config import trial_config
from ictsweep.errors import StudyError
from ictsweep.seeds import derive_seed
from ictsweep.shell import command
from ictsweep.study.spec import Origin, StudySpec
from ictsweep.study.store import StudyFolder
from ictsweep.training.checkpoints import (
    checkpoints,
    is_whole,
    read_meta,
    read_state,
    write_checkpoint,
)

_CHECKPOINTS = "trials/0000/checkpoints"


def last_checkpoint(trial: Path, budget_kimg: int) -> Path | None:
    """The newest whole checkpoint of a trial's run of this length; None if none is kept."""
    found = checkpoints(trial / "checkpoints", budget_kimg)
    return next((place for place in reversed(found) if is_whole(place)), None)


def kept_checkpoint(study: StudyFolder, number: int) -> Path | None:
    """`last_checkpoint` of a trial of a study, brought here if that is in a bucket: the other
    trials' are left there.
    """
    if (remote := study.trial_remote(number)) is not None:
        remote.pull(study.trial_dir(number), "checkpoints")
    return last_checkpoint(study.trial_dir(number), study.spec().rungs[-1])


def kimg(place: Path) -> int:
    """How far a checkpoint has come, in whole kimg."""
    return read_meta(place).images // 1000


def carry_origin(folder: StudyFolder, origin: Origin) -> None:
    """Carry what the promoted study in `folder` continues. StudyError if it is not where it was,
    and was not carried before either.
    """
    if (place := _there(origin)) is not None:
        carry(place, folder)
    elif (place := kept_checkpoint(folder, 0)) is None or kimg(place) != origin.kimg:
        again = command(
            "promote", origin.study, "--trial", str(origin.trial),
            "--budget-kimg", str(folder.spec().rungs[-1]), "--name", folder.spec().study,
        )  # fmt: skip
        raise StudyError(
            f"{folder.place}: it continues trial {origin.trial} of {origin.study} at {origin.kimg} "
            "kimg. Its checkpoint was not carried here yet, and is not found there now. Bring it "
            f"back; or begin this study anew from what is kept: `{again}`"
        )


def _there(origin: Origin) -> Path | None:
    try:
        place = kept_checkpoint(StudyFolder.open(origin.study), origin.trial)
    except StudyError:
        return None
    return None if place is None or kimg(place) != origin.kimg else place


def carry(place: Path, folder: StudyFolder) -> None:
    """Make the checkpoint at `place` the one that trial 0 of the promoted study in `folder` begins
    with: the same weights and optimiser, as a point of the longer run. The images after it are
    drawn with the new trial's seed.
    """
    spec = folder.spec()
    meta = read_meta(place)
    moved = replace(
        meta, config=_plain(spec), run_kimg=spec.rungs[-1], seed=derive_seed(spec.seed, "trial", 0)
    )
    folder.remove(_CHECKPOINTS)  # of a study that was begun here before
    target = folder.path / _CHECKPOINTS / moved.name
    target.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(target, read_state(place), moved)
    folder.keep(_CHECKPOINTS)


def _plain(spec: StudySpec) -> dict[str, object]:
    return json.loads(json.dumps(trial_config(spec.trial).to_dict()))
