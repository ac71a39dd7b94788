"""What a U-Net is made of, as one value, and the published ones by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, MinLen, MultipleOf

__all__ = ["PRESETS", "UNetConfig"]


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
    neighbour. `dropout` is the share of features dropped in each residual block. ValueError for a
    filter of odd length.
    """

    channels: Annotated[int, Ge(4), MultipleOf(4)] = 128
    channel_mult: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] = (2, 2, 2)
    blocks: Annotated[int, Ge(1)] = 4
    attention: tuple[Annotated[int, Ge(1)], ...] = (16,)
    embedding: Literal["positional", "fourier"] = "positional"
    fourier_scale: Annotated[float, Gt(0)] = 0.02
    encoder: Literal["standard", "residual"] = "standard"
    decoder: Literal["standard", "skip"] = "standard"
    resample_filter: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(2)] = (1, 1)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.3

    def __post_init__(self) -> None:
        if len(self.resample_filter) % 2:
            raise ValueError(
                f"resample_filter {self.resample_filter} has {len(self.resample_filter)} taps: "
                "halving and doubling an image needs an even number, such as (1, 1) or (1, 3, 3, 1)"
            )


# For 8x8 images of one channel: 2 thousand images a second on one CPU core.
_TINY = UNetConfig(channels=16, channel_mult=(1, 2), blocks=1, attention=(), dropout=0.3)

# DDPM++ as in Karras et al. 2022 (arXiv:2206.00364), Table 7; iCT's dropout for CIFAR-10.
_DDPMPP = UNetConfig()

# NCSN++ as in the same table, with iCT's Fourier scale (Song & Dhariwal 2023, arXiv:2310.14189,
# section 3.1).
_NCSNPP = UNetConfig(
    embedding="fourier", fourier_scale=0.02, encoder="residual", resample_filter=(1, 3, 3, 1)
)

PRESETS: Mapping[str, UNetConfig] = MappingProxyType(
    {"tiny": _TINY, "ddpmpp": _DDPMPP, "ncsnpp": _NCSNPP}
)
