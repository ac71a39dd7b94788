import json
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from ictsweep.data import digest_of, to_model, to_pixels
from ictsweep.errors import UserError
from ictsweep.evaluation import Moments, content, factor, frechet_of_features, trained
from ictsweep.evaluation import classifier as recipe
from ictsweep.evaluation.classifier import Classifier, train_classifier
from ictsweep.evaluation.trained import trained_extractor

CASES = [(1, 8, 8), (3, 8, 8), (3, 9, 13), (1, 28, 28), (3, 32, 32), (3, 64, 100)]


@pytest.fixture(scope="module")
def extractor(digits, cache):
    """The extractor of the digits, its network trained once for all tests."""
    return trained_extractor(digits.pixels, digits.labels, "digits", cache)


def pictures(n, c, h, w, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, c, h, w), generator=generator, dtype=torch.uint8)


def labels(n, classes=3):
    return torch.arange(n) % classes


def state(extractor):
    return {**extractor._network.state_dict(), "scale": extractor._scale}


@pytest.mark.parametrize("shape", CASES)
def test_any_small_picture_gives_64_features(shape):
    network = Classifier(shape, 5)
    x = torch.randn(2, *shape)
    assert network.features(x).shape == (2, 64)
    assert network(x).shape == (2, 5)


def test_it_knows_the_digits(extractor):
    assert extractor.accuracy >= 0.97
    assert extractor.metric == "digits Fréchet distance"


def test_the_data_have_variance_one_on_average(extractor, digits):
    features = extractor(digits.pixels)
    assert features.dtype == torch.float32
    assert features.var(dim=0).mean().item() == pytest.approx(1, rel=0.02)


def test_features_do_not_depend_on_batches(extractor, digits):
    whole = extractor(digits.pixels[:600])
    parts = torch.cat([extractor(part) for part in digits.pixels[:600].split(37)])
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


def distance(extractor, reference, pixels):
    return frechet_of_features(extractor(pixels), reference)


@pytest.fixture
def halves(digits):
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    return digits.pixels[order[:898]], digits.pixels[order[898:]]


def noised(pixels, sigma):
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(1))
    return to_pixels(to_model(pixels) + sigma * noise)


def blurred(pixels, share):
    x = to_model(pixels)
    blur = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), value=-1.0), 3, stride=1)
    return to_pixels((1 - share) * x + share * blur)


@pytest.mark.parametrize(
    ("damage", "amounts"), [(noised, (0.2, 0.4, 0.8)), (blurred, (0.3, 0.6, 1.0))]
)
def test_the_distance_grows_with_the_damage(extractor, halves, damage, amounts):
    a, b = halves
    reference = factor(Moments.of(extractor(b)))
    real = distance(extractor, reference, a)
    damaged = [distance(extractor, reference, damage(a, amount)) for amount in amounts]
    assert 0 < real < 1
    assert real < damaged[0] < damaged[1] < damaged[2]
    assert damaged[2] > 10 * real


def test_a_missing_class_is_noticed(extractor, digits):
    reference = factor(Moments.of(extractor(digits.pixels)))
    nines = digits.labels == 9
    without = distance(extractor, reference, digits.pixels[~nines])
    thinned = digits.pixels[torch.arange(len(digits)) % 10 != 9]
    assert without > 10 * distance(extractor, reference, thinned)


def test_a_cache_hit_is_bitwise_the_same(extractor, digits, cache, monkeypatch):
    def trained_again(*_):
        raise AssertionError("the cache was not used")

    monkeypatch.setattr(trained, "train_classifier", trained_again)
    again = trained_extractor(digits.pixels, digits.labels, "other name", cache)
    assert again.weights == extractor.weights
    assert again.metric == "other name Fréchet distance"
    assert again.accuracy == extractor.accuracy
    for key, value in state(extractor).items():
        assert torch.equal(state(again)[key], value)
    assert torch.equal(again(digits.pixels), extractor(digits.pixels))


