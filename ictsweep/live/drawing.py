"""A study's state as lines and a table."""

from collections.abc import Iterator
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ictsweep.live.board import Board, Row
from ictsweep.live.lines import no_machine
from ictsweep.records import State
from ictsweep.study.spending import Spent

_COLOURS = {
    State.RUNNING: "cyan", State.COMPLETE: "green", State.PRUNED: "yellow", State.FAILED: "red"
}  # fmt: skip
_WIDEST = 60


def drawing(board: Board, now: float, left: float | None, hint: str = "") -> RenderableType:
    """The study at `now` (seconds since the epoch), `left` seconds from its end as far as that is
    known; `hint` says what to do where no driver runs.
    """
    refused = no_machine(board.refused) if board.refused and not board.halt else ""
    lines = [hint, headline(board, now, left), means(board, now), refused, _halt(board)]
    return Group(*(Text(line) for line in lines if line), _table(board))


def headline(board: Board, now: float, left: float | None) -> str:
    """One line: what is done, what is best so far, how long it takes."""
    states = ", ".join(f"{board.count(state)} {state}" for state in State if board.count(state))
    parts = [
        f"{board.spec.study}: {board.asked}/{board.spec.total} trials asked", states or "none yet"
    ]  # fmt: skip
    if board.best is not None:
        value, number = board.best
        parts.append(f"best {board.spec.minimize} {value:.4g} (trial {number})")
    if board.running and board.opened is not None:
        parts.append(f"{_span(now - board.opened)} passed")
    if board.running and left:
        parts.append(f"about {_span(left)} left")
    return "  |  ".join(parts)


def means(board: Board, now: float) -> str:
    """One line: the room, launches after failures, and what was spent of what may be."""
    spent = board.meter.spent(now if board.running and not board.halt else None)
    parts = [f"room for {board.slots} trial(s) at once"]
    if board.retries:
        parts.append(f"{board.retries} launched again after a failure")
    return "  |  ".join([*parts, *_spending(board, spent)])


def _spending(board: Board, spent: Spent) -> Iterator[str]:
    limits = board.spec.limits
    yield f"{_of(spent.hours, limits.max_hours)} hours"
    if spent.gpu_hours or limits.max_gpu_hours:
        yield f"{_of(spent.gpu_hours, limits.max_gpu_hours)} GPU-hours"
    if (cost := spent.cost(limits)) is not None:
        yield f"cost {_of(cost, limits.max_cost)}"


def _of(used: float, limit: float | None) -> str:
    return f"{used:.3g}" if limit is None else f"{used:.3g} of {limit:g}"


def _halt(board: Board) -> str:
    return f"stopped early: {board.halt}" if board.halt else ""


def _span(seconds: float) -> str:
    return str(timedelta(seconds=max(0, round(seconds))))


def _table(board: Board) -> Table:
    table = Table(box=None, pad_edge=False)
    rungs = [f"{kimg} kimg" for kimg in board.spec.rungs]
    for column in ("trial", "state", *rungs, "what it does, why it ended"):
        table.add_column(column, justify="left" if column[0].isalpha() else "right")
    for row in board.shown():
        table.add_row(*_cells(board, row))
    return table


def _cells(board: Board, row: Row) -> list[RenderableType]:
    name = f"{row.number}" if row.replicate_of is None else f"{row.number} (0 again)"
    values = [row.values.get(kimg) for kimg in board.spec.rungs]
    scores = ["" if value is None else f"{value:.4g}" for value in values]
    return [name, Text(row.state, style=_COLOURS[row.state]), *scores, row.doing[:_WIDEST]]
