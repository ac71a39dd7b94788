import importlib.util
import time
from pathlib import Path

import pytest
import torch

from ictsweep.errors import UserError
from ictsweep.evaluation.dinov2 import _check_reachable
from ictsweep.evaluation.feature_config import Dinov2Features
from ictsweep.evaluation.features import feature_problems, prepare_extractor

timm = pytest.importorskip("timm")
SMALL = "vit_small_patch14_dinov2.lvd142m"


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model(SMALL, pretrained=False, img_size=224, num_classes=0).eval()


@pytest.fixture(scope="module")
def path(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(network.state_dict(), path)
    return path


def pictures(n, *shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *shape), generator=generator, dtype=torch.uint8)


def extractor_of(path, images):
    config = Dinov2Features(model=SMALL, path=None if path is None else str(path))
    return prepare_extractor(config, images, None, "x", Path("no cache"))


def test_features_are_the_class_token_after_the_last_norm(network, path):
    x = pictures(2, 3, 224, 224)
    extractor = extractor_of(path, x)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    sd = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = network.forward_features((x.float() / 255 - mean) / sd)[:, 0]
    torch.testing.assert_close(extractor(x), expected, rtol=1e-3, atol=1e-4)
    assert (extractor.dims, extractor.classes) == (384, 0)
    assert extractor.metric == f"DINOv2 Fréchet distance ({SMALL})"
    assert "224" in extractor.resize


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    (problem,) = feature_problems(Dinov2Features())
    assert problem == "DINOv2 features need timm: pip install 'ictsweep[dinov2]'"


def test_wrong_files_and_names(path, tmp_path):
    x = pictures(2, 1, 8, 8)
    with pytest.raises(UserError, match="there is no file"):
        extractor_of(tmp_path / "none.pth", x)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=f"other.pth does not fit {SMALL}"):
        extractor_of(tmp_path / "other.pth", x)
    (tmp_path / "bad.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match="is damaged or no file of weights"):
        extractor_of(tmp_path / "bad.safetensors", x)
    with pytest.raises(UserError, match="timm has no model 'vit_none'"):
        prepare_extractor(Dinov2Features(model="vit_none", path=str(path)), x, None, "x", tmp_path)


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """Nothing is kept here, and the hub is a port that nobody listens on."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    address = "http://127.0.0.1:9"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path


def test_without_a_network_one_message_at_once_says_what_to_do(no_hub, capfd):
    start = time.monotonic()
    with pytest.raises(UserError, match="could not be fetched") as caught:
        extractor_of(None, pictures(2, 3, 8, 8))
    assert time.monotonic() - start < 10
    assert "`path` in a search space or by --weights FILE" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_weights_that_are_kept_need_no_network(no_hub, network):
    place = no_hub / f"models--timm--{SMALL}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    kept = place / "snapshots" / ("0" * 40) / "pytorch_model.bin"
    kept.parent.mkdir(parents=True)
    torch.save(network.state_dict(), kept)
    _check_reachable(SMALL)
    kept.unlink()
    with pytest.raises(Exception, match="refused"):
        _check_reachable(SMALL)
