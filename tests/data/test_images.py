import torch

from ictsweep.data import Images, digest_of, to_model, to_pixels


def test_every_pixel_value_survives_the_round_trip():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_pixels(to_model(values)), values)


def test_the_model_sees_minus_one_to_one():
    x = to_model(torch.tensor([0, 255], dtype=torch.uint8))
    assert x.dtype == torch.float32
    assert x.tolist() == [-1.0, 1.0]


def test_rounding_is_edms():
    # trunc(clip(127.5 x + 128, 0, 255)): halves go up, and everything outside is clipped.
    x = torch.tensor([-7.0, -1.0, -0.5 / 127.5, 0.0, 0.4 / 127.5, 1.0, 7.0])
    assert to_pixels(x).tolist() == [0, 0, 127, 128, 128, 255, 255]


def test_the_digest_depends_on_pixels_shape_and_labels():
    pixels = torch.arange(128, dtype=torch.uint8).view(2, 1, 8, 8)
    other = pixels.clone()
    other[1, 0, 7, 7] += 1
    digests = {
        digest_of(pixels, None),
        digest_of(other, None),
        digest_of(pixels.view(1, 2, 8, 8), None),
        digest_of(pixels, torch.tensor([0, 1])),
        digest_of(pixels, torch.tensor([1, 0])),
    }
    assert len(digests) == 5
    assert all(len(digest) == 16 for digest in digests)
    assert digest_of(pixels.clone(), None) == digest_of(pixels, None)


def test_shape_and_length():
    pixels = torch.zeros(5, 3, 8, 9, dtype=torch.uint8)
    images = Images(pixels=pixels, labels=None, name="x", digest="")
    assert images.shape == (3, 8, 9)
    assert len(images) == 5
