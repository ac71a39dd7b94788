"""What happened around the trials: launches and how they ended, retries, halts, the room there was.

Logs of version 1 say when a trial was launched, not when its processes were gone: a stint then ends
with the trial's next word.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ictsweep.records import Event
from ictsweep.report.view import Halted, Stint

RUNNING = "running"
LONGEST = 4000  # characters of a message


@dataclass(frozen=True)
class History:
    """By trial: its stints, what its failed launches said ("kind: message") and why it was launched
    again. For the study: its halts, the slots over time, and how many older results it began with.
    """

    stints: Mapping[int, tuple[Stint, ...]]
    failures: Mapping[int, tuple[str, ...]]
    retries: Mapping[int, tuple[str, ...]]
    halts: tuple[Halted, ...]
    room: tuple[tuple[float, int], ...]
    priors: int


@dataclass
class _Story:
    """One trial as its events come in."""

    heard: float = 0.0
    stints: list[Stint] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)


def history(events: Iterable[Event]) -> History:
    """The history that a log tells."""
    stories: dict[int, _Story] = defaultdict(_Story)
    halts, room, priors = [], [], 0
    for event in events:
        data = event.data
        if event.kind == "prior":
            priors += 1
        elif event.trial is not None:
            _tell(stories[event.trial], event)
        elif event.kind == "halt":
            kind, reason = str(data.get("kind", "")), clean(str(data.get("reason", "")))
            halts.append(Halted(time=event.time, kind=kind, reason=reason))
        elif event.kind in ("study", "cluster") and isinstance(data.get("slots"), int):
            room.append((event.time, data["slots"]))
    for story in stories.values():
        _last(story, end=story.heard)
    return History(
        stints={n: tuple(s.stints) for n, s in stories.items()},
        failures={n: tuple(s.failures) for n, s in stories.items()},
        retries={n: tuple(s.retries) for n, s in stories.items()},
        halts=tuple(halts), room=tuple(room), priors=priors,
    )  # fmt: skip


def _tell(story: _Story, event: Event) -> None:
    data = event.data
    match event.kind:
        case "measure":
            story.heard = event.time
        case "launch":
            story.heard = event.time
            story.stints.append(_begun(event))
        case "fail":
            text = f"{data.get('kind', 'failed')}: {data.get('message', '')}"
            story.failures.append(clean(text))
            _last(story, end=event.time, ending=str(data.get("kind", "failed")))
        case "leave":
            _left(story, event)
        case "retry":
            story.retries.append(clean(str(data.get("reason", ""))))
        case "verdict":
            story.heard = event.time
            if data.get("action") != "continue":
                _last(story, end=event.time, ending="")


def _begun(event: Event) -> Stint:
    return Stint(
        start=event.time, end=event.time, gpus=float(event.data.get("gpus", 0.0)),
        halvings=int(event.data.get("halvings", 0)), ending=RUNNING,
    )  # fmt: skip


def _last(story: _Story, **changes: Any) -> None:
    """Change the stint under way; one that ended keeps its end."""
    if story.stints and story.stints[-1].ending == RUNNING:
        story.stints[-1] = replace(story.stints[-1], **changes)


def _left(story: _Story, event: Event) -> None:
    """The processes are gone: the stint's true end and what its time went to."""
    if not story.stints:
        return
    last = story.stints[-1]
    seconds = float(event.data.get("seconds", event.time - last.start))
    story.stints[-1] = replace(
        last, end=last.start + max(0.0, seconds), gpus=float(event.data.get("gpus", last.gpus)),
        phases={k: float(v) for k, v in event.data.get("phases", {}).items()},
        ending="" if last.ending == RUNNING else last.ending,
    )  # fmt: skip


def clean(text: str) -> str:
    """A message as it can be shown: it may quote file names that are no text (half a surrogate pair
    cannot be written) and be as long as a log.
    """
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters)"
