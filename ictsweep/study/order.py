"""A study's folder that somebody edited: what does not fit together is said before anything runs.

Nothing is repaired, because nobody knows what was meant. Folders whose names are no numbers are
nobody's business.
"""

from collections.abc import Sequence

from ictsweep.errors import StudyError
from ictsweep.records import Event
from ictsweep.storage.mirror import LOG
from ictsweep.storage.spec_file import SPEC
from ictsweep.study.changes import recorded
from ictsweep.study.engine import Engine
from ictsweep.study.forecast import NoSampler
from ictsweep.study.spec import StudySpec
from ictsweep.study.store import StudyFolder

_SHOWN = 5


def check_folder(folder: StudyFolder) -> list[Event]:
    """The study's log; StudyError if it contradicts itself, or trials lie there that it does not
    know.
    """
    events = folder.events()
    if wrong := misplaced(events, recorded(events) or folder.spec()):
        raise contradiction(folder, *wrong)
    known = {event.trial for event in events if event.kind == "ask"}
    numbers = (int(p.name) for p in (folder.path / "trials").glob("[0-9]*") if p.name.isdigit())
    if folder.spec().origin is not None:
        known.add(0)  # the checkpoint that it continues lies there before the trial is asked for
    strays = sorted(number for number in numbers if number not in known)
    if strays:
        raise StudyError(_of_strays(folder, strays, empty=not events))
    return events


def misplaced(events: Sequence[Event], spec: StudySpec) -> tuple[int, str] | None:
    """The first event that cannot stand where it does: its line (from 1), and why; None if all
    can.
    """
    engine = Engine(spec, [{}], NoSampler())
    most = 0  # the largest room so far: sessions of version 1 kept to that of the first one
    for line, event in enumerate(events, 1):
        if line > 1 and events[0].kind != "study":
            return 1, "the log does not begin with a study event"
        if why := misfit(engine, event) or _out_of_turn(engine, event, most):
            return line, why
        engine.apply(event)
        most = max(most, engine.slots)
    return None


def misfit(engine: Engine, event: Event) -> str:
    """Why an event can be none of a log that `engine` has taken in so far; "" if it can."""
    trial = event.trial
    if event.kind == "ask":
        due = engine.asked
        return "" if trial == due else f"trial {trial} is asked for where trial {due} is due"
    if trial is None:
        return ""
    if not 0 <= trial < engine.asked:
        return f"a {event.kind} event of trial {trial}, which was never asked for"
    if event.kind != "verdict":
        return ""
    if trial not in engine.flights:
        return f"{_named(event)}, which is not under way"
    rungs, rung = engine.spec.rungs, engine.flights[trial].rung
    if event.data["card"]["rung_kimg"] != rungs[rung]:
        return f"{_named(event)}, which is on its way to {rungs[rung]} kimg"
    last = rung == len(rungs) - 1
    return f"{_named(event)} lets it go on" if last and event.data["action"] == "continue" else ""


def _out_of_turn(engine: Engine, event: Event, most: int) -> str:
    """Why a decision could not yet be taken; "" if it could. Here a verdict is missed that was
    taken out.
    """
    awaited = engine.awaited()
    if awaited is None:
        return ""
    due = f"the verdict on trial {awaited[0]} at {awaited[1]} kimg is due"
    if event.kind == "ask" and len(engine.flights) >= most:
        return f"trial {event.trial} is asked for where {due}"
    if event.kind == "verdict" and event.trial != awaited[0]:
        return f"{_named(event)} where {due}"
    return ""


def _named(verdict: Event) -> str:
    return f"a verdict on trial {verdict.trial} at {verdict.data['card']['rung_kimg']} kimg"


def contradiction(folder: StudyFolder, line: int, why: str) -> StudyError:
    """What to say of an event that cannot stand where it does."""
    return StudyError(
        f"{folder.path / LOG}:{line}: {why}: lines were removed or added by hand, or "
        f"{SPEC} is another one. Restore the file, or cut the log before this line (and move away "
        "the folders of the trials that it then does not know) to continue from there."
    )


def _of_strays(folder: StudyFolder, strays: Sequence[int], *, empty: bool) -> str:
    names = ", ".join(f"trials/{number:04d}" for number in strays[:_SHOWN])
    more = f" and {len(strays) - _SHOWN} more" if len(strays) > _SHOWN else ""
    if empty:
        return (
            f"{folder.place}: {names}{more} are there, and the log is empty or missing "
            "(events.jsonl). Restore it; or move these folders away to begin anew."
        )
    return (
        f"{folder.place}: {names}{more}: the log knows no such trial. Move what is not this "
        "study's out of its folder."
    )
