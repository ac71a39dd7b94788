"""A study's space that is another one than it was: what may change between two sessions.

Its last session recorded the spec it ran with. What decides on the trials there are already (their
configurations, rungs, seeds, what they are measured by) stays as it is, or old and new trials would
not be one study; what only says how many follow, and on what, may be changed when a person accepts
it. The next session records the spec it runs with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ictsweep.errors import StudyError
from ictsweep.problems import shown
from ictsweep.records import Event
from ictsweep.shell import command
from ictsweep.storage.spec_file import SPEC
from ictsweep.study.axes import flattened
from ictsweep.study.spec import StudySpec, spec_from_dict, spec_to_dict
from ictsweep.study.store import StudyFolder, spec_text

_FREE = ("limits.", "keep.", "resources.", "sampler.")
_FIXED = {
    "resources.launch_kimg": "the order of decisions so far was counted with it",
    "warm_start": "the trials to begin with were asked for as it was",
    "seed": "all trials' seeds come of it",
    "replicates": "the seeds of trial 0 were asked for as it was",
    "minimize": "trials were ranked by it",
    "stopping": "trials were judged by it",
    "search": "the sampler has suggested on these axes",
    "trial": "trials were trained with it",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """A value that is another one: `why` it has to stay, "" if it may change."""

    path: str
    old: Any
    new: Any
    why: str

    def __str__(self) -> str:
        text = f"{self.path}: {shown(self.old)} when it last ran, {shown(self.new)} now"
        return f"{text} (cannot change: {self.why})" if self.why else text


def changes(old: StudySpec, new: StudySpec, asked: int) -> list[Change]:
    """How a study's spec differs from the one it ran with, when `asked` of its trials have been
    asked for.
    """
    least = max(1, asked - old.replicates + 1)
    return [
        Change(path=path, old=before, new=after, why=_why(path, new, least))
        for path, before, after in _different(spec_to_dict(old), spec_to_dict(new))
    ]


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    before, after = flattened(old), flattened(new)
    for path in dict.fromkeys([*before, *after]):
        if before.get(path) != after.get(path):
            yield path, before.get(path), after.get(path)


def _why(path: str, new: StudySpec, least: int) -> str:
    if path == "trials":
        enough = new.trials >= least
        return "" if enough else f"{least} configurations were asked for already"
    fixed = (why for name, why in _FIXED.items() if path == name or path.startswith(f"{name}."))
    if why := next(fixed, ""):
        return why
    return "" if path.startswith(_FREE) else "it is the study's identity"


def agreed(
    folder: StudyFolder, events: list[Event], wanted: StudySpec | None, *, accept: bool
) -> StudySpec:
    """The spec that a study with this log goes on with. StudyError, naming every difference, if it
    is another one than the study ran with and nobody accepted that, or cannot be accepted.
    """
    new = folder.spec() if wanted is None else wanted
    old = recorded(events)
    asked = sum(event.kind == "ask" for event in events)
    found = [] if old is None or not asked else changes(old, new, asked)
    if stuck := [change for change in found if change.why]:
        raise StudyError(_refused(folder, found, _new_study(folder, stuck)))
    if found and not accept:
        way = "Accept this with --accept-space-change, or put the old values back."
        raise StudyError(_refused(folder, found, way))
    return new


def check_begun(folder: StudyFolder, spec: StudySpec) -> None:
    """StudyError unless the study is the one that was begun with this spec: until its driver held
    it, another could begin one of the same name.
    """
    if (folder.path / SPEC).read_bytes() == spec_text(spec):
        return
    watch, again = command("status", folder.place), command("run", "SPACE", "--name", "NAME")
    raise StudyError(
        f"{folder.place}: another study of this name was begun a moment ago, with another space; "
        f"nothing was run of this one. Watch that with `{watch}`, and give this one a name of its "
        f"own (`{again}`)."
    )


def recorded(events: list[Event]) -> StudySpec | None:
    """The spec that the last session ran with; None in logs that do not say it."""
    for event in reversed(events):
        if event.kind == "study":
            return spec_from_dict(event.data["spec"]) if "spec" in event.data else None
    return None


def _refused(folder: StudyFolder, found: list[Change], way: str) -> str:
    lines = [f"{folder.place}: its space is another one than it ran with:", *map(str, found)]
    return "\n  ".join([*lines, way])


def _new_study(folder: StudyFolder, stuck: list[Change]) -> str:
    again = command("run", "SPACE", "--name", "NAME")
    return (
        f"Put back {', '.join(change.path for change in stuck)}; or begin another study "
        f"(`{again}`) that is told these results: warm_start: [{{}}, {{study: {folder.place}}}]"
    )
