"""A study's folder that somebody edited: what does not fit together is said before anything runs.

Nothing is repaired, because nobody knows what was meant. Folders whose names are no numbers are
nobody's business.
"""

from collections.abc import Sequence

from ictsweep.errors import StudyError
from ictsweep.records import Event
from ictsweep.study.store import StudyFolder

_SHOWN = 5


def check_folder(folder: StudyFolder) -> list[Event]:
    """The study's log; StudyError if it contradicts itself, or trials lie there that it does not
    know.
    """
    events = folder.events()
    if wrong := misplaced(events):
        line, why = wrong
        raise StudyError(
            f"{folder.path / 'events.jsonl'}:{line}: {why}: lines were removed or added by hand. "
            "Restore the file, or cut it before this line (and move away the folders of the trials "
            "that it then does not know) to continue from there."
        )
    known = {event.trial for event in events if event.kind == "ask"}
    numbers = (int(p.name) for p in (folder.path / "trials").glob("[0-9]*") if p.name.isdigit())
    if folder.spec().origin is not None:
        known.add(0)  # the checkpoint that it continues lies there before the trial is asked for
    strays = sorted(number for number in numbers if number not in known)
    if strays:
        raise StudyError(_of_strays(folder, strays, empty=not events))
    return events


def misplaced(events: Sequence[Event]) -> tuple[int, str] | None:
    """The first event that cannot stand where it does: its line (from 1), and why; None if all
    can.
    """
    asked = 0
    for line, event in enumerate(events, 1):
        if line > 1 and events[0].kind != "study":
            return 1, "the log does not begin with a study event"
        if event.kind == "ask":
            if event.trial != asked:
                return line, f"trial {event.trial} is asked for where trial {asked} is due"
            asked += 1
        elif event.trial is not None and not 0 <= event.trial < asked:
            return line, f"a {event.kind} event of trial {event.trial}, which was never asked for"
    return None


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
