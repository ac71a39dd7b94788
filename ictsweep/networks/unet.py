"""A U-Net, built from a design: the levels on the way down and up, and what joins them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ictsweep.networks.blocks import Block, Style
from ictsweep.networks.dropout import DropoutPlan
from ictsweep.networks.embeddings import FourierEmbedding
from ictsweep.networks.layers import Conv, Downsample, Linear, ShrinkConv, Upsample, norm
from ictsweep.networks.presets import NetworkConfig

__all__ = ["Design", "UNet"]

_HALF = 0.5**0.5


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a U-Net is made of, its family's choices spelt out.

    `stem` features leave the first convolution, `features[i]` the blocks of level i, at 1 / 2^i of
    the image's size. Blocks of a level whose rows of pixels are in `attention` attend: all of them
    on the way down, and on the way up all (`attend_up`) or the last. `residual_image` adds the
    shrunken image to each level, `draw_all` lets each level draw a part of the output. Blocks are
    told the level in `embedding` features.
    """

    style: Style
    stem: int
    features: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    attend_up: bool
    taps: tuple[int, ...]
    residual_image: bool
    draw_all: bool
    embedding: int


class UNet(nn.Module):
    """F(x, c_noise, mask, labels, augment): a U-Net of residual blocks.

    `image_shape` is (c, h, w); ValueError if h or w cannot be halved once per level. `condition`
    turns c_noise [n], labels and augment into the embedding [n, e] that blocks are told. Weights
    come from `generator`, or from torch's global one. `mask_size` is the number of 16-bit draws
    that dropout needs per image (0 without dropout); a forward pass draws nothing itself.
    """

    def __init__(
        self,
        config: NetworkConfig,
        design: Design,
        condition: nn.Module,
        image_shape: tuple[int, int, int],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _check_size(config, image_shape)
        self.config = config
        self.image_shape = image_shape
        plan = DropoutPlan(config.dropout, config.dropout_below)
        self.condition = condition
        self.stem = Conv(image_shape[0], design.stem, 3, design.style.fill)
        inputs, skips = design.stem, [design.stem]
        self.encoder = nn.ModuleList()
        for level, features in enumerate(design.features):
            self.encoder.append(Encoder(design, image_shape, level, inputs, plan))
            skips += [inputs] * (level > 0) + [features] * design.blocks
            inputs = features
        self.decoder = nn.ModuleList()
        for level in reversed(range(len(design.features))):
            self.decoder.append(Decoder(design, image_shape, level, inputs, skips, plan))
            inputs = design.features[level]
        self.mask_size = plan.size
        for module in self.modules():
            if isinstance(module, Conv | Linear | FourierEmbedding):
                module.initialize(generator)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        mask: Tensor | None = None,
        labels: Tensor | None = None,
        augment: Tensor | None = None,
    ) -> Tensor:
        """`x` [n, c, h, w] at noise levels `c_noise` [n]; mask [n, mask_size] (needed in training
        with dropout); int64 labels [n], -1 where an image has none; `augment` float [n, 9], what
        was done to each image, None for nothing to any.

        ValueError for labels where the network has no classes, and for an augmentation where it has
        no place for one.
        """
        if labels is not None and not self.config.classes:
            raise ValueError("labels for a network of classes 0: it has no place for them")
        if augment is not None and not self.config.augment:
            raise ValueError("augment for a network of augment False: it has no place for it")
        embedding = self.condition(c_noise, labels, augment)
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
        design: Design,
        image_shape: tuple[int, int, int],
        level: int,
        inputs: int,
        plan: DropoutPlan,
    ) -> None:
        super().__init__()
        height, width = _size(image_shape, level)
        style, embedding = design.style, design.embedding
        self.down = self.image_down = None
        if level > 0:
            drop, half = plan.layer(inputs, height, width), Downsample(design.taps)
            self.down = Block(inputs, inputs, embedding, drop, style, resample=half)
        if level > 0 and design.residual_image:
            # What is shrunk has the features of the level above's input: the image itself at first.
            above = design.features[level - 2] if level > 1 else image_shape[0]
            self.image_down = ShrinkConv(above, inputs, design.taps)
        self.blocks = nn.ModuleList()
        outputs, attend = design.features[level], height in design.attention
        for _ in range(design.blocks):
            drop = plan.layer(outputs, height, width)
            self.blocks.append(Block(inputs, outputs, embedding, drop, style, attention=attend))
            inputs = outputs

    def forward(
        self, x: Tensor, image: Tensor, skips: list[Tensor], embedding: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Features `x` and `image` of the level above to those of this one."""
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
        design: Design,
        image_shape: tuple[int, int, int],
        level: int,
        inputs: int,
        skips: list[int],
        plan: DropoutPlan,
    ) -> None:
        super().__init__()
        height, width = _size(image_shape, level)
        lowest = level == len(design.features) - 1

        def block(inputs: int, outputs: int, **options) -> Block:
            drop = plan.layer(outputs, height, width)
            return Block(inputs, outputs, design.embedding, drop, design.style, **options)

        if lowest:
            entry = [block(inputs, inputs, attention=True), block(inputs, inputs)]
        else:
            entry = [block(inputs, inputs, resample=Upsample(design.taps))]
        self.entry = nn.ModuleList(entry)
        self.blocks = nn.ModuleList()
        outputs, attend = design.features[level], height in design.attention
        for last in [False] * design.blocks + [True]:
            attention = attend and (design.attend_up or last)
            self.blocks.append(block(inputs + skips.pop(), outputs, attention=attention))
            inputs = outputs
        draws = level == 0 or design.draw_all
        self.head = _head(outputs, image_shape[0], design.style) if draws else None
        self.output_up = Upsample(design.taps) if draws and not lowest else None

    def forward(
        self,
        x: Tensor,
        output: Tensor | None,
        skips: list[Tensor],
        embedding: Tensor,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Features `x` and `output` of the level below to those of this one."""
        for block in self.entry:
            x = block(x, embedding, mask)
        for block in self.blocks:
            x = block(x, embedding, mask, skips.pop())
        if self.head is None:
            return x, None
        part = self.head(x)
        if output is None or self.output_up is None:
            return x, part
        return x, self.output_up(output) + part


def _head(inputs: int, outputs: int, style: Style) -> nn.Sequential:
    last = Conv(inputs, outputs, 3, style.fill, style.last)
    return nn.Sequential(norm(inputs, style.eps), nn.SiLU(), last)


def _size(image_shape: tuple[int, int, int], level: int) -> tuple[int, int]:
    return image_shape[1] >> level, image_shape[2] >> level


def _check_size(config: NetworkConfig, image_shape: tuple[int, int, int]) -> None:
    levels = len(config.channel_mult)
    factor = 2 ** (levels - 1)
    _, height, width = image_shape
    if height % factor or width % factor:
        raise ValueError(
            f"images of {height}x{width} do not fit a U-Net of {levels} levels "
            f"(channel_mult {config.channel_mult}): both sides must be multiples of {factor}"
        )
