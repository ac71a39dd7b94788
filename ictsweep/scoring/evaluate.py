"""A checkpoint's numbers over several draws, and the difference of two checkpoints."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ictsweep.errors import UserError
from ictsweep.evaluation import (
    BELOW,
    Draws,
    Estimate,
    combined,
    difference,
    require_comparable,
    unpaired,
)
from ictsweep.progress import Progress
from ictsweep.scoring.draw import Draw, passports, read_draw, score_draw
from ictsweep.scoring.judge import Judge
from ictsweep.scoring.work import identity, write_json


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """A checkpoint's scores by metric key over its draws: `summary` the draws together,
    `infinity` the same for FID-infinity.
    """

    checkpoint: Path
    draws: tuple[Draw, ...]
    path: Path

    @property
    def summary(self) -> dict[str, Draws]:
        """Mean, spread and interval over the draws."""
        keys = self.draws[0].estimates
        return {key: combined([draw.estimates[key] for draw in self.draws]) for key in keys}

    @property
    def infinity(self) -> dict[str, Draws]:
        """The same of the extrapolations to infinitely many samples, where there are any."""
        keys = self.draws[0].infinity
        return {key: combined([draw.infinity[key] for draw in self.draws]) for key in keys}

    @property
    def passports(self) -> Mapping[str, Mapping[str, Any]]:
        """By metric key, the first draw's passports: the others differ in their latents alone."""
        return self.draws[0].passports


@dataclass(frozen=True, kw_only=True)
class Paired:
    """One checkpoint's number minus another's, over the same draws of latents: the mean
    difference with its error, and the error that two independent sets of samples would have.
    """

    difference: Estimate
    unpaired: Estimate


def evaluate(judge: Judge, draws: int) -> Iterator[Progress]:
    """Score `draws` draws; `read_result` gives them. What is there already is not done again.

    Each lies in RUN/evaluations/DIGEST/SEED, where DIGEST tells checkpoint and passports apart:
    more draws later add to those before.
    """
    assert draws >= 1
    done = 0
    for index in range(draws):
        one = judge.draw(index)
        for step in score_draw(one, _folder(judge, one)):
            yield Progress(done + step.done, draws * step.total, step.unit)
        done += step.total
    _write(read_result(judge, draws))


def is_scored(judge: Judge, draws: int) -> bool:
    """Whether all draws are on the disk, so that `evaluate` computes nothing."""
    ones = [judge.draw(index) for index in range(draws)]
    return all(read_draw(one, _folder(judge, one)) is not None for one in ones)


def read_result(judge: Judge, draws: int) -> Result:
    """The scores that `evaluate` left."""
    found = []
    for index in range(draws):
        one = judge.draw(index)
        draw = read_draw(one, _folder(judge, one))
        assert draw is not None, "evaluate was not run to its end"
        found.append(draw)
    return Result(
        checkpoint=judge.subject.place, draws=tuple(found), path=place_of(judge) / "result.json"
    )


def place_of(judge: Judge) -> Path:
    """Where a judge's draws are kept."""
    without_seed = {
        key: {k: v for k, v in passport.items() if k != "latent_seed"}
        for key, passport in passports(judge).items()
    }
    digest = identity({"weights": judge.subject.digest, "passports": without_seed})
    return judge.subject.run / "evaluations" / digest


def check_comparable(a: Judge, b: Judge) -> None:
    """UserError, before anything is sampled, where the numbers of two judges cannot be compared;
    it names each difference.
    """
    mine, others = passports(a), passports(b)
    if mine.keys() != others.keys():
        raise UserError(
            f"{a.subject.place} is measured by {', '.join(mine)} and {b.subject.place} by "
            f"{', '.join(others)}: choose --metrics and models with the same steps"
        )
    for key in mine:
        require_comparable(_unmarked(mine[key]), _unmarked(others[key]))
    if not _unmarked_keys(mine):
        raise UserError(below_dimension(a))


def below_dimension(judge: Judge) -> str:
    """Which of a judge's numbers are compared with none, and why; "" if all can be."""
    found = passports(judge)
    if marked := found.keys() - _unmarked_keys(found):
        dims = judge.evaluator.extractor.dims
        return (
            f"{', '.join(sorted(marked))}: a Fréchet distance of {found[min(marked)]['images']:,} "
            f"samples with {dims:,} features is below its dimension and cannot be compared; draw "
            f"more than {dims:,} (--images)"
        )
    return ""


def compare(a: Result, b: Result) -> dict[str, Paired]:
    """By metric key, a minus b on the same latents, paired and as if they were not.

    For results that `check_comparable` lets through, without the numbers that are below dimension:
    the others all have influences.
    """
    keys = _unmarked_keys(a.passports)
    return {key: _compared([d.estimates[key] for d in a.draws],
                           [d.estimates[key] for d in b.draws]) for key in keys}  # fmt: skip


def _unmarked(passport: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in passport.items() if key != BELOW}


def _unmarked_keys(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The metric keys of numbers that are not below dimension."""
    return [key for key, passport in found.items() if BELOW not in passport]


def _compared(a: Sequence[Estimate], b: Sequence[Estimate]) -> Paired:
    pairs = list(zip(a, b, strict=True))
    return Paired(
        difference=_mean([difference(x, y) for x, y in pairs]),
        unpaired=_mean([unpaired(x, y) for x, y in pairs]),
    )


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates."""
    draws = combined(estimates)
    return Estimate(draws.mean, draws.error)


def _folder(judge: Judge, draw: Judge) -> Path:
    return place_of(judge) / f"seed-{draw.evaluator.seed}"


def _write(result: Result) -> None:
    facts = {
        "checkpoint": str(result.checkpoint),
        "summary": {key: _numbers(draws) for key, draws in result.summary.items()},
        "infinity": {key: _numbers(draws) for key, draws in result.infinity.items()},
        "draws": [draw.to_dict() for draw in result.draws],
    }
    write_json(result.path, facts)


def _numbers(draws: Draws) -> dict[str, Any]:
    """JSON has no NaN: one draw has no spread."""
    spread = None if math.isnan(draws.spread) else draws.spread
    return {
        "mean": draws.mean, "spread": spread, "error": draws.error,
        "low": draws.low, "high": draws.high, "values": list(draws.values),
    }  # fmt: skip
