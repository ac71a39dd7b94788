"""The terminal of a person who watches a study: kept free of what libraries say."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[Console]:
    """Send everything that libraries and their processes print to `log`; yields a console on the
    real standard output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    screen = _Screen(os.fdopen(os.dup(1), "wb"), line_buffering=True)
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


class _Screen(io.TextIOWrapper):
    """Standard output, whose reader may go before us (in `| tee log`, tee gets the same Ctrl-C):
    then nobody reads on, and the work does.
    """

    def write(self, text: str) -> int:
        """Write."""
        self._unread(lambda: super(_Screen, self).write(text))
        return len(text)

    def flush(self) -> None:
        """Flush."""
        self._unread(super().flush)

    def _unread(self, attempt: Callable[[], object]) -> None:
        try:
            attempt()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


def console_on(file: TextIO) -> Console:
    """A console that wraps lines on a terminal only: logs are for grep."""
    return Console(file=file, width=None if file.isatty() else 200, highlight=False)
