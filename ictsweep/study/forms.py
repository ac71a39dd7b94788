"""What the events of each kind have, since the log's first version, and what they may have: a line
that lacks some of it, or has more, was edited by hand, or written by a later ictsweep.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from ictsweep.records import Card, Event, Failed, Launch, Leave, Measurement
from ictsweep.states import Action


def _of(record: type[Card | Failed | Launch | Leave | Measurement]) -> set[str]:
    """The fields of a record that an event's data hold: when it was is the event's own."""
    return {f.name for f in fields(record)} - {"time"}


_JUDGED = _of(Card)
_HAS: dict[str, set[str]] = {
    "study": {"version"},
    "prior": {"params", "values"},
    "cluster": {"slots"},
    "halt": {"kind", "reason"},
    "ask": {"params", "seed", "replicate_of"},
    "launch": set(),
    "measure": {f.name for f in fields(Measurement) if f.default is f.default_factory is MISSING},
    "fail": {"kind", "message"},
    "leave": {"seconds", "gpus", "phases"},
    "verdict": {"action", "card"},
    "retry": {"attempt", "halvings", "reason"},
}
_MAY: dict[str, set[str]] = {  # of what is made into records; other kinds have what they like
    "ask": _HAS["ask"],
    "launch": _of(Launch),
    "measure": _of(Measurement),
    "fail": _of(Failed),
    "leave": _of(Leave),
    "verdict": _HAS["verdict"],
    "retry": _HAS["retry"],
}
_BAND = ("sigma", "images", "loss")
_OF_NO_TRIAL = {"study", "prior", "cluster", "halt"}


def malformed(event: Event) -> str:
    """Why an event is none of ours; "" if it is one."""
    if event.kind not in _HAS:
        return f"kind {event.kind!r} is unknown"
    if not isinstance(event.time, int | float) or not isinstance(event.data, dict):
        return "its time or data are of another type"
    if event.kind not in _OF_NO_TRIAL and not isinstance(event.trial, int):
        return f"its trial is {event.trial!r}"
    if missing := _HAS[event.kind] - event.data.keys():
        return f"{event.kind} without {', '.join(sorted(missing))}"
    if unknown := event.data.keys() - _MAY.get(event.kind, event.data.keys()):
        return f"{event.kind} with {', '.join(sorted(map(repr, unknown)))}, which is unknown"
    if event.kind == "verdict":
        return _misjudged(event)
    if event.kind == "measure":
        return _of_no_numbers(event.data) or _of_no_levels(event.data.get("spectrum"))
    return ""


def _of_no_numbers(data: Mapping[str, Any]) -> str:
    for key in ("values", "errors"):
        for name, value in data[key].items():
            if not isinstance(value, int | float):
                return f"its {key} have {name} {value!r}, which is no number"
    return ""


def _of_no_levels(spectrum: object) -> str:
    if not spectrum:
        return ""
    rows: list[Any] = [spectrum.get(key) for key in _BAND] if isinstance(spectrum, dict) else [None]
    whole = all(isinstance(row, list | tuple) and len(row) == len(rows[0]) for row in rows)
    return "" if whole else "its spectrum is not whole"


def _misjudged(event: Event) -> str:
    card, action = event.data["card"], event.data["action"]
    if action not in list(Action):
        return f"action {action!r} is unknown"
    whole = isinstance(card, dict) and card.keys() == _JUDGED
    return "" if whole else "its card is not whole"
