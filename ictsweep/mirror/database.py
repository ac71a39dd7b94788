"""An Optuna RDB storage as the place of a mirror: rows are written in few large transactions.

Optuna's own storage methods commit once per value, refuse to touch a finished trial and stamp its
end with the present. A mirror writes what the log says, again if need be, so the rows are written
here: each transaction leaves the trials that it is about exactly as their pictures have them.
"""

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import URL, delete, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from ictsweep.errors import StudyError
from ictsweep.mirror.picture import content

BATCH = 200  # trials in a transaction
IDENTITY = "ictsweep_study"
_ABOUT = "a mirror of an ictsweep study's event log; what is changed here is overwritten"
_SHOWN = (
    models.TrialParamModel,
    models.TrialValueModel,
    models.TrialIntermediateValueModel,
    models.TrialUserAttributeModel,
)
_OTHERS = (models.TrialSystemAttributeModel, models.TrialHeartbeatModel)
_PATIENCE = {  # seconds to wait for a lock, for a connection; libpq's own in milliseconds
    "sqlite": {"timeout": 30},
    "postgresql": {"connect_timeout": 10, "tcp_user_timeout": 60_000},
}


class Database:
    """The Optuna study that mirrors one ictsweep study, made if it is not there yet.

    StudyError when the name is taken by another study: it is left as it is.
    """

    def __init__(self, url: URL, study: str, identity: str, metric: str) -> None:
        """`identity` tells studies of one name apart; `metric` is what Optuna calls the value."""
        logging.getLogger("optuna").setLevel(logging.WARNING)
        self._storage = _storage(url)
        self._sessions = sessionmaker(self._storage.engine)
        with self._sessions.begin() as session:
            self._study_id = _claimed(session, url, study, identity, metric)

    def close(self) -> None:
        """Give the connections back."""
        self._storage.engine.dispose()

    def repair(self, pictures: Iterable[FrozenTrial]) -> None:
        """Make the mirror equal to `pictures`, all trials by number from 0.

        From the first trial that is missing, foreign or out of place, all are written anew: Optuna
        and its dashboard take a trial's number for its place among the rows.
        """
        there = self._storage.get_all_trials(self._study_id, deepcopy=False)
        sound = _in_place(there)
        self._remove([trial._trial_id for trial in there[sound:]])
        shown = iter(there[:sound])
        unlike = (
            p for p in pictures if (s := next(shown, None)) is None or content(p) != content(s)
        )
        while batch := list(islice(unlike, BATCH)):
            self.write(batch)
        self._remove([trial._trial_id for trial in shown])

    def write(self, pictures: Sequence[FrozenTrial]) -> None:
        """Leave these trials as their pictures have them: all or, if it fails, none."""
        with self._alone() as session:
            rows = self._rows(session, pictures)
            session.flush()
            ids = {number: row.trial_id for number, row in rows.items()}
            parts = [part for p in pictures for part in _parts(p, ids[p.number])]
            for model in _SHOWN:
                session.execute(delete(model).where(model.trial_id.in_(ids.values())))
                if columns := [columns for kind, columns in parts if kind is model]:
                    session.execute(insert(model), columns)

    def _rows(self, session: Session, pictures: Sequence[FrozenTrial]) -> dict[int, Any]:
        """The trials' own rows by number, those that are there brought up to date."""
        model: Any = models.TrialModel
        found = session.scalars(
            select(model).where(
                model.study_id == self._study_id, model.number.in_([p.number for p in pictures])
            )
        )
        rows = {row.number: row for row in found}
        for p in pictures:
            row = rows.setdefault(p.number, model(study_id=self._study_id, number=p.number))
            row.state = p.state
            row.datetime_start, row.datetime_complete = p.datetime_start, p.datetime_complete
        session.add_all(rows.values())
        return rows

    def _remove(self, trial_ids: Sequence[int]) -> None:
        for start in range(0, len(trial_ids), BATCH):
            batch = trial_ids[start : start + BATCH]
            with self._alone() as session:
                for model in (*_SHOWN, *_OTHERS, models.TrialModel):
                    session.execute(delete(model).where(model.trial_id.in_(batch)))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Session]:
        """A transaction beside which no other mirror, and no Optuna process, adds a trial: it
        begins by writing the study's row, which locks that row, or all of SQLite's file.
        """
        model = models.StudyModel
        lock = update(model).where(model.study_id == self._study_id)
        with self._sessions.begin() as session:
            locked: Any = session.execute(lock.values(study_name=model.study_name))
            if not locked.rowcount:
                raise StudyError("the mirror was deleted while it was written")
            yield session


def _storage(url: URL) -> RDBStorage:
    """Optuna's storage: it makes the tables, and refuses those of another version."""
    text = url.render_as_string(hide_password=False)
    return RDBStorage(
        text.replace("{", "{{").replace("}", "}}"),  # to Optuna the URL is a template
        engine_kwargs={"connect_args": _PATIENCE[url.get_backend_name()]},
    )


def _claimed(session: Session, url: URL, study: str, identity: str, metric: str) -> int:
    """The id of the mirror of study `study`, made in this transaction if there is none."""
    row: Any = models.StudyModel.find_by_name(study, session)
    if row is None:
        row = _blank(study, identity, metric)
        session.add(row)
        session.flush()
    marks = [json.loads(a.value_json) for a in row.user_attributes if a.key == IDENTITY]
    if marks != [identity]:
        what = "the mirror of another study" if marks else "a study that is no mirror of ours"
        raise StudyError(
            f"{url!r}: {study!r} in it is {what}; it is left as it is. Take another database, "
            f"or remove it with `optuna delete-study --study-name {study} --storage URL`."
        )
    return row.study_id


def _blank(study: str, identity: str, metric: str) -> Any:
    says = {IDENTITY: identity, "about": _ABOUT}
    return models.StudyModel(
        study_name=study,
        directions=[models.StudyDirectionModel(direction=StudyDirection.MINIMIZE, objective=0)],
        user_attributes=[
            models.StudyUserAttributeModel(key=key, value_json=json.dumps(value))
            for key, value in says.items()
        ],
        system_attributes=[
            models.StudySystemAttributeModel(
                key="study:metric_names", value_json=json.dumps([metric])
            )
        ],
    )


def _in_place(there: Sequence[FrozenTrial]) -> int:
    """How many of the first rows have the number of their place."""
    wrong = (place for place, trial in enumerate(there) if trial.number != place)
    return next(wrong, len(there))


def _parts(p: FrozenTrial, trial_id: int) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A trial's rows in the other tables: model and columns."""
    for path, value in p.params.items():
        among = p.distributions[path]
        yield models.TrialParamModel, {
            "trial_id": trial_id, "param_name": path, "param_value": among.to_internal_repr(value),
            "distribution_json": distribution_to_json(among),
        }  # fmt: skip
    if p.value is not None:
        model = models.TrialValueModel
        value, kind = model.value_to_stored_repr(p.value)
        yield model, {"trial_id": trial_id, "objective": 0, "value": value, "value_type": kind}
    for step, reported in p.intermediate_values.items():
        model = models.TrialIntermediateValueModel
        value, kind = model.intermediate_value_to_stored_repr(reported)
        yield model, {
            "trial_id": trial_id, "step": step, "intermediate_value": value,
            "intermediate_value_type": kind,
        }  # fmt: skip
    for key, attribute in p.user_attrs.items():
        text = json.dumps(attribute)
        yield models.TrialUserAttributeModel, {"trial_id": trial_id, "key": key, "value_json": text}
