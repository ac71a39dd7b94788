"""What the study says, in sentences: tested word by word, shown by the page and by the terminal
alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ictsweep.records import Card, State
from ictsweep.report.format import count, like, number, plus_minus, probability, scored
from ictsweep.report.history import clean
from ictsweep.report.view import StudyView, TrialView
from ictsweep.study.noise import Comparison, Verdict


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What won and how sure: one headline, its reasons, and the verdict as a label ("" before
    there is one).
    """

    headline: str
    reasons: tuple[str, ...]
    verdict: Verdict | None
    label: str


def finding(view: StudyView) -> Finding:
    """The study's result as it stands."""
    comparison = view.comparison
    if comparison is None:
        return Finding(
            headline=_unfinished(view),
            reasons=tuple(_unfinished_reasons(view)),
            verdict=None,
            label="",
        )
    reasons = (*_measure_of_noise(comparison), _conclusion(comparison))
    return Finding(
        headline=_headline(view, comparison), reasons=reasons,
        verdict=comparison.verdict, label=judgement(comparison),
    )  # fmt: skip


def judgement(comparison: Comparison) -> str:
    """The verdict as a label."""
    if comparison.verdict == Verdict.LUCK and comparison.margin <= 0:
        return "nothing better found"
    return {
        Verdict.CLEAR: "clearly better",
        Verdict.LUCK: str(Verdict.LUCK),
        Verdict.UNKNOWN: (
            "unknown (no spread)" if comparison.noise.seeds > 1 else str(Verdict.UNKNOWN)
        ),
    }[comparison.verdict]


def _headline(view: StudyView, comparison: Comparison) -> str:
    assert view.best is not None
    so_far = "" if view.finished else " so far"
    if comparison.margin <= 0:
        return f"No searched configuration beat trial 0{so_far}."
    mean = comparison.noise.mean
    share = (
        f"{comparison.margin / mean:.0%}".replace("%", " %")
        if mean > 0
        else number(comparison.margin)
    )
    final = scored(view.trial(view.best).final)
    return f"Trial {view.best} reached {final}{so_far}, {share} below trial 0."


def _measure_of_noise(comparison: Comparison) -> Iterator[str]:
    noise, luck = comparison.noise, comparison.luck
    if luck is None or comparison.margin_sd is None or comparison.probability is None:
        value = number(noise.mean)
        yield f"Trial 0, the published defaults, scores {value} on {count(noise.seeds, 'seed')}."
        return
    yield (
        f"Trial 0, the published defaults, scores {plus_minus(noise.mean, noise.sd)} "
        f"(mean ± standard deviation over {noise.seeds} seeds)."
    )
    side = "below" if comparison.margin > 0 else "above"
    best = number(comparison.best)
    yield (
        f"The best of {count(luck.tried, 'searched configuration')}, {best}, lies "
        f"{abs(comparison.margin_sd):.1f} of these standard deviations {side} that mean."
    )
    expected, low, high = (like(value, noise.sd) for value in (luck.expected, luck.low, luck.high))
    yield (
        f"Of {luck.tried} trials no different from trial 0, the luckiest would show about "
        f"{expected} (5–95 %: {low} to {high}) and do at least this well with probability "
        f"{probability(comparison.probability)}."
    )


def _conclusion(comparison: Comparison) -> str:
    if comparison.verdict == Verdict.UNKNOWN and comparison.noise.seeds > 1:
        return "All of them are equal: there is no noise to measure the difference against."
    if comparison.verdict == Verdict.UNKNOWN:
        return (
            "With one seed there is no noise to measure the difference against: it may be luck. "
            "Run trial 0 on more seeds (`replicates`)."
        )
    if comparison.verdict == Verdict.CLEAR:
        return (
            "A difference this large is hard to get by luck. The best was picked for being low, "
            "though: expect a new seed of it to score somewhat higher."
        )
    if comparison.margin <= 0:
        return "There is nothing to find here that the defaults do not already give."
    few = comparison.noise.seeds < 5
    remedy = " More seeds of trial 0 would narrow that range." if few else ""
    return f"That is not distinguishable from luck.{remedy}"


def _unfinished(view: StudyView) -> str:
    if view.best is not None:
        final = scored(view.trial(view.best).final)
        return (
            f"Trial {view.best} is best at {final}; trial 0 has no final value to compare it with."
        )
    if view.trials and view.states[State.FAILED] == len(view.trials):
        return (
            f"All {count(len(view.trials), 'trial')} failed."
            if len(view.trials) > 1
            else "The only trial failed."
        )
    if not any(t.runs for t in view.trials):
        lost = sum(t.valueless for t in view.trials)
        if lost:
            return f"None of {count(lost, 'evaluation')} gave a finite value."
        return "Nothing has been measured yet."
    yet = "" if view.finished else " yet"
    return f"No searched trial has reached the full budget of {view.spec.rungs[-1]:,} kimg{yet}."


