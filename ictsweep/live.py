"""What a person sees while a study runs: a live table on a terminal, plain lines elsewhere. Reads
the study's folder, nothing else.
"""

import contextlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ictsweep.records import Event, State, TrialRecord, trials
from ictsweep.study.forecast import MOST, forecast
from ictsweep.study.spec import StudySpec
from ictsweep.study.store import StudyFolder

_COLOURS = {
    State.RUNNING: "cyan", State.COMPLETE: "green", State.PRUNED: "yellow", State.FAILED: "red"
}  # fmt: skip
_ROWS = 14


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


@contextlib.contextmanager
def watching(folder: StudyFolder, console: Console) -> Iterator[None]:
    """Show the study on `console` for as long as the block runs."""
    done = threading.Event()
    show = _live if console.is_terminal else _plain
    thread = threading.Thread(target=show, args=(folder, console, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def snapshot(folder: StudyFolder) -> RenderableType:
    """The study as it stands: counts, best, time left, and its latest trials."""
    spec, events = folder.spec(), folder.events()
    records = trials(events)
    head = [headline(spec, records, events)]
    if any(r.state == State.RUNNING for r in records) and not folder.driven():
        head = [f"no driver is running; continue with: ictsweep resume {folder.path}", *head]
    return Group(*map(Text, head), _table(spec, records))


def headline(spec: StudySpec, records: Sequence[TrialRecord], events: Sequence[Event]) -> str:
    """One line: what is done, what is best so far, how long it will take."""
    count = Counter(record.state for record in records)
    states = ", ".join(f"{count[state]} {state}" for state in State if count[state])
    best = best_final(spec, records)
    parts = [f"{spec.study}: {len(records)}/{spec.total} trials asked", states or "none yet"]
    if best is not None:
        parts.append(f"best {spec.minimize} {final_value(spec, best):.4g} (trial {best.number})")
    started = max((e.time for e in events if e.kind == "study"), default=time.time())
    if State.RUNNING in count:
        parts.append(f"{timedelta(seconds=round(time.time() - started))} passed")
    left = seconds_left(spec, events)
    if left:
        parts.append(f"about {timedelta(seconds=round(left))} left")
    return "  |  ".join(parts)


def final_value(spec: StudySpec, record: TrialRecord) -> float | None:
    """The value at the full budget; None for a trial that did not get there."""
    last = record.at_rung(spec.rungs[-1], short_run=spec.short_run)
    return last.values[spec.minimize] if last and record.state == State.COMPLETE else None


def best_final(spec: StudySpec, records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The best configuration at full budget (replicates of the baseline are seeds, not
    configurations).
    """
    complete = [r for r in records if r.replicate_of is None and final_value(spec, r) is not None]
    return min(complete, key=lambda r: final_value(spec, r) or 0.0, default=None)


def seconds_left(spec: StudySpec, events: Sequence[Event]) -> float | None:
    """Time left, from the pace of this session so far and the study's clock run ahead; None before
    any verdict.
    """
    opened = [i for i, event in enumerate(events) if event.kind == "study"]
    if not opened or spec.total > MOST:
        return None
    session = events[opened[-1] :]
    slots = int(events[opened[0]].data["slots"])
    before, _ = forecast(spec, slots, events[: opened[-1]]) if opened[-1] else (0.0, 0.0)
    now, end = forecast(spec, slots, events)
    elapsed = time.time() - session[0].time
    if now <= before:
        return None
    return max(0.0, (end - now) * elapsed / (now - before))


def _table(spec: StudySpec, records: Sequence[TrialRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in (
        "trial",
        "state",
        *[f"{kimg} kimg" for kimg in spec.rungs],
        "what it does, why it ended",
    ):
        table.add_column(column, justify="left" if column[0].isalpha() else "right")
    running = [r for r in records if r.state == State.RUNNING]
    ended = [r for r in records if r.state != State.RUNNING]
    for record in sorted([*ended[-(_ROWS - len(running)) :], *running], key=lambda r: r.number):
        table.add_row(*_row(spec, record), style=None)
    return table


def _row(spec: StudySpec, record: TrialRecord) -> list[RenderableType]:
    name = f"{record.number}" if record.replicate_of is None else f"{record.number} (0 again)"
    cells: list[RenderableType] = [name, Text(record.state, style=_COLOURS[record.state])]
    for kimg in spec.rungs:
        measured = record.at_rung(kimg, short_run=spec.short_run)
        cells.append(f"{measured.values[spec.minimize]:.4g}" if measured else "")
    return [*cells, record.reason[:60] or _doing(record)]


def _doing(record: TrialRecord) -> str:
    """What a running trial does, as far as its log tells."""
    if not record.launches:
        return "waits for a place"
    if not record.measurements or record.measurements[-1].ends_run:
        return "starts" if not record.measurements else f"past {record.measurements[-1].kimg} kimg"
    last = record.measurements[-1]
    return f"at {last.kimg} of {last.run_kimg} kimg"


def _live(folder: StudyFolder, console: Console, done: threading.Event) -> None:
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while not done.wait(1.0):
            live.update(snapshot(folder))


def _plain(folder: StudyFolder, console: Console, done: threading.Event) -> None:
    spec, seen = folder.spec(), len(folder.events())
    finished = False
    while not finished:
        finished = done.wait(2.0)
        events = folder.events()
        for event in events[seen:]:
            line = _line(spec, event)
            if line:
                console.print(line, highlight=False, soft_wrap=True)
            if line and event.kind == "verdict" and event.data["action"] != "continue":
                console.print(
                    "  " + headline(spec, trials(events), events), highlight=False, soft_wrap=True
                )
        seen = len(events)


def _line(spec: StudySpec, event: Event) -> str:
    if event.kind == "launch":
        return f"trial {event.trial}: started"
    if event.kind == "fail":
        return f"trial {event.trial}: {event.data['kind']}: {event.data['message']}"
    if event.kind == "verdict":
        card = event.data["card"]
        value = "" if card["value"] is None else f" {spec.minimize} {card['value']:.4g}"
        rank = "" if card["rank"] is None else f", rank {card['rank']} of {card['of']}"
        return f"trial {event.trial}: {card['rung_kimg']} kimg{value}{rank}: {event.data['action']}"
    return ""
