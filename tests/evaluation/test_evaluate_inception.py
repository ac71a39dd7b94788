"""An evaluation in Inception features: their names, all their metrics, their marks."""

import pytest
import torch

from ictsweep.data import digest_of
from ictsweep.errors import UserError
from ictsweep.evaluation import (
    EvaluateConfig,
    InceptionFeatures,
    Route,
    open_evaluator,
    require_comparable,
)
from tests.evaluation.conftest import built
from tests.evaluation.inception_files import random_inception, write_port

ONE = Route(solver="consistency multistep", levels=(80.0,), noises=1)


@pytest.fixture(scope="module")
def pictures():
    g = torch.Generator().manual_seed(0)
    return torch.randint(256, (8, 3, 8, 8), generator=g, dtype=torch.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "port.pth"
    write_port(random_inception(), path)
    return path


def arguments(pictures, cache, features, **config):
    what = EvaluateConfig(every_kimg=1, images=32, steps=(1,), features=features, **config)
    digest = digest_of(pictures, None)
    return pictures, None, "noise", digest, what, 5, cache, "power 0.05"


def noise(z, labels):
    return z[:, 0].clip(-1, 1)


def test_every_metric_of_inception(pictures, weights, tmp_path):
    features = InceptionFeatures(mode="legacy_pytorch", path=str(weights))
    evaluator = built(
        open_evaluator(*arguments(pictures, tmp_path, features, metrics=features.metrics))
    )
    scores = evaluator({1: noise}, {1: ONE})
    assert list(scores.values) == ["fid", "kid", "precision", "recall", "is"]
    assert all(map(torch.isfinite, map(torch.tensor, scores.values.values())))
    assert 0 <= scores.values["precision"] <= 1
    assert scores.values["is"] >= 1
    marked = {key for key, passport in scores.passports.items() if "below dimension" in passport}
    assert marked == {"fid"}  # 32 samples, 2,048 features
    assert scores.passports["is"]["splits"] == 10
    assert scores.passports["fid"]["resize"].startswith("bilinear to 299")
    assert scores.passports["kid"]["metric"].startswith("KID (legacy PyTorch port")
    with pytest.raises(UserError, match="below dimension: True and True"):
        require_comparable(scores.passports["fid"], scores.passports["fid"])
    require_comparable(scores.passports["kid"], scores.passports["kid"])


def test_without_the_weights_there_is_one_error_that_says_what_to_do(pictures, tmp_path):
    features = InceptionFeatures(path=str(tmp_path / "none.pt"))
    with pytest.raises(UserError, match="`ictsweep prepare inception` fetches the weights"):
        open_evaluator(*arguments(pictures, tmp_path, features))
