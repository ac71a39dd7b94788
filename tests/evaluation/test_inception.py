"""Our Inception features against clean-fid's and torch-fidelity's own pipelines, with the same
weights (drawn at random: the published ones are nothing that a test may download).
"""

import socket
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid import fid
from PIL import Image
from torch.nn import functional as F

from ictsweep.errors import UserError
from ictsweep.evaluation import Moments, factor, frechet_of_features
from ictsweep.evaluation.feature_config import INCEPTION, INCEPTION_PORT, InceptionFeatures
from ictsweep.evaluation.features import prepare_extractor
from ictsweep.evaluation.inception import _identity
from ictsweep.evaluation.weights import published
from tests.evaluation.inception_files import (
    cleanfid_model,
    random_inception,
    write_port,
    write_scripted,
)

MODES = ("legacy_tensorflow", "clean", "legacy_pytorch")
EVERY = 32  # the square root of clean-fid takes 15 s at 2,048 dimensions: compare 64 of them
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    return random_inception()


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    """The two files of weights."""
    folder = tmp_path_factory.mktemp("weights")
    write_port(network, folder / INCEPTION_PORT)
    write_scripted(network, folder / INCEPTION)
    return folder


def pictures(n, c, h, w, seed=0, top=256):
    """Four by four patches of noise: as different as pictures are."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randint(0, top, (n, c, 4, 4), generator=generator, dtype=torch.uint8)
    return F.interpolate(patches, (h, w))


def path_of(folder, mode):
    return folder / (INCEPTION_PORT if mode == "legacy_pytorch" else INCEPTION)


def extractor_of(folder, mode, images):
    config = InceptionFeatures(mode=mode, path=str(path_of(folder, mode)))
    return prepare_extractor(config, images, None, "x", folder / "no cache")


@pytest.fixture(scope="module")
def extractors(folder):
    """The extractor of every mode."""
    return {mode: extractor_of(folder, mode, pictures(2, 3, 32, 32)) for mode in MODES}


def as_pngs(images, folder):
    folder.mkdir()
    for i, picture in enumerate(images.permute(0, 2, 3, 1).numpy()):
        array = picture[..., 0] if picture.shape[-1] == 1 else picture
        Image.fromarray(array).save(folder / f"{i:03d}.png")
    return str(folder)


def theirs(folder, mode, network, pngs):
    with warnings.catch_warnings():  # clean-fid switches warnings off for good
        return fid.get_folder_features(
            pngs, cleanfid_model(folder, network, mode), 0, device=CPU, mode=mode, verbose=False
        )


@pytest.mark.parametrize(
    ("mode", "shape"),
    [(mode, (3, 32, 32)) for mode in MODES]
    + [("clean", (1, 28, 28)), ("clean", (3, 320, 410)), ("legacy_pytorch", (3, 320, 410))],
)
def test_features_are_clean_fids(extractors, folder, network, tmp_path, mode, shape):
    x = pictures(2, *shape)
    ours = extractors[mode](x)
    assert ours.dtype == torch.float32
    expected = theirs(folder, mode, network, as_pngs(x, tmp_path / "x"))
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-4)
    assert ours.std(dim=0).mean() > 1e-2  # features that can differ by more


def distances(extractor, folder, network, tmp_path, mode, dims):
    """(ours, clean-fid's own `compute_fid` of two folders of PNGs)."""
    a, b = pictures(4, 3, 32, 32), pictures(4, 3, 32, 32, seed=1, top=200)
    pngs = [as_pngs(x, tmp_path / name) for name, x in (("a", a), ("b", b))]
    model = cleanfid_model(folder, network, mode)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = fid.compute_fid(
            *pngs, mode=mode, num_workers=0, device=CPU, verbose=False,
            custom_feat_extractor=lambda x: model(x)[:, dims],
        )  # fmt: skip
    reference = factor(Moments.of(extractor(b)[:, dims]))
    return frechet_of_features(extractor(a)[:, dims], reference), expected


@pytest.mark.parametrize("mode", MODES)
def test_the_distance_is_clean_fids_end_to_end(extractors, folder, network, tmp_path, mode):
    ours, expected = distances(
        extractors[mode], folder, network, tmp_path, mode, slice(None, None, EVERY)
    )
    assert expected > 1e-2
    assert ours == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_distance_is_clean_fids_in_all_dimensions(extractors, folder, network, tmp_path, mode):
    ours, expected = distances(extractors[mode], folder, network, tmp_path, mode, slice(None))
    assert ours == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_tensorflow_mode_is_torch_fidelitys(extractors, folder):
    """torch-fidelity resizes and normalises with code of its own, around the port's weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    peer = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(folder / INCEPTION_PORT)
    )
    x = pictures(2, 3, 32, 32)
    with torch.no_grad():
        (expected,) = peer(x)
    ours = extractors["legacy_tensorflow"](x)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", ["legacy_tensorflow", "legacy_pytorch"])
def test_probabilities_are_those_of_the_last_layer_without_bias(extractors, network, mode):
    features = torch.randn(4, 2048, generator=torch.Generator().manual_seed(0))
    extractor = extractors[mode]
    p = extractor.probabilities(features)
    scores = features.double().numpy() @ network.fc.weight.double().numpy().T
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert p.shape == (4, extractor.classes) == (4, 1008)
    np.testing.assert_allclose(p.numpy(), expected, rtol=1e-4, atol=1e-9)


def test_probabilities_are_the_published_networks_own(extractors, folder):
    x = pictures(2, 3, 32, 32)
    extractor = extractors["legacy_tensorflow"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        expected = torch.jit.load(str(folder / INCEPTION)).eval()(x, no_output_bias=True)
    torch.testing.assert_close(extractor.probabilities(extractor(x)), expected, rtol=1e-4, atol=0)


def test_rows_do_not_depend_on_the_batch(extractors):
    x = pictures(5, 3, 16, 16)
    extractor = extractors["clean"]
    torch.testing.assert_close(extractor(x[3:]), extractor(x)[3:], rtol=0, atol=1e-5)


def test_nothing_is_fetched_warned_of_or_drawn(folder, monkeypatch):
    def no_network(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", no_network)
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mode in MODES:
            x = pictures(2, 1, 8, 8)
            assert extractor_of(folder, mode, x)(x).shape == (2, 2048)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("mode", "metric"),
    [
        ("legacy_tensorflow", "FID"),
        ("clean", "FID (clean)"),
        ("legacy_pytorch", "FID (legacy PyTorch port)"),
    ],
)
def test_only_published_weights_give_what_papers_call_fid(extractors, mode, metric):
    assert _identity(mode, published(mode).sha256).metric == metric
    extractor = extractors[mode]
    assert extractor.metric == f"{metric}, unpublished weights"
    assert len(extractor.weights) == 16
    assert extractor.dims == 2048
    assert "299" in extractor.resize


def test_modes_say_what_they_are():
    identities = [_identity(mode, "0" * 64) for mode in MODES]
    for field in ("name", "resize", "metric"):
        assert len({getattr(identity, field) for identity in identities}) == 3


class Other(torch.nn.Module):
    """Features of another network."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.AvgPool2d(299), torch.nn.Conv2d(3, dims, 1))
        self.output = torch.nn.Linear(dims, 10)

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return self.layers(x)


def save_scripted(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))


