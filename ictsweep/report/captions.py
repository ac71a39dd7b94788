"""One sentence or two under each figure: which question it answers and how to read it. Also its
text for those who cannot see it.
"""

from collections.abc import Collection

from ictsweep.report.figures.curves import CurvesInfo
from ictsweep.report.figures.evidence import EvidenceInfo
from ictsweep.report.figures.importance import ENOUGH, ImportanceInfo
from ictsweep.report.figures.parallel import ParallelInfo
from ictsweep.report.figures.progress import ProgressInfo
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
    return f"Values at the full budget, each with its evaluation error{best}.{luck}"


def curves(info: CurvesInfo) -> str:
    """How to read the learning curves."""
    panels = (
        "Each rung is a complete training run of its own length with the whole curriculum in it, "
        "so each length has its panel: compare within a panel."
        if len(info.lengths) > 1
        else "Dotted lines mark the rungs at which trials are judged."
    )
    band = f" The band is trial 0 over {count(info.seeds, 'seed')}." if info.seeds > 1 else ""
    return f"{panels} A cross ends a stopped trial; point at it for the reason.{band}"


def progress(info: ProgressInfo) -> str:
    """How to read best so far."""
    ended = count(len(info.searched), "searched trial") if info.searched else "No searched trial"
    return (
        f"Would more search help? {ended} reached the full budget in {info.spent_kimg:,} kimg of "
        "training. Values from lower rungs are not comparable with these and do not appear."
    )


def importance(info: ImportanceInfo) -> str:
    """What mattered, at which rung, from how many trials, beyond chance or not."""
    if not info.bars:
        return (
            f"Too few trials: {info.trials} measured at {info.rung_kimg:,} kimg, and importance "
            f"says nothing below {ENOUGH}."
        )
    best = f"{info.quantile:.0%}".replace("%", " %")
    return (
        f"What mattered: {standing_out(info)}. PED-ANOVA on {info.trials} configurations at "
        f"the {info.rung_kimg:,}-kimg rung: how differently the best {best} are distributed from "
        "all. Whiskers: 5–95 % over resampled trials. Orange ticks: what shuffled values reach "
        f"once in twenty.{_survivors(info)}{_left_out(info)}"
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
        f"trial 0.{SOME if conditional else ''}"
    )


SOME = " A parameter that belongs to one choice has points only for the trials that made it."


def parallel(info: ParallelInfo) -> str:
    """How to read and use the parallel coordinates."""
    left_out = (
        f" {count(info.missing, 'trial')} without a value there not drawn." if info.missing else ""
    )
    lacking = " A line at “—” has no such parameter." if info.lacking else ""
    return (
        "Which combinations work? Every line is a configuration, from blue (best) to sand (worst) "
        f"at the {info.rung_kimg:,}-kimg rung, where the values are comparable; that is not its "
        f"final value unless it is the full budget.{left_out}{lacking} Drag along an axis "
        "to select; the table below follows. A click on the axis ends the selection."
    )
