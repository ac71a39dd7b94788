"""The terminal of a person who watches a study: kept free of what libraries say."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Send everything that libraries and their processes print to `log`; yields a console on the
    real standard output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    screen = os.fdopen(os.dup(1), "w", buffering=1)
    kept = [os.dup(1), os.dup(2)]
    sys.stdout.flush()
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield console_on(screen)
        finally:
            sys.stdout.flush()
            for number, saved in enumerate(kept, 1):
                os.dup2(saved, number)
                os.close(saved)
            screen.flush()


def console_on(file: TextIO) -> Console:
    """A console that wraps lines on a terminal only: logs are for grep."""
    return Console(file=file, width=None if file.isatty() else 200, highlight=False)
