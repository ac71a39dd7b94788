"""The databases that mirrors are written to: SQLite, and PostgreSQL where it is installed."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import URL

from ictsweep.study.store import StudyFolder
from tests.mirror.logs import study
from tests.mirror.servers import Postgres, postgres_binaries

Fresh = Callable[[], URL]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of our own."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    server = Postgres(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


_numbers = count()


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Fresh:
    """Makes new, empty databases of one kind."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        return lambda: server.schema(f"mirror_{next(_numbers)}")
    return lambda: URL.create("sqlite", database=str(tmp_path / f"mirror {next(_numbers)}.db"))


@pytest.fixture
def url(fresh: Fresh) -> URL:
    """A new, empty database."""
    return fresh()


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A finished study; never written to by tests."""
    return study(tmp_path_factory.mktemp("whole") / "s")
