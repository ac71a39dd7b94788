"""How far long work has come: a bar on a terminal, few lines elsewhere, and the time left."""

import io
from collections.abc import Iterator

import pytest

from ictsweep.cli import bars
from ictsweep.cli.bars import Pace, follow, line
from ictsweep.progress import Progress


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes as the work says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(bars.time, "monotonic", lambda: self.now)


def work(clock: Clock, steps: int, seconds: float, total: int = 0) -> Iterator[Progress]:
    """`steps` steps of 10 images that take some seconds each."""
    for i in range(1, steps + 1):
        clock.now += seconds
        yield Progress(10 * i, total or 10 * steps, "images")


def test_a_log_gets_few_lines_and_always_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 s of work, a line every half minute: at 1, 31, 61, 91 and 100 s."""
    out = io.StringIO()
    follow(work(Clock(monkeypatch), 100, 1.0), "sample", out)
    done = [int(text.split()[1].replace(",", "")) for text in out.getvalue().splitlines()]
    assert done == [10, 310, 610, 910, 1000]
    assert out.getvalue().endswith("sample: 1,000 of 1,000 images (100 %)\n")


def test_the_time_left_is_that_of_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    follow(work(Clock(monkeypatch), 61, 1.0, total=1210), "sample", out)
    assert "sample: 310 of 1,210 images (26 %), about 0:01:30 left" in out.getvalue()


def test_what_was_ready_before_is_no_pace() -> None:
    """5,000 were there; 100 took 10 s since: the other 900 take 90 s."""
    pace = Pace()
    pace.see(5000, 3.0)
    assert pace.left(Progress(5000, 6000, "images")) is None
    pace.see(5100, 13.0)
    assert pace.left(Progress(5100, 6000, "images")) == pytest.approx(90.0)


def test_lines_in_words() -> None:
    assert line("x", Progress(4096, 50_000, "images"), 720.0) == (
        "x: 4,096 of 50,000 images (8 %), about 0:12:00 left"
    )
    assert line("x", Progress(7, 0, "bytes"), None) == "x: 7 bytes"
    assert line("x", Progress(9, 9, "files"), 0.0) == "x: 9 of 9 files (100 %)"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    follow((Progress(i, 4, "images") for i in range(1, 5)), "evaluate", out)
    text = out.getvalue()
    assert "evaluate" in text
    assert "4/4" in text
    assert "images" in text
    assert "\x1b[" in text  # drawn over, not line after line


@pytest.mark.parametrize("file", [io.StringIO, Terminal])
def test_no_work_shows_nothing_wrong(file: type[io.StringIO]) -> None:
    follow(iter(()), "x", file())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_work_that_stops_lets_go_of_what_it_holds(error: type[BaseException]) -> None:
    """A lock is given back at once, and Ctrl-C says that nothing is lost."""
    held: list[str] = []

    def steps() -> Iterator[Progress]:
        held.append("lock")
        try:
            yield Progress(1, 3, "images")
            raise error
        finally:
            held.clear()

    out = io.StringIO()
    with pytest.raises(error):
        follow(steps(), "sample", out)
    assert held == []
    assert ("the same command goes on" in out.getvalue()) == (error is KeyboardInterrupt)
