"""Scores in words, for a terminal and for grep."""

import math
from collections.abc import Iterator, Mapping

from ictsweep.evaluation import BELOW, DISTANCES, Draws, Estimate, interval
from ictsweep.scoring.evaluate import Paired, Result
from ictsweep.scoring.rescore import Ranking

_MARK = (
    "below dimension: no more samples than features, so the number says little and is compared "
    "with no other"
)


def result_table(result: Result) -> str:
    """A checkpoint's scores: the mean over the draws and their spread, each draw, and what
    infinitely many samples would give. Never the smallest draw.
    """
    images = next(iter(result.passports.values()))["images"]
    lines = [f"{result.checkpoint}: {images:,} samples per draw, {_count(len(result.draws))}"]
    for key in result.summary:
        lines += _scored(result, key)
    return "\n".join(lines)


def difference_table(found: Mapping[str, Paired], left_out: str = "") -> str:
    """The first checkpoint minus the other, with the interval of the paired difference beside that
    of independent samples; `left_out` says what is not compared, and why.
    """
    lines = ["difference (the first minus the other), 95 % intervals:"]
    for key, paired in found.items():
        estimate = paired.difference
        if paired.unpaired.error == 0:
            lines.append(
                f"  {key:<14} {estimate.value:+.4g}   no interval: both are all or nothing"
            )
            continue
        says = "" if _clear(estimate) else "   includes 0"
        lines.append(
            f"  {key:<14} {estimate.value:+.4g}   same latents {_interval(estimate)}   "
            f"other latents {_interval(paired.unpaired)}{says}"
        )
    return "\n".join([*lines, f"  {left_out}"] if left_out else lines)


def ranking_table(ranking: Ranking) -> str:
    """A study's trials by their new value beside the old one, and how far the orders agree."""
    better = "higher is better" if ranking.higher else "lower is better"
    lines = [f"{ranking.metric} ({ranking.new_key}, {better}) beside {ranking.old_key}:"]
    old = sorted(ranking.rows, key=lambda row: (row.old, row.trial))
    places = {row.trial: place for place, row in enumerate(old, 1)}
    lines.append("   now  before  trial  value             before")
    for place, row in enumerate(ranking.rows, 1):
        now = f"{place:>6}" if ranking.ranked else "     –"
        value = f"{row.new.value:.4g} ± {row.new.error:.2g}"
        lines.append(f"{now}  {places[row.trial]:>6}  {row.trial:>5}  {value:<16}  {row.old:.4g}")
    if ranking.below:
        lines.append(f"{_MARK}: no ranking")
    else:
        lines.append(_agreement(ranking))
    if ranking.left_out:
        numbers = ", ".join(map(str, ranking.left_out))
        lines.append(
            f"left out, their last checkpoint is not there: trial {numbers} (`keep` in the study's "
            "file says how many stay)"
        )
    return "\n".join([*lines, f"kept in {ranking.place}"])


def _scored(result: Result, key: str) -> Iterator[str]:
    draws, passport = result.summary[key], result.passports[key]
    higher = "" if key.startswith(DISTANCES) else "   higher is better"
    samples = passport["images"] * len(result.draws)
    says = _bound(key, draws.mean, samples) or _spread(draws)
    yield f"{key:<14} {draws.mean:.4g}   {says}   ({passport['metric']}){higher}"
    if len(result.draws) > 1:
        each = [_each(key, d.estimates[key], passport["images"]) for d in result.draws]
        yield f"  each draw    {', '.join(each)}"
    if key in result.infinity:
        limit = result.infinity[key]
        yield (
            f"  with infinitely many samples {limit.mean:.4g} ± {limit.error:.2g}, 95 % interval "
            f"{limit.low:.4g} to {limit.high:.4g}"
        )
    if BELOW in passport:
        yield f"  {_MARK}"


def _each(key: str, estimate: Estimate, samples: int) -> str:
    bound = _bound(key, estimate.value, samples)
    return f"{estimate.value:.4g} " + (f"({bound})" if bound else f"± {estimate.error:.2g}")


def _bound(key: str, value: float, samples: int) -> str:
    """What a precision or recall of exactly 0 or 1 leaves open, where an error of 0 would look
    certain; "" for every other number.

    A precision is a share of independent samples: 0 of n says below 1 - 0.05^(1/n) (Clopper &
    Pearson 1934). The data that recall counts share the samples' balls: for it no bound is known.
    """
    if not key.startswith(("precision", "recall")) or value not in (0, 1):
        return ""
    if key.startswith("recall"):
        return "error not known"
    reach = 1 - 0.05 ** (1 / samples)
    return f"at 95 % below {reach:.2g}" if value == 0 else f"at 95 % above {1 - reach:.4g}"


def _spread(draws: Draws) -> str:
    interval_of = f"95 % interval {draws.low:.4g} to {draws.high:.4g}"
    if math.isnan(draws.spread):
        return f"± {draws.error:.2g}, {interval_of} (one draw: no spread)"
    return f"spread {draws.spread:.2g}, mean's {interval_of}"


def _interval(estimate: Estimate) -> str:
    low, high = interval(estimate)
    return f"{low:+.3g} to {high:+.3g}"


def _clear(estimate: Estimate) -> bool:
    low, high = interval(estimate)
    return low > 0 or high < 0


def _agreement(ranking: Ranking) -> str:
    found = ranking.agreement
    if math.isnan(found.tau):
        return "Kendall's tau needs two trials that differ"
    text = f"Kendall's tau between the orders {found.tau:.2f}"
    if math.isnan(found.low):
        return f"{text} ({found.count} trials: too few for an interval)"
    return f"{text}, 95 % interval {found.low:.2f} to {found.high:.2f} ({found.count} trials)"


def _count(draws: int) -> str:
    return "1 draw" if draws == 1 else f"{draws} draws"
