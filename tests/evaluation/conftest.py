from collections import deque

import pytest

from ictsweep.data import DataConfig, load
from ictsweep.evaluation import EvaluateConfig, Evaluator, open_evaluator
from ictsweep.evaluation import classifier as recipe


@pytest.fixture(scope="session")
def digits():
    return load(DataConfig(name="digits"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def evaluator(digits, cache):
    """The evaluator of the digits, its feature network trained once for all tests."""
    return evaluator_of(digits, cache)


def evaluator_of(data, cache, **config):
    return built(open_evaluator(
        data.pixels, data.labels, data.name, data.digest,
        EvaluateConfig(every_kimg=1, **config), seed=5, cache=cache, ema="power 0.05",
    ))  # fmt: skip


def built(evaluator: Evaluator) -> Evaluator:
    """The evaluator, what it compares with computed."""
    deque(evaluator.reference.build(), maxlen=0)
    return evaluator


@pytest.fixture
def short(monkeypatch):
    """Feature networks trained for three steps: enough where only files and names matter."""
    monkeypatch.setattr(recipe, "_MAX_STEPS", 3)
