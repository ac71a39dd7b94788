from pathlib import Path

import pytest
import torch

from ictsweep.evaluation.extraction import Identity, NetworkExtractor, full_precision
from ictsweep.evaluation.feature_config import (
    CifarResNetFeatures,
    ClassifierFeatures,
    Dinov2Features,
    FeatureConfig,
    InceptionFeatures,
    TorchScriptFeatures,
)
from ictsweep.evaluation.features import feature_problems, prepare_extractor
from ictsweep.variants import variants

OWN = [
    ClassifierFeatures(),
    CifarResNetFeatures(path="w"),
    TorchScriptFeatures(path="w"),
    Dinov2Features(path="w"),
]


def test_every_variant_has_its_name():
    assert list(variants(FeatureConfig)) == [
        "classifier", "inception", "cifar_resnet", "torchscript", "dinov2",
    ]  # fmt: skip


@pytest.mark.parametrize("config", OWN)
def test_only_inception_gives_fid(config):
    assert config.metrics == ("fd", "kd", "precision", "recall")
    assert (config.frechet, config.kernel) == ("fd", "kd")
    assert InceptionFeatures().metrics == ("fid", "kid", "precision", "recall", "is")
    assert (InceptionFeatures().frechet, InceptionFeatures().kernel) == ("fid", "kid")


def test_where_the_weights_are():
    weights = Path(".ictsweep/weights")
    assert InceptionFeatures().location == weights / "inception-2015-12-05.pt"
    assert InceptionFeatures(mode="clean").location == weights / "inception-2015-12-05.pt"
    port = InceptionFeatures(mode="legacy_pytorch").location
    assert port == weights / "pt_inception-2015-12-05-6726825d.pth"
    assert InceptionFeatures(path="/w.pt").location == Path("/w.pt")
    assert CifarResNetFeatures(path="/w.th").location == Path("/w.th")
    assert ClassifierFeatures().location is None
    assert Dinov2Features().location is None


def test_problems_are_found_without_opening_networks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert feature_problems(ClassifierFeatures()) == []
    (problem,) = feature_problems(InceptionFeatures())
    assert problem.startswith("there is no file .ictsweep/weights/inception-2015-12-05.pt: ")
    assert "`ictsweep prepare inception` fetches" in problem
    Path("w").write_bytes(b"\x80\x02")
    assert feature_problems(CifarResNetFeatures(path="w")) == []
    (problem,) = feature_problems(TorchScriptFeatures(path="w"))
    assert problem == (
        "w is not a TorchScript file: `path` of the torchscript features (--weights of commands) "
        "must name the file of their weights"
    )


def test_the_default_is_the_trained_classifier(digits, cache):
    extractor = prepare_extractor(
        ClassifierFeatures(), digits.pixels, digits.labels, "digits", cache
    )
    assert extractor.metric == "digits Fréchet distance"
    assert (extractor.dims, extractor.classes, extractor.resize) == (64, 10, "none")


class Probe(torch.nn.Module):
    """Says whether TF32 was allowed."""

    def forward(self, x):
        allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        return torch.tensor(allowed, dtype=torch.float64).expand(len(x), 2)


@pytest.fixture(params=[True, False])
def before(request):
    """Whether TF32 is allowed outside."""
    settings = torch.backends.cuda.matmul, torch.backends.cudnn
    found = [setting.allow_tf32 for setting in settings]
    for setting in settings:
        setting.allow_tf32 = request.param
    yield request.param
    for setting, value in zip(settings, found, strict=True):
        setting.allow_tf32 = value


def test_features_are_computed_without_tf32(before):
    identity = Identity(name="probe", weights="0", resize="none", metric="probe")
    features = NetworkExtractor(identity, Probe(), 2)(torch.zeros(70, 1, 8, 8, dtype=torch.uint8))
    assert features.dtype == torch.float32
    assert features.shape == (70, 2)
    assert not features.any()
    with pytest.raises(ZeroDivisionError), full_precision():
        _ = 1 / 0
    assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == before
