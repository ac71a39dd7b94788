"""The networks by name have the papers' numbers."""

import pytest

from ictsweep.networks import PRESETS

SONG = {
    # channels, multipliers, blocks, attention, embedding, encoder, filter
    "ddpmpp": (128, (2, 2, 2), 4, (16,), "positional", "standard", (1, 1)),
    "ddpmpp_deep": (128, (2, 2, 2), 8, (16,), "positional", "standard", (1, 1)),
    "ncsnpp": (128, (2, 2, 2), 4, (16,), "fourier", "residual", (1, 3, 3, 1)),
    "ncsnpp_deep": (128, (2, 2, 2), 8, (16,), "fourier", "residual", (1, 3, 3, 1)),
    "gc_cifar": (128, (1, 2, 2), 3, (), "positional", "standard", (1, 1)),
}


@pytest.mark.parametrize("name", SONG)
def test_the_song_family(name: str) -> None:
    c = PRESETS[name]
    assert c.name == "song"
    numbers = c.channels, c.channel_mult, c.blocks, c.attention
    assert (*numbers, c.embedding, c.encoder, c.resample_filter) == SONG[name]
    assert c.dropout == (0.0 if name == "gc_cifar" else 0.3)


def test_fourier_features_change_slowly_with_the_level() -> None:
    # 16 is the diffusion model's; consistency training cannot bear it (iCT, section 3.1).
    for name in ("ncsnpp", "ncsnpp_deep"):
        config = PRESETS[name]
        assert config.name == "song"
        assert config.fourier_scale == 0.02


@pytest.mark.parametrize(("name", "blocks"), [("adm", 3), ("adm_deep", 6)])
def test_adm(name: str, blocks: int) -> None:
    c = PRESETS[name]
    assert c.name == "adm"
    assert (c.channels, c.channel_mult, c.blocks) == (192, (1, 2, 3, 4), blocks)
    assert (c.attention, c.head_channels, c.level) == ((32, 16, 8), 64, "add")
    assert (c.dropout, c.dropout_below) == (0.2, 16)