def _unfinished_reasons(view: StudyView) -> Iterator[str]:
    lead = next((t for t in view.standing() if t.searched and t.last and t.comparable), None)
    if view.best is None and lead is not None:
        value = f"{scored(lead.last)} at {lead.reached:,} kimg"
        yield f"Furthest is trial {lead.number}: {value}, which is not a final value."
    if view.best is None and view.noise is not None:
        noise = view.noise
        yield (
            f"Trial 0, the published defaults, scores {plus_minus(noise.mean, noise.sd or None)}"
            f" over {count(noise.seeds, 'seed')}."
        )
    failed = [t for t in view.trials if t.state == State.FAILED]
    if failed and len(failed) == len(view.trials):
        yield f"The last one said: {failed[-1].reason}"


def plan(view: StudyView) -> str:
    """What was searched, in a line."""
    spec = view.spec
    seeds = f", trial 0 on {count(spec.replicates, 'seed')}" if spec.replicates > 1 else ""
    return (
        f"{count(spec.trials, 'configuration')} of {count(len(spec.search), 'parameter')} by "
        f"{_SAMPLERS[spec.sampler.name]} with successive halving{seeds}."
    )


_SAMPLERS = {"tpe": "TPE", "random": "random search"}


def progress(view: StudyView) -> str:
    """Is it done and healthy: one sentence on the states, equal to the log's."""
    asked, running = len(view.trials), view.states[State.RUNNING]
    of = count(view.expected, "trial")
    if view.finished:
        return f"Done: all {count(asked, 'trial')} ended."
    if running:
        return f"In progress: {asked - running} of {of} ended, {running} under way."
    return f"Incomplete: {asked} of {of} ended and none is under way."


def label(trial: TrialView) -> str:
    """A trial's state as one word."""
    if trial.state == State.PRUNED:
        return "diverged" if _without_value(trial) else "stopped"
    return str(trial.state)


def _without_value(trial: TrialView) -> bool:
    return bool(trial.cards) and trial.cards[-1].value is None


def why(trial: TrialView) -> str:
    """Why a trial ended as it did, or where it is."""
    if trial.state == State.RUNNING:
        return (
            f"under way, {trial.kimg:,} kimg trained"
            if trial.kimg
            else "under way, nothing measured yet"
        )
    if trial.state == State.PRUNED and trial.cards and not _without_value(trial):
        return stop(trial.cards[-1])
    if trial.state in (State.PRUNED, State.FAILED):
        at = f"at rung {trial.cards[-1].rung_kimg:,} kimg: " if trial.cards else ""
        return f"{label(trial)} {at}{trial.reason.removeprefix('diverged: ')}"
    return trial.reason


def stop(card: Card) -> str:
    """A stop in words: "stopped at rung 96 kimg: 31.2 ± 0.8, cut-off 27.9, rank 14 of 18, the
    best 6 go on".
    """
    parts = [
        f"stopped at rung {card.rung_kimg:,} kimg: {plus_minus(card.value or 0.0, card.error)}"
    ]
    if card.cutoff is not None:
        parts.append(f"cut-off {like(card.cutoff, card.error)}")
    if card.rank is not None:
        parts.append(f"rank {card.rank} of {card.of}")
        parts.append(_kept(card))
    return ", ".join(parts)


def decision(card: Card) -> str:
    """What was decided of a trial at a rung, in words."""
    if card.value is None:
        return f"at {card.rung_kimg:,} kimg: {clean(card.reason)}"
    value = plus_minus(card.value, card.error)
    if card.rank is None:
        return f"at {card.rung_kimg:,} kimg: {value}, {clean(card.reason)}"
    cut = f", cut-off {like(card.cutoff, card.error)}" if card.cutoff is not None else ""
    return (
        f"at {card.rung_kimg:,} kimg: {value}, rank {card.rank} of {card.of}, {_kept(card)}{cut}: "
        f"{card.reason}"
    )


def _kept(card: Card) -> str:
    return "only the best goes on" if card.keep == 1 else f"the best {card.keep} go on"


def reach(trial: TrialView) -> str:
    """The last rung's value with its budget, said to be no final value where it is none."""
    if trial.last is None:
        return "–"
    return f"{scored(trial.last)} at {trial.reached:,} kimg"