def refusal(path: Path, mode="clean", images=None):
    images = pictures(2, 3, 32, 32) if images is None else images
    with pytest.raises(UserError) as caught:
        prepare_extractor(
            InceptionFeatures(mode=mode, path=str(path)), images, None, "x", path.parent
        )
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_weights_say_what_to_put_where(tmp_path):
    message = refusal(tmp_path / "w.pt")
    assert message.startswith(f"there is no file {tmp_path / 'w.pt'}: `ictsweep prepare inception`")
    assert f"copy {published('clean').url} to {tmp_path / 'w.pt'}" in message
    message = refusal(tmp_path / "w.pth", "legacy_pytorch")
    assert "`ictsweep prepare inception --mode legacy_pytorch`" in message


def test_another_network_is_not_inception(tmp_path):
    save_scripted(torch.nn.Linear(2, 2), tmp_path / "linear.pt")
    assert "but not that of Inception" in refusal(tmp_path / "linear.pt")
    save_scripted(Other(64), tmp_path / "other.pt")
    assert "does not take these pictures" in refusal(tmp_path / "other.pt")


def test_damaged_weights(folder, tmp_path):
    whole = (folder / INCEPTION).read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    assert "cut off or damaged" in refusal(tmp_path / "cut.pt")
    port = (folder / INCEPTION_PORT).read_bytes()
    (tmp_path / "cut.pth").write_bytes(port[: len(port) // 2])
    assert "cut off or damaged" in refusal(tmp_path / "cut.pth", "legacy_pytorch")
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    assert "holds no weights of Inception" in refusal(tmp_path / "other.pth", "legacy_pytorch")
    torch.save({"fc.weight": torch.zeros(2, 2048)}, tmp_path / "part.pth")
    assert "holds no weights of Inception" in refusal(tmp_path / "part.pth", "legacy_pytorch")
    assert "is not a TorchScript file" in refusal(folder / INCEPTION_PORT)


def test_two_channels_are_refused(folder):
    message = refusal(folder / INCEPTION, images=pictures(2, 2, 8, 8))
    assert message == "Inception features are for pictures with 1 or 3 channels; these have 2"


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
def test_a_gpu_gives_the_same_features(folder, mode):
    """Without TF32, whatever was allowed before."""
    x = pictures(4, 3, 32, 32)
    extractor = extractor_of(folder, mode, x)
    expected = extractor(x)
    torch.backends.cudnn.allow_tf32 = True  # PyTorch's own default
    found = extractor.to(torch.device("cuda"))(x)
    assert found.device.type == "cpu"
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        extractor.probabilities(found), extractor.to(CPU).probabilities(expected), rtol=1e-3, atol=0
    )
