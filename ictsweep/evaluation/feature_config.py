"""Which network's features samples are compared by, as part of a configuration (no file access)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

WEIGHTS = Path(".ictsweep/weights")
INCEPTION = "inception-2015-12-05.pt"
INCEPTION_PORT = "pt_inception-2015-12-05-6726825d.pth"

InceptionMode = Literal["clean", "legacy_tensorflow", "legacy_pytorch"]


class _OwnFeatures:
    """Features that are not Inception's: their distances have the names that no paper claims."""

    @property
    def frechet(self) -> str:
        """The name of the Fréchet distance in these features."""
        return "fd"

    @property
    def kernel(self) -> str:
        """The name of the kernel distance in these features."""
        return "kd"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that these features give."""
        return (self.frechet, self.kernel, "precision", "recall")


@dataclass(frozen=True, kw_only=True)
class ClassifierFeatures(_OwnFeatures):
    """64 features of a small classifier that is trained on the data in seconds: no download. Its
    numbers tell checkpoints of one data set apart and mean nothing beside another's.
    """

    name: Literal["classifier"] = "classifier"

    @property
    def location(self) -> Path | None:
        """The file that must be there; none here."""
        return None


@dataclass(frozen=True, kw_only=True)
class InceptionFeatures:
    """The 2,048 pooled features of InceptionV3 of 2015 through clean-fid (Parmar et al. 2022,
    arXiv:2104.11222): the features of FID (Heusel et al. 2017, arXiv:1706.08500).

    `mode` is the network and the resizing to 299 pixels, as clean-fid names them:
    "legacy_tensorflow" what papers on CIFAR-10 and ImageNet-64 report (the TorchScript copy of the
    TensorFlow graph, which resizes inside without anti-aliasing); "clean" the same network after
    Pillow's bicubic filter with anti-aliasing; "legacy_pytorch" the port of pytorch-fid. Numbers of
    different modes are not comparable. `path` is the weights' file, or None for the place where
    `ictsweep prepare inception` puts it.
    """

    name: Literal["inception"] = "inception"
    mode: InceptionMode = "legacy_tensorflow"
    path: str | None = None

    @property
    def frechet(self) -> str:
        """The name of the Fréchet distance in these features."""
        return "fid"

    @property
    def kernel(self) -> str:
        """The name of the kernel distance in these features."""
        return "kid"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that these features give."""
        return (self.frechet, self.kernel, "precision", "recall", "is")

    @property
    def location(self) -> Path | None:
        """The weights' file."""
        default = INCEPTION_PORT if self.mode == "legacy_pytorch" else INCEPTION
        return WEIGHTS / default if self.path is None else Path(self.path)


@dataclass(frozen=True, kw_only=True)
class CifarResNetFeatures(_OwnFeatures):
    """The 64 pooled features of a ResNet for CIFAR-10 (He et al. 2016, arXiv:1512.03385, section
    4.2) from its published weights: `path` is a file of the state_dict, ResNet-20 to ResNet-110.
    """

    name: Literal["cifar_resnet"] = "cifar_resnet"
    path: str

    @property
    def location(self) -> Path | None:
        """The weights' file."""
        return Path(self.path)


@dataclass(frozen=True, kw_only=True)
class TorchScriptFeatures(_OwnFeatures):
    """Any network as a TorchScript file at `path`: its forward maps uint8 [n, c, h, w] pictures as
    they are stored to features float [n, d]; resizing and scaling are its own business.
    """

    name: Literal["torchscript"] = "torchscript"
    path: str

    @property
    def location(self) -> Path | None:
        """The file."""
        return Path(self.path)


@dataclass(frozen=True, kw_only=True)
class Dinov2Features(_OwnFeatures):
    """The class-token features of DINOv2 (Oquab et al. 2023, arXiv:2304.07193), proposed for
    evaluation by Stein et al. 2023 (arXiv:2306.04675); needs the extra `ictsweep[dinov2]`.

    `model` is timm's name; `path` a file of timm's weights, or None for timm's own download.
    """

    name: Literal["dinov2"] = "dinov2"
    model: str = "vit_large_patch14_dinov2.lvd142m"
    path: str | None = None

    @property
    def location(self) -> Path | None:
        """The weights' file, None where timm fetches them itself."""
        return None if self.path is None else Path(self.path)


FeatureConfig = (
    ClassifierFeatures
    | InceptionFeatures
    | CifarResNetFeatures
    | TorchScriptFeatures
    | Dinov2Features
)
