import pytest

from ictsweep.data import DataConfig, load
from ictsweep.evaluation import EvaluateConfig, prepare
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
    return prepare(
        data.pixels, data.labels, data.name, data.digest,
        EvaluateConfig(every_kimg=1, **config), seed=5, cache=cache, ema="power 0.05",
    )  # fmt: skip


@pytest.fixture
def short(monkeypatch):
    """Feature networks trained for three steps: enough where only files and names matter."""
    monkeypatch.setattr(recipe, "_MAX_STEPS", 3)
