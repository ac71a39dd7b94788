"""Watching a study: beside its driver, or from another terminal, until it ends."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console, RenderableType
from rich.live import Live

from ictsweep.live.board import Board
from ictsweep.live.drawing import drawing, headline
from ictsweep.live.lines import ends_trial, line
from ictsweep.live.pace import Pace
from ictsweep.records import Event
from ictsweep.shell import command
from ictsweep.storage.locks import LOCK, held
from ictsweep.study.order import contradiction
from ictsweep.study.store import StudyFolder

_LIVE_S, _PLAIN_S = 1.0, 2.0  # between two looks
_BUCKET_S = 5.0  # between two questions to a bucket


class Watcher:
    """A study as it stands, brought up to date by reading what is new in its log."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._tail = folder.tail()
        self._driven = False
        self._asked: float | None = None
        self._begin()

    def news(self) -> Iterator[Event]:
        """The events since it was last asked; they are on the board as they come. StudyError at one
        that contradicts those before it.
        """
        self._ask()
        if self._tail.begun_anew() or not self._tail.read:
            self._begin()
        for event in self._tail.news():
            if why := self._pace.misfit(event):
                raise contradiction(self._folder, self._tail.read, why)
            self.board.apply(event)
            self._pace.apply(event)
            yield event

    def look(self) -> RenderableType:
        """The study now."""
        for _ in self.news():
            pass
        now = self._now()
        return drawing(self.board, now, self._left(now), self._hint())

    def headline(self) -> str:
        """The study now, in one line."""
        now = self._now()
        return headline(self.board, now, self._left(now))

    @property
    def over(self) -> bool:
        """Whether nothing more will happen: the study has ended, or its driver stopped early and
        none has taken over.
        """
        stopped = self.board.finished or bool(self.board.halt)
        return stopped and not self._driven

    def _ask(self) -> None:
        """Bring what is new of a study in a bucket, though not at every look; learn whether a
        driver holds the study.
        """
        now = time.monotonic()
        elsewhere = self._folder.remote is not None
        if elsewhere and self._asked is not None and now - self._asked < _BUCKET_S:
            return
        self._driven = self._folder.driven()  # first: what it wrote before it left is there then
        self._folder.refresh()
        self._asked = now

    def _begin(self) -> None:
        spec = self._folder.spec()
        self.board, self._pace = Board(spec), Pace(spec)
        self._dated = 0
        self._ahead = 0.0

    def _now(self) -> float:
        """Now, on the log's clock: that of its driver, which follows no jump of the system's. It
        stands at the last event where no driver runs.
        """
        last = self.board.meter.last
        if not self._driven:
            return last
        if self._dated != self._tail.read:
            self._dated = self._tail.read
            self._ahead = last + self._silence(last) - time.monotonic()
        return self._ahead + time.monotonic()

    def _silence(self, last: float) -> float:
        """Seconds since the event of time `last` was recorded. A copy of what another machine wrote
        to a bucket does not tell: there its clock and this one's have to agree.
        """
        here = self._folder.remote is None or held(self._folder.path / LOCK)
        return max(0.0, time.time() - (self._tail.written() if here else last))

    def _left(self, now: float) -> float | None:
        return self._pace.left(now) if self.board.running and not self.board.halt else None

    def _hint(self) -> str:
        if self.board.finished or self._driven:
            return ""
        return f"no driver is running; continue with: {command('resume', self._folder.place)}"


def snapshot(folder: StudyFolder) -> RenderableType:
    """The study as it stands: counts, best, spending, time left, and its latest trials."""
    return Watcher(folder).look()


@contextlib.contextmanager
def watching(folder: StudyFolder, console: Console) -> Iterator[None]:
    """Show the study on `console` for as long as the block runs."""
    done = threading.Event()
    watcher = Watcher(folder)
    for _ in watcher.news():  # what was before is not told again
        pass
    show = _live if console.is_terminal else _plain
    thread = threading.Thread(target=show, args=(watcher, console, done.wait), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def watch(folder: StudyFolder, console: Console) -> None:
    """Show the study on `console` until it ends (`Watcher.over`), or until Ctrl-C: a table that is
    kept up to date on a terminal, elsewhere the table once and then a line for each event.
    """
    watcher = Watcher(folder)
    first = watcher.look()
    if watcher.over or not console.is_terminal:
        console.print(first)
    if watcher.over:
        return

    def ended(seconds: float) -> bool:
        over = watcher.over
        if not over:
            time.sleep(seconds)
        return over

    (_live if console.is_terminal else _plain)(watcher, console, ended)
    console.print(watcher.look())


def _live(watcher: Watcher, console: Console, ended: Callable[[float], bool]) -> None:
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        live.update(watcher.look())
        while not ended(_LIVE_S):
            live.update(watcher.look())


def _plain(watcher: Watcher, console: Console, ended: Callable[[float], bool]) -> None:
    finished = False
    while not finished:
        finished = ended(_PLAIN_S)
        for event in watcher.news():
            if text := line(watcher.board.spec, event):
                console.print(text, highlight=False, soft_wrap=True, markup=False)
            if ends_trial(event):
                console.print("  " + watcher.headline(), highlight=False, soft_wrap=True)
