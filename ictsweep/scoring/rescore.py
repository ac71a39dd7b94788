"""A study's trials measured again under another passport, and what that does to their ranking."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ictsweep.errors import UserError
from ictsweep.evaluation import BELOW, DISTANCES, Estimate
from ictsweep.progress import Progress
from ictsweep.records import State, TrialRecord
from ictsweep.scoring.agreement import Agreement, agreement
from ictsweep.scoring.draw import passports, read_draw, score_draw
from ictsweep.scoring.judge import Judge, Wanted
from ictsweep.scoring.subject import Subject
from ictsweep.scoring.work import identity, read_json, write_json
from ictsweep.study.store import StudyFolder
from ictsweep.training.checkpoints import is_whole

# Of a passport: the instrument, not the model.
_INSTRUMENT = ("metric", "extractor", "weights", "resize", "images", "latent_seed", "reference")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A trial's value in the study and measured again."""

    trial: int
    old: float
    new: Estimate


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The trials of a study that were measured again, best new value first where `ranked`.

    `old_key` and `new_key` name the numbers, `metric` the new one for people, and `higher` says
    that more of it is better. `below`: the new number has no more samples than features, so it is
    marked and ranks nothing. `left_out` says which finished trials have no checkpoint.
    """

    old_key: str
    new_key: str
    metric: str
    higher: bool
    below: bool
    rows: tuple[Row, ...]
    left_out: tuple[int, ...]
    agreement: Agreement
    place: Path

    @property
    def ranked(self) -> bool:
        """Whether the new numbers may be ranked."""
        return not self.below


@dataclass(frozen=True, kw_only=True, eq=False)
class Rescoring:
    """A study's kept checkpoints that are measured again as `wanted`."""

    folder: StudyFolder
    wanted: Wanted
    records: tuple[TrialRecord, ...]
    left_out: tuple[int, ...]

    @staticmethod
    def of(folder: StudyFolder, wanted: Wanted) -> "Rescoring":
        """The rescoring of the trials that reached the full budget and whose last checkpoint is
        kept; UserError if there are none.
        """
        finished = [r for r in folder.trials() if r.state == State.COMPLETE]
        kept = [r for r in finished if _has_checkpoint(_place(folder, r))]
        if not kept:
            raise UserError(
                f"{folder.place}: no finished trial with its last checkpoint in it; `ictsweep "
                f"status {folder.place}` says how it stands"
            )
        missing = tuple(r.number for r in finished if r not in kept)
        return Rescoring(folder=folder, wanted=wanted, records=tuple(kept), left_out=missing)

    def judge(self, record: TrialRecord) -> Judge:
        """The judge of a trial: on the study's latents."""
        subject = Subject.of(_place(self.folder, record))
        cache = self.folder.path.parent / ".cache"
        return Judge.of(subject, self.wanted, self.folder.spec().seed, cache)

    def measure(self) -> Iterator[Progress]:
        """Measure every trial: STUDY/rescored/DIGEST/TRIAL.json. What is there already is not done
        again; a kill costs one chunk of samples.
        """
        done, trials = 0, len(self.records)
        for record in self.records:
            judge = self.judge(record)
            place = place_of(self.folder, judge) / f"{record.number:04d}"
            for step in score_draw(judge, place):
                yield Progress(done + step.done, trials * step.total, step.unit)
            done += step.total
            draw = read_draw(judge, place)
            assert draw is not None
            write_json(place.with_suffix(".json"), {"trial": record.number, **draw.to_dict()})

    def ranking(self) -> Ranking:
        """The trials in their old and their new order; `measure` must have ended."""
        spec = self.folder.spec()
        judge = self.judge(self.records[0])
        key = _matching(judge, spec.minimize)
        place, passport = place_of(self.folder, judge), passports(judge)[key]
        rows = [
            Row(trial=r.number, old=_old(self.folder, r), new=_new(place, r, key))
            for r in self.records
        ]
        higher, below = not key.startswith(DISTANCES), BELOW in passport
        sign = -1 if higher else 1
        if not below:
            rows.sort(key=lambda row: (sign * row.new.value, row.trial))
        return Ranking(
            old_key=spec.minimize, new_key=key, metric=passport["metric"], higher=higher,
            below=below, rows=tuple(rows), left_out=self.left_out,
            agreement=agreement([r.old for r in rows], [sign * r.new.value for r in rows]),
            place=place,
        )  # fmt: skip


def place_of(folder: StudyFolder, judge: Judge) -> Path:
    """Where the numbers of this instrument are kept in a study."""
    found: dict[str, Mapping[str, Any]] = passports(judge)  # pyright: ignore[reportAssignmentType]
    instrument = {key: [p.get(part) for part in _INSTRUMENT] for key, p in found.items()}
    return folder.path / "rescored" / identity(instrument)


def _new(place: Path, record: TrialRecord, key: str) -> Estimate:
    """A trial's new number, from what `measure` left: no model is opened again for it."""
    facts = read_json(place / f"{record.number:04d}.json")
    if facts is None:  # its configuration names another instrument than the first trial's
        raise UserError(
            f"trial {record.number} is not measured as the others are: its own configuration asks "
            "for other samples or features; say which for all (--images, --features, --metrics)"
        )
    return Estimate(facts["values"][key], facts["errors"][key])


def _place(folder: StudyFolder, record: TrialRecord) -> Path:
    budget = folder.spec().rungs[-1]
    return folder.trial_dir(record.number) / "checkpoints" / f"{budget:06d}-{budget:06d}"


def _has_checkpoint(place: Path) -> bool:
    return (place / "meta.json").exists() and is_whole(place)


def _old(folder: StudyFolder, record: TrialRecord) -> float:
    spec = folder.spec()
    measured = record.at_rung(spec.rungs[-1], short_run=spec.short_run)
    assert measured is not None  # it is complete
    return measured.values[spec.minimize]


def _matching(judge: Judge, old: str) -> str:
    """The new number that stands for the old one: of as many steps, a distance if there is one."""
    way = old.partition("_")[2]
    found = [key for key in passports(judge) if key.partition("_")[2] == way]
    if not found:
        raise UserError(f"the study minimises {old}, and nothing was measured in as many steps")
    return next((key for key in found if key.startswith(DISTANCES)), found[0])
