"""The U-Net of the SongUNet family, built from a UNetConfig."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ictsweep.networks.dropout import DropoutPlan
from ictsweep.networks.embeddings import FourierEmbedding, PositionalEmbedding
from ictsweep.networks.layers import (
    NEAR_ZERO,
    Block,
    Conv,
    Downsample,
    Linear,
    ShrinkConv,
    Upsample,
    norm,
)
from ictsweep.networks.presets import UNetConfig

__all__ = ["UNet"]

_HALF = 0.5**0.5


class UNet(nn.Module):
    """F(x, c_noise, mask): DDPM++, NCSN++ and their small relatives (Song et al. 2021,
    arXiv:2011.13456, in the form of Karras et al. 2022, arXiv:2206.00364).

    `image_shape` is (c, h, w); ValueError if h or w cannot be halved once per level. Weights come
    from `generator`, or from torch's global one. `mask_size` is the number of 16-bit draws that
    dropout needs per image (0 without dropout); a forward pass draws nothing itself.
    """

    def __init__(
        self,
        config: UNetConfig,
        image_shape: tuple[int, int, int],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _check_size(config, image_shape)
        self.config = config
        self.image_shape = image_shape
        channels, width = image_shape[0], 4 * config.channels
        plan = DropoutPlan(config.dropout)
        self.embedding = _embedding(config)
        self.embed_in = Linear(self.embedding.width, width)
        self.embed_out = Linear(width, width)
        self.stem = Conv(channels, config.channels, 3)
        features, skips = config.channels, [config.channels]
        self.encoder = nn.ModuleList()
        for level in range(len(config.channel_mult)):
            self.encoder.append(Encoder(config, image_shape, level, features, plan))
            features = config.channels * config.channel_mult[level]
            skips += [skips[-1]] * (level > 0) + [features] * config.blocks
        self.decoder = nn.ModuleList()
        for level in reversed(range(len(config.channel_mult))):
            self.decoder.append(Decoder(config, image_shape, level, features, skips, plan))
            features = config.channels * config.channel_mult[level]
        self.mask_size = plan.size
        self._initialize(generator)

    def _initialize(self, generator: torch.Generator | None) -> None:
        for module in self.modules():
            if isinstance(module, Conv | Linear | FourierEmbedding):
                module.initialize(generator)

    def forward(self, x: Tensor, c_noise: Tensor, mask: Tensor | None = None) -> Tensor:
        """`x` [n, c, h, w] at noise levels `c_noise` [n], mask [n, mask_size] (needed in training
        with dropout)."""
        embedding = F.silu(self.embed_in(self.embedding(c_noise)))
        embedding = F.silu(self.embed_out(embedding))
        image, x = x, self.stem(x)
        skips = [x]
        for encoder in self.encoder:
            x, image = encoder(x, image, skips, embedding, mask)
        output = None
        for decoder in self.decoder:
            x, output = decoder(x, output, skips, embedding, mask)
        assert output is not None
        return output


class Encoder(nn.Module):
    """One level on the way down. Appends what it makes to `skips`; passes on features and the
    shrunken image."""

    def __init__(
        self,
        config: UNetConfig,
        image_shape: tuple[int, int, int],
        level: int,
        inputs: int,
        plan: DropoutPlan,
    ) -> None:
        super().__init__()
        height, width = _size(image_shape, level)
        embedding, taps = 4 * config.channels, config.resample_filter
        self.down = self.image_down = None
        if level > 0:
            drop = plan.layer(inputs, height, width)
            self.down = Block(inputs, inputs, embedding, drop, resample=Downsample(taps))
        if level > 0 and config.encoder == "residual":
            # What is shrunk has the features of the level above's input: the image itself at first.
            above = (
                image_shape[0] if level == 1 else config.channels * config.channel_mult[level - 2]
            )
            self.image_down = ShrinkConv(above, inputs, taps)
        self.blocks = nn.ModuleList()
        outputs = config.channels * config.channel_mult[level]
        for _ in range(config.blocks):
            drop = plan.layer(outputs, height, width)
            attend = height in config.attention
            self.blocks.append(Block(inputs, outputs, embedding, drop, attention=attend))
            inputs = outputs

    def forward(
        self, x: Tensor, image: Tensor, skips: list[Tensor], embedding: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if self.down is not None:
            x = self.down(x, embedding, mask)
            if self.image_down is not None:
                x = image = (x + self.image_down(image)) * _HALF
            skips.append(x)
        for block in self.blocks:
            x = block(x, embedding, mask)
            skips.append(x)
        return x, image


class Decoder(nn.Module):
    """One level on the way up. Takes what the encoder left in `skips`; passes on features and the
    output so far.

    `skips` of the constructor holds the channels of what the encoder leaves, and is consumed
    likewise.
    """

    def __init__(
        self,
        config: UNetConfig,
        image_shape: tuple[int, int, int],
        level: int,
        inputs: int,
        skips: list[int],
        plan: DropoutPlan,
    ) -> None:
        super().__init__()
        height, width = _size(image_shape, level)
        embedding, taps = 4 * config.channels, config.resample_filter
        lowest = level == len(config.channel_mult) - 1

        def block(inputs: int, outputs: int, **options) -> Block:
            return Block(inputs, outputs, embedding, plan.layer(outputs, height, width), **options)

        if lowest:
            self.entry = nn.ModuleList(
                [block(inputs, inputs, attention=True), block(inputs, inputs)]
            )
        else:
            self.entry = nn.ModuleList([block(inputs, inputs, resample=Upsample(taps))])
        self.blocks = nn.ModuleList()
        outputs = config.channels * config.channel_mult[level]
        for i in range(config.blocks + 1):
            attend = i == config.blocks and height in config.attention
            self.blocks.append(block(inputs + skips.pop(), outputs, attention=attend))
            inputs = outputs
        draws = level == 0 or config.decoder == "skip"
        self.head = _head(outputs, image_shape[0]) if draws else None
        self.output_up = Upsample(taps) if draws and not lowest else None

    def forward(
        self,
        x: Tensor,
        output: Tensor | None,
        skips: list[Tensor],
        embedding: Tensor,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        for block in self.entry:
            x = block(x, embedding, mask)
        for block in self.blocks:
            x = block(torch.cat([x, skips.pop()], dim=1), embedding, mask)
        if self.head is None:
            return x, None
        part = self.head(x)
        if output is None or self.output_up is None:
            return x, part
        return x, self.output_up(output) + part


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(norm(inputs), nn.SiLU(), Conv(inputs, outputs, 3, gain=NEAR_ZERO))


def _embedding(config: UNetConfig) -> PositionalEmbedding | FourierEmbedding:
    if config.embedding == "fourier":  # one cosine and one sine for each of `channels` frequencies
        return FourierEmbedding(2 * config.channels, config.fourier_scale)
    return PositionalEmbedding(config.channels)


def _size(image_shape: tuple[int, int, int], level: int) -> tuple[int, int]:
    return image_shape[1] >> level, image_shape[2] >> level


def _check_size(config: UNetConfig, image_shape: tuple[int, int, int]) -> None:
    levels = len(config.channel_mult)
    factor = 2 ** (levels - 1)
    _, height, width = image_shape
    if height % factor or width % factor:
        raise ValueError(
            f"images of {height}x{width} do not fit a U-Net of {levels} levels "
            f"(channel_mult {config.channel_mult}): both sides must be multiples of {factor}"
        )
