"""One sentence or two under each figure: which question it answers and how to read it. Also its
text for those who cannot see it.
"""

from collections import Counter
from collections.abc import Collection

from ictsweep.report.figures.agreement import FEWEST, Agreement
from ictsweep.report.figures.curves import FEW, CurvesInfo
from ictsweep.report.figures.edf import EdfInfo
from ictsweep.report.figures.evidence import EvidenceInfo
from ictsweep.report.figures.importance import ENOUGH, ImportanceInfo
from ictsweep.report.figures.maps import MapInfo
from ictsweep.report.figures.parallel import ParallelInfo
from ictsweep.report.figures.pareto import ParetoInfo
from ictsweep.report.figures.progress import ProgressInfo
from ictsweep.report.figures.timeline import ENDINGS, TimelineInfo
from ictsweep.report.format import count


def evidence(info: EvidenceInfo) -> str:
    """How to read the three rows of the first screen."""
    luck = (
        f" Grey in the middle: where the luckiest of {count(info.luck.tried, 'trial')} equal to "
        "trial 0 would lie, 9 times in 10. A win is clear only to the left of that."
        if info.luck
        else ""
    )
    best = "; the diamond is the best searched trial" if info.best is not None else ""
    return (
        "Is the best more than luck? Values at the full budget, each with its evaluation "
        f"error{best}.{luck}"
    )


def curves(info: CurvesInfo) -> str:
    """How to read the learning curves."""
    panels = (
        "Each rung is a complete training run of its own length with the whole curriculum in it, "
        "so each length has its panel: compare within a panel."
        if len(info.lengths) > 1
        else "Dotted lines mark the rungs at which trials are judged."
    )
    band = f" The band is trial 0 over {count(info.seeds, 'seed')}." if info.seeds > 1 else ""
    lines = (
        f" Of {info.trials:,} trials, quantiles over those still in training at the time (so the "
        f"range narrows when trials are stopped, not because they improve) and the best {FEW} as "
        "lines; selected trials are drawn on top."
        if info.spreads
        else " A cross ends a stopped trial; point at it for the reason."
    )
    return f"Who was stopped, and was that right? {panels}{lines}{band}"


def progress(info: ProgressInfo) -> str:
    """How to read best so far."""
    ended = count(len(info.searched), "searched trial") if info.searched else "No searched trial"
    return (
        f"Would more search help? {ended} reached the full budget in {info.spent_kimg:,} kimg of "
        "training; a line that is still falling at its right end says yes. Values from lower rungs "
        "are not comparable with these and do not appear."
    )


def pareto(info: ParetoInfo) -> str:
    """How to read a trade-off."""
    beaten = len(info.trials) - len(info.front)
    return (
        f"What does the best value cost in {info.up.name.partition(',')[0]}? Of "
        f"{count(len(info.trials), 'trial')} at the full budget, {len(info.front)} on the line are "
        f"beaten in both by no other, {beaten} are. Bars are evaluation errors: neighbours "
        "within them are tied."
    )


def agreement(info: Agreement) -> str:
    """How far the early rung can be trusted."""
    said = (
        f"Kendall's tau {info.tau:.2f} (5–95 %: {info.low:.2f} to {info.high:.2f}); 1 is the same "
        "order, 0 none."
        if info.tau is not None and info.low is not None and info.high is not None
        else f"{count(len(info.trials), 'trial')}: no agreement is stated below {FEWEST}."
        if len(info.trials) < FEWEST
        else "The values of one rung are all equal: they have no order."
    )
    return (
        f"Was {info.early:,} kimg enough to judge by? Points rising from left to right: yes. "
        f"{said} "
        f"Only the {count(len(info.trials), 'trial')} let through are here; the {info.stopped:,} "
        "that were not might have come out otherwise, which nobody can see."
    )


def pair(info: MapInfo) -> str:
    """How to read a map of two parameters."""
    return (
        f"Do the two matter together? Mean rank at {info.rung_kimg:,} kimg of the trials in each "
        f"cell, blue the best, empty where none of the {len(info.trials):,} is. Stripes along one "
        "axis: that parameter alone; a blot or a diagonal: both."
    )


