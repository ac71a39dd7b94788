import numpy as np
import pytest
import torch
from PIL import Image

from ictsweep.evaluation import grid, save_png


def numbered(n, c=1, h=8, w=8):
    return torch.arange(1, n + 1, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, c, h, w)


def test_pictures_go_row_by_row_and_empty_places_are_black():
    sheet = grid(numbered(5, h=8, w=10), columns=3, scale=1, gap=0)
    assert sheet.shape == (16, 30, 1)
    assert sheet.dtype == np.uint8
    assert sheet[::8, ::10, 0].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert (sheet[8:16, 10:20] == 5).all()


def test_a_picture_is_not_transposed():
    picture = torch.arange(8 * 12 * 3).view(1, 8, 12, 3).to(torch.uint8).permute(0, 3, 1, 2)
    sheet = grid(picture, columns=1, scale=1, gap=0)
    assert np.array_equal(sheet, picture[0].permute(1, 2, 0).numpy())


def test_scale_repeats_pixels():
    picture = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    sheet = grid(picture, columns=1, scale=3, gap=0)
    assert sheet.shape == (24, 24, 1)
    assert np.array_equal(sheet[::3, ::3, 0], picture[0, 0].numpy())
    assert np.array_equal(sheet[2::3, 1::3, 0], picture[0, 0].numpy())


@pytest.mark.parametrize(("side", "shown"), [(8, 32), (20, 40), (32, 32), (64, 64)])
def test_tiny_pictures_are_made_visible(side, shown):
    assert grid(numbered(1, h=side, w=side), columns=1, gap=0).shape == (shown, shown, 1)


def test_a_gap_follows_every_picture():
    sheet = grid(numbered(2), columns=2, scale=1, gap=3)
    assert sheet.shape == (11, 22, 1)
    assert sheet[0, :, 0].tolist() == [1] * 8 + [96] * 3 + [2] * 8 + [96] * 3
    assert (sheet[8:] == 96).all()


def test_no_pictures():
    assert not grid(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), columns=4, gap=0).any()


@pytest.mark.parametrize("c", [1, 3])
def test_png_round_trip(tmp_path, c):
    sheet = grid(numbered(6, c=c), columns=3)
    path = tmp_path / "new" / "samples.png"
    save_png(path, sheet)
    save_png(path, sheet)
    with Image.open(path) as image:
        assert image.mode == ("L" if c == 1 else "RGB")
        assert np.array_equal(np.asarray(image).reshape(sheet.shape), sheet)
    assert [p.name for p in path.parent.iterdir()] == ["samples.png"]
