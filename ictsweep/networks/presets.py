"""What a network is made of, as one value per family, and the published ones by name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, MinLen, MultipleOf

__all__ = ["PRESETS", "ADMConfig", "NetworkConfig", "UNetConfig"]

Count = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """A U-Net of the SongUNet family (Song et al. 2021, arXiv:2011.13456; Karras et al. 2022,
    arXiv:2206.00364).

    `channels` times `channel_mult[i]` features at resolution size / 2^i, with `blocks` residual
    blocks each (one more on the way up); self-attention at the resolutions (rows of pixels) in
    `attention`, and always at the bottleneck. `embedding` is that of the noise level: "positional",
    or "fourier" with frequencies ~ N(0, fourier_scale^2). encoder "residual" adds the downsampled
    image to every level; decoder "skip" lets every level draw a part of the output.
    `resample_filter` holds the taps of the symmetric low-pass filter: (1, 1) is pooling and nearest
    neighbour. `dropout` is the share of features dropped in each residual block, at resolutions up
    to `dropout_below` only if that is given. `classes` is the number of class labels, 0 without;
    training hides a share `label_dropout` of them, which guidance needs. `augment` gives it a place
    for the labels of augmented pictures (Karras et al. 2022, appendix F.2). ValueError for a filter
    of odd length, or labels hidden where there are none.
    """

    name: Literal["song"] = "song"
    channels: Annotated[int, Ge(4), MultipleOf(4)] = 128
    channel_mult: Annotated[tuple[Count, ...], MinLen(1)] = (2, 2, 2)
    blocks: Count = 4
    attention: tuple[Count, ...] = (16,)
    embedding: Literal["positional", "fourier"] = "positional"
    fourier_scale: Annotated[float, Gt(0)] = 0.02
    encoder: Literal["standard", "residual"] = "standard"
    decoder: Literal["standard", "skip"] = "standard"
    resample_filter: Annotated[tuple[Count, ...], MinLen(2)] = (1, 1)
    dropout: Share = 0.3
    dropout_below: Count | None = None
    classes: Annotated[int, Ge(0)] = 0
    label_dropout: Share = 0.0
    augment: bool = False

    def __post_init__(self) -> None:
        if len(self.resample_filter) % 2:
            raise ValueError(
                f"resample_filter {self.resample_filter} has {len(self.resample_filter)} taps: "
                "halving and doubling an image needs an even number, such as (1, 1) or (1, 3, 3, 1)"
            )
        _check_labels(self.classes, self.label_dropout)


@dataclass(frozen=True, kw_only=True)
class ADMConfig:
    """The U-Net of Dhariwal & Nichol 2021 (arXiv:2105.05233) for 64x64, in the form of Karras et
    al. 2022 (arXiv:2206.00364).

    `channels`, `channel_mult`, `blocks`, `dropout`, `dropout_below`, `classes`, `label_dropout` and
    `augment` as in UNetConfig. Self-attention with heads of `head_channels` after every block at
    the resolutions in `attention`, and at the bottleneck. `level` is how blocks are told the noise
    level: "scale_shift" of the normalised features is the published diffusion network; with "add"
    it is added before the normalisation, because a plain adaptive scale makes consistency training
    diverge (Lu & Song 2024, arXiv:2410.11081, section 4.1). ValueError if the features of a level
    are not whole heads, or labels are hidden where there are none.
    """

    name: Literal["adm"] = "adm"
    channels: Annotated[int, Ge(4), MultipleOf(4)] = 192
    channel_mult: Annotated[tuple[Count, ...], MinLen(1)] = (1, 2, 3, 4)
    blocks: Count = 3
    attention: tuple[Count, ...] = (32, 16, 8)
    head_channels: Count = 64
    level: Literal["add", "scale_shift"] = "add"
    dropout: Share = 0.2
    dropout_below: Count | None = 16
    classes: Annotated[int, Ge(0)] = 0
    label_dropout: Share = 0.0
    augment: bool = False

    def __post_init__(self) -> None:
        for mult in self.channel_mult:
            if self.channels * mult % self.head_channels:
                raise ValueError(
                    f"channels {self.channels} times channel_mult {mult} are "
                    f"{self.channels * mult} features: not whole heads of head_channels "
                    f"{self.head_channels}"
                )
        _check_labels(self.classes, self.label_dropout)


NetworkConfig = UNetConfig | ADMConfig


def _check_labels(classes: int, label_dropout: float) -> None:
    if label_dropout and not classes:
        raise ValueError(
            f"label_dropout {label_dropout} with classes 0: there are no labels to hide; "
            "give classes, or leave label_dropout at 0"
        )


# For 8x8 images of one channel: 2 thousand images a second on one CPU core.
_TINY = UNetConfig(channels=16, channel_mult=(1, 2), blocks=1, attention=(), dropout=0.3)

# DDPM++ as in Karras et al. 2022 (arXiv:2206.00364), Table 7; iCT's dropout for CIFAR-10 as
# others report it.
_DDPMPP = UNetConfig()

# NCSN++ as in the same table, with the Fourier scale of iCT (Song & Dhariwal 2023,
# arXiv:2310.14189) as others report it; Lu & Song 2024, section 4.1, give the reason.
_NCSNPP = UNetConfig(
    embedding="fourier", fourier_scale=0.02, encoder="residual", resample_filter=(1, 3, 3, 1)
)

# ADM for ImageNet-64. That iCT drops 0.2 is recalled, not checked against the paper; that it does
# so at 16 pixels and below is what Lu & Song 2024 (appendix G.2) are said to report.
_ADM = ADMConfig()

# The network of Issenhuth et al. 2024 (arXiv:2406.09570) for CIFAR-10, as released. Attention is at
# the bottleneck alone, and generator-augmented training wants no dropout.
_GC_CIFAR = UNetConfig(channel_mult=(1, 2, 2), blocks=3, attention=(), dropout=0.0)

PRESETS: Mapping[str, NetworkConfig] = MappingProxyType(
    {
        "tiny": _TINY,
        "ddpmpp": _DDPMPP,
        "ncsnpp": _NCSNPP,
        # iCT-deep: twice the blocks, as others report it of CIFAR-10; for ADM from memory.
        "ddpmpp_deep": replace(_DDPMPP, blocks=8),
        "ncsnpp_deep": replace(_NCSNPP, blocks=8),
        "adm": _ADM,
        "adm_deep": replace(_ADM, blocks=6),
        "gc_cifar": _GC_CIFAR,
    }
)