def test_the_same_data_train_the_same_weights(short, tmp_path):
    x, y = pictures(60, 3, 8, 8), labels(60)
    extractors = []
    for name in ("a", "b"):
        torch.manual_seed(len(extractors))
        extractors.append(trained_extractor(x, y, "x", tmp_path / name))
    assert extractors[0].weights == extractors[1].weights
    content = [sorted(p.read_bytes() for p in (tmp_path / n).iterdir()) for n in ("a", "b")]
    assert content[0] == content[1]


def test_weights_do_not_depend_on_the_number_of_threads(monkeypatch):
    """Float64 training, rounded to 8 bits: what the hash in the passport rests on."""
    monkeypatch.setattr(recipe, "_MAX_STEPS", 10)
    x, y = pictures(200, 1, 8, 8), labels(200)
    before = torch.get_num_threads()
    try:
        states = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            states.append(train_classifier(x, y).network.state_dict())
    finally:
        torch.set_num_threads(before)
    for key, value in states[0].items():
        assert torch.equal(states[1][key], value)
        assert torch.equal(value, value.to(torch.bfloat16).to(torch.float32))


def test_the_global_generator_is_left_alone(short, tmp_path):
    before = torch.get_rng_state()
    extractor = trained_extractor(pictures(40, 1, 8, 8), labels(40), "x", tmp_path)
    extractor(pictures(4, 1, 8, 8))
    trained_extractor(pictures(40, 1, 8, 8), labels(40), "x", tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_other_data_other_labels_other_weights(short, tmp_path):
    x, y = pictures(40, 1, 8, 8), labels(40)
    versions = [(x, y), (pictures(40, 1, 8, 8, seed=1), y), (x, y.flip(0)), (x, None)]
    hashes = {trained_extractor(a, b, "x", tmp_path).weights for a, b in versions}
    assert len(hashes) == 4


def test_labels_need_not_be_counted_from_zero(short, tmp_path):
    x = pictures(40, 1, 8, 8)
    extractor = trained_extractor(x, labels(40) * 100 - 7, "x", tmp_path)
    assert extractor._network.head.out_features == 3
    assert extractor.metric == "x Fréchet distance"


@pytest.mark.parametrize(
    ("shape", "remark"), [((1, 8, 8), "rotation features"), ((3, 8, 12), "flip features")]
)
@pytest.mark.parametrize("y", [None, torch.zeros(40, dtype=torch.int64)])
def test_without_labels_the_name_says_what_was_learnt(short, tmp_path, shape, remark, y):
    extractor = trained_extractor(pictures(40, *shape), y, "cells", tmp_path)
    assert extractor.metric == f"cells Fréchet distance ({remark})"
    assert extractor(pictures(5, *shape)).shape == (5, 64)


def test_which_way_up_can_be_learnt(monkeypatch):
    """Bright tops: the four turns are easy to tell apart."""
    monkeypatch.setattr(recipe, "_MAX_STEPS", 40)
    x = pictures(300, 1, 8, 8) // 4
    x[:, :, :3] += 128
    assert train_classifier(x, None).accuracy > 0.9


def damaged(content: bytes) -> list[bytes]:
    half = len(content) // 2
    flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
    return [b"", content[:-100], flipped, b"nonsense", b"[]", b"{}"]


@pytest.mark.parametrize("suffix", [".pt", ".json"])
@pytest.mark.parametrize("kind", range(6))
def test_a_damaged_cache_is_rebuilt(short, tmp_path, suffix, kind):
    x, y = pictures(40, 1, 8, 8), labels(40)
    first = trained_extractor(x, y, "x", tmp_path)
    (path,) = tmp_path.glob(f"*{suffix}")
    whole = path.read_bytes()
    path.write_bytes(damaged(whole)[kind])
    again = trained_extractor(x, y, "x", tmp_path)
    assert again.weights == first.weights
    assert all(torch.equal(state(again)[key], value) for key, value in state(first).items())
    if not (suffix == ".json" and kind == 2):  # a digit of the accuracy may change unnoticed
        assert path.read_bytes() == whole


def test_under_a_known_digest_pictures_are_not_hashed_again(short, tmp_path):
    x, y = pictures(40, 1, 8, 8), labels(40)
    first = trained_extractor(x, y, "x", tmp_path, digest_of(x, y))
    again = trained_extractor(torch.zeros_like(x), None, "x", tmp_path, digest_of(x, y))
    assert again.weights == first.weights == trained_extractor(x, y, "x", tmp_path).weights
    assert len(list(tmp_path.glob("*.pt"))) == 1


def test_pictures_that_are_not_those_of_the_digest_train_nothing(short, tmp_path):
    x, y = pictures(40, 1, 8, 8), labels(40)
    with pytest.raises(UserError, match="the data changed: their hash is"):
        trained_extractor(x, y.flip(0), "x", tmp_path, digest_of(x, y))
    assert not list(tmp_path.glob("*.pt"))


def test_the_content_of_a_mapped_file_is_hashed_part_by_part(monkeypatch):
    monkeypatch.setattr(content, "_PART", 7)
    x, y = pictures(40, 3, 8, 8), labels(40)
    assert content.content_digest(x, y) == digest_of(x, y)
    assert content.content_digest(x, None) == digest_of(x, None)


def test_the_cached_file_is_plain_tensors(short, tmp_path):
    trained_extractor(pictures(40, 1, 8, 8), labels(40), "x", tmp_path)
    (weights,), (facts,) = tmp_path.glob("*.pt"), tmp_path.glob("*.json")
    values = torch.load(weights, weights_only=True).values()
    assert all(isinstance(value, torch.Tensor) for value in values)
    assert json.loads(facts.read_text())["facts"]["image_shape"] == [1, 8, 8]


def test_processes_may_prepare_at_once(tmp_path):
    script = f"""
import torch
from pathlib import Path
from ictsweep.evaluation import classifier
from ictsweep.evaluation.trained import trained_extractor
classifier._MAX_STEPS = 20
x = torch.arange(40 * 64).view(40, 1, 8, 8).to(torch.uint8)
print(trained_extractor(x, torch.arange(40) % 2, "x", Path({str(tmp_path)!r})).weights)
"""
    running = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [process.communicate()[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert len(printed[0]) == 16
    assert len(set(printed)) == 1
    assert len(list(tmp_path.glob("*.pt"))) == 1
    assert not list(tmp_path.glob("*.tmp"))


def test_too_few_images(tmp_path):
    with pytest.raises(UserError, match=r"cells: 9 images; the feature network .* at least 10"):
        trained_extractor(pictures(9, 1, 8, 8), None, "cells", tmp_path)


def test_images_that_are_all_the_same(tmp_path):
    with pytest.raises(UserError, match="all 20 images are the same"):
        trained_extractor(pictures(1, 1, 8, 8).expand(20, -1, -1, -1), None, "x", tmp_path)
    assert not list(tmp_path.glob("*.pt"))


def test_ten_images_are_enough(short, tmp_path):
    extractor = trained_extractor(pictures(10, 1, 8, 8), labels(10), "x", tmp_path)
    assert extractor(pictures(3, 1, 8, 8)).isfinite().all()


def test_the_recipe_is_what_past_numbers_were_made_with(extractor):
    """The hash in the passports of published studies: a change of it makes them incomparable."""
    assert extractor.weights == "b676723110fa10dd"
    assert (extractor.name, extractor.resize) == ("classifier-64/1", "none")


def test_probabilities_come_from_the_features_alone(extractor, digits):
    x = digits.pixels[:200]
    p = extractor.probabilities(extractor(x))
    assert p.shape == (200, extractor.classes) == (200, 10)
    torch.testing.assert_close(p, extractor._network(to_model(x)).softmax(dim=1))
    assert (p.argmax(dim=1) == digits.labels[:200]).double().mean() > 0.95


def test_it_stays_on_the_cpu(extractor):
    assert extractor.to(torch.device("meta")) is extractor
    assert extractor._scale.device.type == "cpu"
