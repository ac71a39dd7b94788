"""The short answers of the first screen: how alone the best is, what mattered, whether it still
improves, whether the rungs can be trusted.
"""

from collections.abc import Collection, Sequence

from ictsweep.report.axisnames import short
from ictsweep.report.figures.agreement import FEWEST, Agreement, trusted
from ictsweep.report.format import count, number
from ictsweep.report.view import StudyView


def certainty(view: StudyView, tied: Collection[int]) -> str:
    """How alone the best is: with how many it is tied."""
    if view.best is None or not tied:
        return ""
    others, rest = len(tied) - 1, sum(t.searched and t.final is not None for t in view.trials) - 1
    if not rest:
        return "No other searched trial reached the full budget."
    if rest == 1:
        said = "is statistically tied" if others else "is not tied"
        return f"The other searched trial at the full budget {said} with trial {view.best}."
    verb = "is" if others == 1 else "are"
    return (
        f"{others or 'None'} of the {count(rest, 'other searched trial')} at the full budget "
        f"{verb if others else 'is'} statistically tied with trial {view.best}."
    )


def improving(view: StudyView) -> str:
    """Whether the best still falls: what the last half of the searched trials' time brought."""
    done = [s for s in view.steps if view.trial(s.trial).searched]
    if len(done) < 2:
        n = count(len(done), "searched trial")
        return f"Too early to say: {n} reached the full budget."
    half = sum(t.train_s + t.evaluate_s for t in view.trials) / 2
    before = [s.scored.value for s in done if s.spent_s <= half]
    best = min(s.scored.value for s in done)
    if not before:
        return f"All {len(done)} searched trials at the full budget came in the second half."
    gain = min(before) - best
    if gain <= 0:
        return "No: the second half of the time found nothing better."
    share = f"{gain / min(before):.0%}".replace("%", " %") if min(before) > 0 else number(gain)
    sd = view.noise.sd if view.noise is not None and view.noise.known else None
    noise = "" if sd is None else f", {gain / sd:.1f} times the spread of trial 0 over seeds"
    said = "Hardly" if sd is not None and gain < sd else "Yes"
    return f"{said}: the second half of the time lowered the best by {share}{noise}."


def mattered(paths: Sequence[str]) -> str:
    """Which parameters stand out, as an answer."""
    if not paths:
        return "Nothing beyond what chance would show."
    names = [short(path) for path in paths]
    said = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"Beyond chance: {said}."


def trust(found: Sequence[Agreement]) -> str:
    """Whether the first rung's order can be trusted: one number with its interval."""
    first = next(trusted(tuple(found)), None)
    if first is None:
        return "Nothing to say yet: no configuration has values at two rungs."
    if first.tau is None and len(first.trials) >= FEWEST:
        return f"Nothing to say: all values at {first.early:,} or at {first.late:,} kimg are equal."
    if first.tau is None or first.low is None or first.high is None:
        return (
            f"Too few to say: {count(len(first.trials), 'trial')} with values at {first.early:,} "
            f"and {first.late:,} kimg; at least {FEWEST} are needed."
        )
    said = "agrees well" if first.low > 0.5 else "agrees" if first.low > 0 else "may not agree"
    return (
        f"The order at {first.early:,} kimg {said} with that at {first.late:,}: tau "
        f"{first.tau:.2f} ({first.low:.2f} to {first.high:.2f})."
    )


def trust_axis(found: Sequence[Agreement]) -> str:
    """What the small picture of trust shows."""
    late = max((info.late for info in found), default=0)
    return f"Kendall's tau with the order at {late:,} kimg, 5–95 %"


def survivors(found: Sequence[Agreement]) -> str:
    """What the agreement cannot show."""
    first = next(trusted(tuple(found)), None)
    if first is None:
        return ""
    return (
        f"From the {count(len(first.trials), 'trial')} let through; {first.stopped:,} stopped ones "
        "have no later value."
    )
