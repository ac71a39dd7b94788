"""Events as lines for a log file or a pipe."""

from collections.abc import Mapping
from typing import Any

from ictsweep.records import Event
from ictsweep.study.spec import StudySpec


def line(spec: StudySpec, event: Event) -> str:
    """What happened, in one line; "" for what nobody needs to read as it comes."""
    data = event.data
    match event.kind:
        case "cluster":
            if data.get("refused"):
                return no_machine(data["refused"])
            return f"the cluster has room for {data['slots']} trial(s) at once"
        case "halt":
            return f"stopped early: {data['kind']}: {data['reason']}"
        case "launch":
            attempt = data.get("attempt", 0)
            return f"trial {event.trial}: started{f', attempt {attempt + 1}' if attempt else ''}"
        case "fail":
            return f"trial {event.trial}: {data['kind']}: {data['message']}"
        case "retry":
            return f"trial {event.trial}: again: {data['reason']}"
        case "verdict":
            return f"trial {event.trial}: {_verdict(spec, data)}"
    return ""


def no_machine(refused: str) -> str:
    """What is said while machines are asked for in vain."""
    return (
        f"no machine comes, {refused} (the study waits; machines that run are billed: "
        "`ray down FILE`, where you said `ray up FILE`, ends them)"
    )


def ends_trial(event: Event) -> bool:
    """Whether a trial ended with this event."""
    return event.kind == "verdict" and event.data["action"] != "continue"


def _verdict(spec: StudySpec, data: Mapping[str, Any]) -> str:
    card = data["card"]
    value = "" if card["value"] is None else f" {spec.minimize} {card['value']:.4g}"
    rank = "" if card["rank"] is None else f", rank {card['rank']} of {card['of']}"
    return f"{card['rung_kimg']} kimg{value}{rank}: {data['action']}"
