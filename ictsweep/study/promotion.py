"""A study's trial as a study of its own, at another length: continued where that is honest, else
begun anew.

Every schedule is a share of the budget: the curriculum's steps, the learning rate, the teacher's
decay. A longer budget stretches them, so the images seen so far were not those images of the longer
run. Only where nothing changes in the part already trained (no curriculum, a constant rate) is a
checkpoint of the short run one of the long run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ictsweep.config import TrialConfig
from ictsweep.consistency import EmaTeacher
from ictsweep.errors import UserError
from ictsweep.records import State, TrialRecord
from ictsweep.study.axes import Axis, chooses_part
from ictsweep.study.configurations import configured
from ictsweep.study.spec import Keep, Limits, Origin, Stopping, StudySpec

_LOOKS = 256  # points of the part already trained at which schedules are compared
_LR = "optimizer.lr"


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """The new study's spec, and why its trial begins anew ("" where it is continued)."""

    spec: StudySpec
    anew: str


def chosen(spec: StudySpec, records: Sequence[TrialRecord], trial: str) -> TrialRecord:
    """The trial that "best" or a number names; UserError if there is none."""
    if trial != "best":
        found = next((r for r in records if str(r.number) == trial), None)
        if found is None:
            raise UserError(f"--trial {trial}: expected best, or a trial's number below "
                            f"{len(records)}")  # fmt: skip
        return found
    done = [r for r in records if r.state == State.COMPLETE and r.replicate_of is None]
    if not done:
        raise UserError("--trial best: no trial has finished yet; name one by its number")
    return min(done, key=lambda r: (r.cards[-1].value or 0.0, r.number))


def promotion(
    spec: StudySpec, record: TrialRecord, place: str, *, budget_kimg: int, name: str,
    replicates: int, kept_kimg: int,
) -> Promotion:  # fmt: skip
    """A study of one configuration, that of the trial `record` of the study at `place`, at a budget
    of its own. `kept_kimg` is how far its last checkpoint has come in a run of the old budget (0:
    there is none).
    """
    config = configured(spec.trial, record.params)
    anew = _anew(config, budget_kimg, kept_kimg)
    origin = Origin(
        study=place, trial=record.number, digest=config.digest(), kimg=0 if anew else kept_kimg
    )
    made = replace(
        spec, study=name, trial=_block(config, budget_kimg), search=_axes(spec, config, record),
        trials=1, warm_start=({},), replicates=replicates, limits=Limits(), keep=Keep(),
        stopping=Stopping(first_rung_kimg=budget_kimg, fidelity="same_run"), origin=origin,
    )  # fmt: skip
    return Promotion(spec=made, anew=anew)


def _block(config: TrialConfig, budget_kimg: int) -> dict[str, Any]:
    """The whole configuration as a trial block: without presets, so that nothing is left to a
    table of another version.
    """
    return {**config.to_dict(), "budget_kimg": budget_kimg}


def _axes(spec: StudySpec, config: TrialConfig, record: TrialRecord) -> tuple[Axis, ...]:
    """The axes on which the trial has a value, which say where it lies in the old search. With one
    configuration nothing is searched; a study has an axis all the same.
    """
    mine = [
        replace(axis, when=())
        for axis in spec.search
        if axis.path in record.params and not chooses_part(axis.path)
    ]
    rate = config.optimizer.lr
    return tuple(mine) or (Axis(path=_LR, low=rate / 2, high=rate * 2, log=True),)


def _anew(config: TrialConfig, budget_kimg: int, kept_kimg: int) -> str:
    """Why a run of `budget_kimg` cannot go on from `kept_kimg` of a run of the old budget."""
    if not kept_kimg:
        return "its checkpoint is not kept"
    if kept_kimg > budget_kimg:
        return f"its checkpoint is at {kept_kimg} kimg, beyond the new budget"
    if config.post_hoc.snapshots:
        return "its snapshots (post_hoc) are spread over the old budget"
    longer = config.with_budget(budget_kimg)
    for look in range(_LOOKS + 1):
        seen = kept_kimg * look / _LOOKS
        before, after = seen / config.budget_kimg, seen / budget_kimg
        if _schedule(config, before) != _schedule(longer, after):
            return (
                f"the schedules are shares of the budget: at {seen:.3g} kimg a run of "
                f"{budget_kimg} kimg has other levels or another rate than one of "
                f"{config.budget_kimg}"
            )
    return ""


def _schedule(config: TrialConfig, progress: float) -> Mapping[str, Any]:
    """What training does at a share of its budget."""
    pairs, teacher = config.method.pairs, config.method.teacher
    slow = isinstance(teacher, EmaTeacher)
    return {
        "levels": pairs.levels(progress), "stage": pairs.stage(progress),
        "rate": config.optimizer.lr_at(progress),
        "teacher": teacher.decay(pairs.steps, progress) if slow else None,  # pyright: ignore
    }  # fmt: skip
