"""The mirror of a study in an Optuna RDB storage, for optuna-dashboard and everything else that
reads one.
"""

from collections.abc import Iterable, Iterator

from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ictsweep.errors import UserError
from ictsweep.mirror.database import Database
from ictsweep.mirror.following import Following, gist
from ictsweep.mirror.index import Index
from ictsweep.mirror.picture import content, picture
from ictsweep.shell import command
from ictsweep.study.space import distributions
from ictsweep.study.store import StudyFolder

_FORMS = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"


class Mirror:
    """A study's mirror: `catch_up` brings it to the log's end.

    The first time it is compared with the log and repaired; then what is new is written. A trial
    that is launched again is the same Optuna trial: it is RUNNING until its last verdict. After an
    error, make a new one.
    """

    def __init__(self, folder: StudyFolder, url: URL) -> None:
        self._url = url
        self._index = Index(folder)
        self._database: Database | None = None
        self._marks: dict[int, int] = {}
        self._distributions: dict[int, dict[str, BaseDistribution]] = {}

    def catch_up(self) -> None:
        """Take over what was added to the log since the last time."""
        new = self._index.advance()
        if new and self._database is None:
            spec = self._index.spec(0)
            self._database = Database(self._url, spec.study, self._index.identity, spec.minimize)
            self._database.repair(self._changed(range(len(self._index))))
        elif self._database is not None and (changed := list(self._changed(new))):
            self._database.write(changed)

    def close(self) -> None:
        """Disconnect."""
        if self._database is not None:
            self._database.close()

    def _changed(self, numbers: Iterable[int]) -> Iterator[FrozenTrial]:
        """The pictures of trials that do not look as they did: not every event shows."""
        for number in numbers:
            made = self._picture(number)
            mark = hash(content(made))
            if self._marks.get(number) != mark:
                self._marks[number] = mark
                yield made

    def _picture(self, number: int) -> FrozenTrial:
        spec, session = self._index.spec(number), self._index.session(number)
        if session not in self._distributions:
            self._distributions[session] = distributions(spec)
        return picture(spec, self._distributions[session], self._index.record(number))


def storage_url(text: str) -> URL:
    """The URL of a storage that can be mirrored into; UserError otherwise, before anything is
    connected.
    """
    try:
        url = make_url(text)
        dialect = url.get_dialect()
        dialect.import_dbapi()
    except ArgumentError:
        raise UserError(f"mirror {text}: not the URL of a database; expected {_FORMS}") from None
    except ImportError as error:
        raise UserError(
            f"mirror {text.partition(':')[0]}: {error}; `pip install 'ictsweep[postgresql]'` "
            "brings what talks to PostgreSQL"
        ) from None
    if dialect.name not in ("sqlite", "postgresql") or url.database in (None, "", ":memory:"):
        raise UserError(f"mirror {url!r}: expected {_FORMS}")
    return url


def mirroring(folder: StudyFolder, url: URL) -> Following:
    """Keeps the mirror at `url` up to date beside a running study."""
    remedy = command("mirror", folder.place, repr(url))
    return Following(f"mirror {url!r}", lambda: Mirror(folder, url), remedy)


def mirror(folder: StudyFolder, url: URL) -> None:
    """Make the mirror at `url` equal to the study's log; UserError if it cannot be written."""
    made = Mirror(folder, url)
    try:
        made.catch_up()
    except (SQLAlchemyError, OptunaError, RuntimeError) as error:
        raise UserError(f"mirror {url!r}: {gist(error)}") from error
    finally:
        made.close()
