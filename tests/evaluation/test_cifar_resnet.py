import warnings

import pytest
import torch
from torch.nn import functional as F

from ictsweep.errors import UserError
from ictsweep.evaluation.cifar_resnet import CifarResNet
from ictsweep.evaluation.feature_config import CifarResNetFeatures
from ictsweep.evaluation.features import prepare_extractor


def pictures(n, *shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *shape), generator=generator, dtype=torch.uint8)


def random_network(n, classes=10):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CifarResNet(n, classes).eval()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
                torch.nn.init.uniform_(module.running_var, 0.5, 2)
                torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    return network


def save(network, path, prefix="module."):
    """As published: names with a prefix, no counters of batches."""
    state = {
        prefix + key: value
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save({"state_dict": state, "best_prec1": 90.0} if prefix else state, path)


def extractor_of(path, images):
    return prepare_extractor(
        CifarResNetFeatures(path=str(path)), images, None, "x", path.parent / "no cache"
    )


@pytest.mark.parametrize(("n", "depth"), [(1, 8), (3, 20), (9, 56)])
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_a_file_gives_its_networks_features(tmp_path, n, depth, prefix):
    network, x = random_network(n), pictures(40, 3, 32, 32)
    save(network, tmp_path / "w.th", prefix)
    extractor = extractor_of(tmp_path / "w.th", x)
    with torch.no_grad():
        expected = network(x)
    torch.testing.assert_close(extractor(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        extractor.probabilities(extractor(x)), network.linear(expected).softmax(dim=1)
    )
    assert extractor.metric == f"ResNet-{depth} Fréchet distance"
    assert (extractor.dims, extractor.classes, extractor.resize) == (64, 10, "none")


def test_blocks_that_add_nothing_leave_the_padded_identity():
    """Closed form: every fourth pixel of the first convolution, in channels 24 to 39 of 64."""
    network, x = random_network(2), pictures(3, 3, 32, 32)
    for stage in (network.layer1, network.layer2, network.layer3):
        for block in stage:
            torch.nn.init.zeros_(block.bn2.weight)
            torch.nn.init.zeros_(block.bn2.bias)
    mean, sd = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = (x.float() / 255 - mean.view(3, 1, 1)) / sd.view(3, 1, 1)
    with torch.no_grad():
        first = F.relu(network.bn1(F.conv2d(scaled, network.conv1.weight, padding=1)))
        features = network(x)
    expected = torch.zeros(3, 64)
    expected[:, 24:40] = first[:, :, ::4, ::4].mean(dim=(2, 3))
    torch.testing.assert_close(features, expected)


def test_the_whole_forward_by_hand():
    """One block per stage against a loop over pixels and channels (float64)."""
    network, x = random_network(1).double(), pictures(1, 3, 32, 32)
    state = network.state_dict()

    def convolved(h, name, stride):
        windows = F.unfold(h, 3, padding=1, stride=stride)
        side = h.shape[-1] // stride
        return (state[name].flatten(1) @ windows).view(1, -1, side, side)

    def normed(h, name):
        w, b, m, v = (
            state[f"{name}.{part}"].view(-1, 1, 1)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (h - m) / (v + 1e-5).sqrt() * w + b

    mean, sd = state_of((0.485, 0.456, 0.406)), state_of((0.229, 0.224, 0.225))
    h = normed(convolved((x.double() / 255 - mean) / sd, "conv1.weight", 1), "bn1").relu()
    for name, stride in (("layer1.0", 1), ("layer2.0", 2), ("layer3.0", 2)):
        inner = normed(convolved(h, f"{name}.conv1.weight", stride), f"{name}.bn1").relu()
        inner = normed(convolved(inner, f"{name}.conv2.weight", 1), f"{name}.bn2")
        beside = torch.zeros_like(inner)
        pad = (inner.shape[1] - h.shape[1]) // 2
        beside[:, pad : pad + h.shape[1]] = h[:, :, ::stride, ::stride]
        h = (inner + beside).relu()
    # The network scales pictures in float32.
    network.float()
    torch.testing.assert_close(network(x).double(), h.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)


def state_of(values):
    return torch.tensor(values, dtype=torch.float64).view(3, 1, 1)


def test_other_numbers_of_classes(tmp_path):
    save(random_network(1, classes=100), tmp_path / "w.th")
    assert extractor_of(tmp_path / "w.th", pictures(2, 3, 32, 32)).classes == 100


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 64), (1, 8, 8)])
def test_other_pictures_are_refused(tmp_path, shape):
    save(random_network(1), tmp_path / "w.th")
    with pytest.raises(UserError, match=f"3 x 32 x 32; these are {shape[0]} x {shape[1]} x"):
        extractor_of(tmp_path / "w.th", pictures(2, *shape))


def refusal(path):
    with pytest.raises(UserError) as caught:
        extractor_of(path, pictures(2, 3, 32, 32))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_hold_something_else(tmp_path):
    path = tmp_path / "w.th"
    assert refusal(path).startswith(f"there is no file {path}: `path` of the cifar_resnet")
    path.write_bytes(b"<!DOCTYPE html><html>not found</html>")
    assert "is a page of words, not weights" in refusal(path)
    path.write_bytes(b"\x80\x02nonsense")
    assert "is damaged or no file of weights" in refusal(path)
    path.write_bytes(b"")
    assert "is empty" in refusal(path)
    torch.save([1, 2], path)
    assert "holds no state_dict" in refusal(path)
    torch.save({"fc.weight": torch.zeros(3, 3)}, path)
    assert "no layer1 or no linear.weight" in refusal(path)
    (tmp_path / "folder").mkdir()
    assert "is not a file" in refusal(tmp_path / "folder")


def test_a_torchscript_file_is_named_as_one_without_torchs_warnings(tmp_path, recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "w.pt")
    said = refusal(tmp_path / "w.pt")
    assert "w.pt is a TorchScript file (use features torchscript)" in said
    assert "weights_only" not in said
    assert not recwarn.list


@pytest.mark.parametrize("damage", ["missing", "shape", "extra", "nan"])
def test_weights_of_another_network(tmp_path, damage):
    network, path = random_network(2), tmp_path / "w.th"
    state = network.state_dict()
    if damage == "missing":
        del state["layer2.1.bn2.bias"]
    elif damage == "extra":
        state["layer4.0.conv1.weight"] = torch.zeros(1)
    elif damage == "shape":
        state["conv1.weight"] = torch.zeros(32, 3, 3, 3)
    else:
        state["bn1.bias"] = torch.full((16,), torch.nan)
    torch.save(state, path)
    expected = "not finite" if damage == "nan" else "is not of a ResNet-14 for CIFAR-10: "
    assert expected in refusal(path)


def test_code_in_a_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": Evil()}, tmp_path / "w.th")
    assert "is damaged or no file of weights" in refusal(tmp_path / "w.th")
    assert not (tmp_path / "ran").exists()
