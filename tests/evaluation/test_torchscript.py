import warnings

import pytest
import torch
from torch import Tensor, nn

from ictsweep.errors import UserError
from ictsweep.evaluation.feature_config import TorchScriptFeatures
from ictsweep.evaluation.features import prepare_extractor


class Means(nn.Module):
    """What a user's file may be: the mean level of each channel's quarters."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(12)

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(x.float() / 255, (2, 2))
        return self.norm(pooled.flatten(1))


class Broken(nn.Module):
    """One way or another not a function from each picture to its features."""

    kind: str

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        means = x.float().mean(dim=(2, 3))
        if self.kind == "nan":
            return means * float("nan")
        if self.kind == "random":
            return torch.rand_like(means)
        if self.kind == "batch":
            return means - means.mean(dim=0, keepdim=True)
        if self.kind == "shape":
            return means.unsqueeze(-1)
        if self.kind == "one row":
            return means.mean(dim=0, keepdim=True)
        if self.kind == "integers":
            return means.to(torch.int64)
        assert self.kind == "nothing at all", "of the file's own making"
        return means


class Pair(nn.Module):
    """Two results."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.float(), x.float()


def pictures(n, *shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *shape), generator=generator, dtype=torch.uint8)


def save(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))
    return path


def extractor_of(path, images=None):
    images = pictures(6, 3, 8, 8) if images is None else images
    return prepare_extractor(
        TorchScriptFeatures(path=str(path)), images, None, "x", path.parent / "no cache"
    )


def test_a_files_features(tmp_path):
    x = pictures(40, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = save(Means(), tmp_path / "means.pt")
        extractor = extractor_of(path, x)
        features = extractor(x)
    expected = torch.stack(
        [x[:, :, i : i + 4, j : j + 4].float().mean(dim=(2, 3)) for i in (0, 4) for j in (0, 4)]
    )
    expected = expected.permute(1, 2, 0).flatten(1) / 255 / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(features, expected)
    assert features.dtype == torch.float32
    assert (extractor.dims, extractor.classes) == (12, 0)
    assert extractor.weights[:8] in extractor.metric


def test_a_file_saved_in_training_mode_is_switched(tmp_path):
    x = pictures(40, 3, 8, 8)
    ready = extractor_of(save(Means().eval(), tmp_path / "a.pt"), x)
    torch.testing.assert_close(
        extractor_of(save(Means().train(), tmp_path / "b.pt"), x)(x), ready(x)
    )


def test_the_name_follows_the_content_not_the_path(tmp_path):
    content = save(Means(), tmp_path / "a.pt").read_bytes()
    (tmp_path / "b.pt").write_bytes(content)
    save(Broken("nothing at all"), tmp_path / "c.pt")
    a, b, c = (extractor_of(tmp_path / f"{name}.pt") for name in "abc")
    assert (a.weights, a.metric) == (b.weights, b.metric)
    assert a.weights != c.weights


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "features that are not finite"),
        ("random", "other features in another call or another batch"),
        ("batch", "other features in another call or another batch"),
        ("shape", r"gives \[2, 3, 1\] for 2 pictures, expected \[2, d\]"),
        ("one row", r"gives \[1, 3\] for 2 pictures"),
        ("integers", "no tensor of decimal numbers"),
        (
            "raises",
            r"does not take these pictures, uint8 \[2, 3, 8, 8\]: .*of the file's own making",
        ),
    ],
)
def test_what_is_no_feature_network_is_refused(tmp_path, kind, message):
    path = save(Broken(kind), tmp_path / "w.pt")
    with pytest.raises(UserError, match=message) as caught:
        extractor_of(path)
    assert "\n" not in str(caught.value)


def test_two_results_are_refused(tmp_path):
    with pytest.raises(UserError, match="no tensor of decimal numbers"):
        extractor_of(save(Pair(), tmp_path / "w.pt"))


def test_other_channels_are_named(tmp_path):
    path = save(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"does not take these pictures, uint8 \[2, 1, 8, 8\]"):
        extractor_of(path, pictures(2, 1, 8, 8))


def test_files_that_are_no_torchscript(tmp_path):
    path = tmp_path / "w.pt"
    contents = {"is empty": b"", "page of words": b"<html>", "is not a TorchScript": b"\x80\x02x"}
    for message, content in contents.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            extractor_of(path)
    torch.save(Means().state_dict(), path)
    with pytest.raises(UserError, match="is not a TorchScript file"):
        extractor_of(path)
    whole = save(Means(), path).read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(UserError, match="is cut off or damaged"):
        extractor_of(path)
    path.write_bytes(whole.replace(b"constants.pkl", b"konstants.pkl"))
    with pytest.raises(UserError, match="is damaged or no TorchScript file"):
        extractor_of(path)
