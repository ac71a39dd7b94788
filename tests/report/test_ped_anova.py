"""Our PED-ANOVA gives what Optuna's evaluator gives."""

import random
import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from ictsweep.report.figures.ped_anova import Grid, shares
from ictsweep.study.axes import Axis

AXES = (
    Axis(path="log", low=1e-4, high=1e-1, log=True),
    Axis(path="step", low=0.0, high=0.5, step=0.05),
    Axis(path="choice", choices=("x", True, 1.5, None)),
    Axis(path="whole_log", low=1, high=64, log=True),
    Axis(path="whole", low=2, high=9),
    Axis(path="plain", low=-1.0, high=2.0),
)
THEIRS = {
    "log": FloatDistribution(1e-4, 1e-1, log=True),
    "step": FloatDistribution(0.0, 0.5, step=0.05),
    "choice": CategoricalDistribution(("x", True, 1.5, None)),
    "whole_log": IntDistribution(1, 64, log=True),
    "whole": IntDistribution(2, 9),
    "plain": FloatDistribution(-1.0, 2.0),
}


def _drawn(rng: random.Random) -> dict:
    return {
        "log": 10 ** rng.uniform(-4, -1), "step": round(0.05 * rng.randint(0, 10), 10),
        "choice": rng.choice(("x", True, 1.5, None)), "whole_log": rng.randint(1, 64),
        "whole": rng.randint(2, 9), "plain": rng.uniform(-1, 2),
    }  # fmt: skip


@pytest.mark.parametrize("trials", [9, 40, 300])
@pytest.mark.parametrize("quantile", [0.1, 0.5])
def test_equal_to_optunas(trials: int, quantile: float) -> None:
    rng = random.Random(trials)
    params = [_drawn(rng) for _ in range(trials)]
    values = np.array([p["plain"] ** 2 + 3 * p["log"] + rng.gauss(0, 0.2) for p in params])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study()
        study.add_trials(
            [
                create_trial(params=p, distributions=THEIRS, value=float(v))
                for p, v in zip(params, values, strict=True)
            ]
        )
        evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
        theirs = get_param_importances(study, evaluator=evaluator)
    grids = [Grid.of(axis, [p[axis.path] for p in params]) for axis in AXES]
    ours = shares(grids, np.arange(trials), values, quantile)
    assert ours == pytest.approx([theirs[axis.path] for axis in AXES], rel=1e-9, abs=1e-12)


def test_a_parameter_that_never_varies_and_equal_values() -> None:
    fixed = Grid.of(Axis(path="p", choices=("only",)), ["only"] * 10)
    other = Grid.of(AXES[5], np.linspace(-1, 2, 10).tolist())
    rows = np.arange(10)
    assert shares([fixed, other], rows, np.arange(10.0), 0.3).tolist() == [0.0, 1.0]
    assert shares([fixed], rows, np.ones(10), 0.3).tolist() == [1.0]
    flat = Grid.of(Axis(path="q", low=1.0, high=1.0), [1.0] * 10)
    assert np.isfinite(shares([flat, other], rows, np.arange(10.0), 0.3)).all()