def edf(info: EdfInfo) -> str:
    """How to read the distributions."""
    return (
        "How good is a configuration taken from this search? The share at or below each value, per "
        f"rung ({len(info.rungs)}); values of different rungs are never compared. Above the first "
        "rung only trials let through are counted. Circles: where trial 0's mean stands."
    )


def timeline(info: TimelineInfo) -> str:
    """How to read the timeline."""
    told = (
        "Within a launch its phases are drawn one after the other, not as they alternated."
        if set(info.totals) - {"not told apart"}
        else "This log does not tell their phases apart."
    )
    kinds = Counter(ending.mark for ending in info.endings)
    listed = ", ".join(f"{kinds[kind]:,} {kind}" for kind in ENDINGS if kinds[kind])
    marks = f" Marks: launches cut short ({listed})." if listed else ""
    return f"Where did the hours go? Each line is one launch of a trial. {told}{marks}"


def importance(info: ImportanceInfo) -> str:
    """What mattered, at which rung, from how many trials, beyond chance or not."""
    if not info.bars:
        return (
            f"Too few trials: {info.trials} measured at {info.rung_kimg:,} kimg, and importance "
            f"says nothing below {ENOUGH}."
        )
    best = f"{info.quantile:.0%}".replace("%", " %")
    quarter = ", the best quarter there" if info.among_best else ""
    return (
        f"What mattered: {standing_out(info)}. PED-ANOVA on {info.trials} configurations at "
        f"the {info.rung_kimg:,}-kimg rung{quarter}: how differently the best {best} are "
        "distributed from all. Whiskers: 5–95 % over resampled trials. Orange ticks: what "
        f"shuffled values reach once in twenty.{_survivors(info)}{_left_out(info)}"
    )


def _survivors(info: ImportanceInfo) -> str:
    if info.first_rung:
        return ""
    return (
        " Only trials let through to this rung are in it: what earlier rungs decided may look "
        "unimportant here."
    )


def _left_out(info: ImportanceInfo) -> str:
    if not info.conditional:
        return ""
    names = ", ".join(info.conditional)
    return (
        f" Not compared, because only some trials have {_them(info.conditional)}: {names}. Their "
        "slices below show the trials that do."
    )


def _them(paths: Collection[str]) -> str:
    return "it" if len(paths) == 1 else "them"


def standing_out(info: ImportanceInfo) -> str:
    """Which parameters are beyond chance."""
    if not info.bars:
        return "too few trials to say"
    above = [bar.path for bar in info.bars if bar.stands_out]
    if not above:
        return "no parameter more than chance would show"
    names = above[0] if len(above) == 1 else f"{', '.join(above[:-1])} and {above[-1]}"
    return f"{names}, beyond chance"


def slices(rungs: int, conditional: bool = False) -> str:
    """How to read the slices; `conditional`: some parameters are not in every trial."""
    shades = "the larger, the longer the run" if rungs > 1 else "one budget"
    return (
        "Is the good range inside the box or at its edge? One point per configuration and rung "
        f"({shades}: compare within one colour). The ring is the best trial, the dotted line "
        "trial 0; with enough trials a line for the median and a band for the middle half of the "
        "best attended rung. Of thousands of trials only some are points; the median has "
        f"them all.{SOME if conditional else ''}"
    )


SOME = " A parameter that belongs to one choice has points only for the trials that made it."


def parallel(info: ParallelInfo) -> str:
    """How to read and use the parallel coordinates."""
    left_out = (
        f" {count(info.missing, 'trial')} without a value there not drawn." if info.missing else ""
    )
    hidden = (
        f" The {info.hidden:,} parameters that seem to matter least have no axis."
        if info.hidden
        else ""
    )
    lacking = " A line at “—” has no such parameter." if info.lacking else ""
    return (
        "Which combinations work? Every line is a configuration, from blue (best) to sand (worst) "
        f"at the {info.rung_kimg:,}-kimg rung, where the values are comparable; that is not its "
        f"final value unless it is the full budget.{left_out}{lacking}{hidden} Drag along an axis "
        "to select: table, curves and samples follow. A click on the axis ends the selection."
    )
