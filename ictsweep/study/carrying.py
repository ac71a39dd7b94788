"""A checkpoint carried from an older study's trial to the one trial of a promoted study."""

import json
from dataclasses import replace
from pathlib import Path

from ictsweep.config import trial_config
from ictsweep.seeds import derive_seed
from ictsweep.study.spec import StudySpec
from ictsweep.study.store import StudyFolder
from ictsweep.training.checkpoints import (
    checkpoints,
    is_whole,
    read_meta,
    read_state,
    write_checkpoint,
)


def last_checkpoint(trial: Path, budget_kimg: int) -> Path | None:
    """The newest whole checkpoint of a trial's run of this length; None if none is kept."""
    found = checkpoints(trial / "checkpoints", budget_kimg)
    return next((place for place in reversed(found) if is_whole(place)), None)


def carry(place: Path, folder: StudyFolder) -> None:
    """Make the checkpoint at `place` one of trial 0 of the promoted study in `folder`: the same
    weights and optimiser, as a point of the longer run. The images after it are drawn with the new
    trial's seed.
    """
    spec = folder.spec()
    meta = read_meta(place)
    moved = replace(
        meta, config=_plain(spec), run_kimg=spec.rungs[-1], seed=derive_seed(spec.seed, "trial", 0)
    )
    target = folder.trial_dir(0) / "checkpoints" / moved.name
    target.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(target, read_state(place), moved)
    folder.keep("trials/0000/checkpoints")


def _plain(spec: StudySpec) -> dict[str, object]:
    return json.loads(json.dumps(trial_config(spec.trial).to_dict()))
