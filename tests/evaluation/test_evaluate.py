import json
import threading
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from ictsweep.data import digest_of, to_model, to_pixels
from ictsweep.errors import Diverged
from ictsweep.evaluation import (
    Moments,
    Route,
    Sampler,
    class_labels,
    comparable,
    frechet_distance,
    kernel_distance,
    kernel_reference,
    latents,
    manifold,
    metric_key,
    precision,
    recall,
    to_uint8,
)
from tests.evaluation.conftest import evaluator_of

ONE = Route(solver="consistency multistep", levels=(80.0,), noises=1)
TWO = Route(solver="consistency multistep", levels=(80.0, 0.821), noises=2)
ROUTES: dict[Any, Route] = {1: ONE, 2: TWO}
SHAPE = (1, 8, 8)


def smooth(z, labels=None):
    """A sampler that mixes neighbouring pixels and the channels of both steps."""
    kernel = torch.full((1, 1, 3, 3), 0.2)
    return torch.nn.functional.conv2d(z.sum(dim=1) * 0.5, kernel, padding=1)


SAMPLERS: dict[Any, Sampler] = {1: smooth, 2: smooth}


def world(evaluator, size, samplers=SAMPLERS, routes=ROUTES):
    """Each rank in a thread of its own; what each returned or raised."""
    parts, barrier = [None] * size, threading.Barrier(size)
    results: list[Any] = [None] * size

    def run(rank):
        def gather(part):
            parts[rank] = part
            barrier.wait(20)
            joined = torch.cat(parts)
            barrier.wait(20)
            return joined

        try:
            results[rank] = evaluator(samplers, routes, rank, size, gather)
        except Diverged as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_value_is_the_distance_of_the_samples_of_the_latents(evaluator):
    scores = evaluator(SAMPLERS, ROUTES)
    for key, steps in (("fd", 1), ("fd_2step", 2)):
        pixels = to_pixels(smooth(latents(5, 0, 1000, steps, SHAPE)))
        expected = frechet_distance(
            Moments.of(evaluator.extractor(pixels)), evaluator.reference.factor
        )
        assert scores.values[key] == pytest.approx(expected, rel=1e-6)
        assert 0 < scores.errors[key] < expected
    assert list(scores.values) == list(scores.errors) == list(scores.passports)
    assert scores.values.keys() == {"fd", "fd_2step"}


EVERY = ("fd", "kd", "precision", "recall")


@pytest.fixture(scope="module")
def several(digits, cache):
    """An evaluator of all metrics of features that are not Inception's."""
    return evaluator_of(digits, cache, images=300, metrics=EVERY)


def test_every_metric_comes_from_one_pass(several, digits):
    seen = []

    def sampler(z, labels):
        seen.append(len(z))
        return smooth(z)

    scores = several({1: sampler, 2: sampler}, ROUTES)
    assert sum(seen) == 600
    expected = [metric_key(metric, steps) for steps in (1, 2) for metric in EVERY]
    assert list(scores.values) == list(scores.errors) == list(scores.passports) == expected
    x = several.extractor(to_pixels(smooth(latents(5, 0, 300, 1, SHAPE))))
    data = several.extractor(digits.pixels)
    kd = kernel_distance(x, kernel_reference(data))
    inside, covered = precision(x, manifold(data)), recall(x, manifold(data))
    for metric, estimate in (("kd", kd), ("precision", inside), ("recall", covered)):
        assert scores.values[metric] == pytest.approx(estimate.value, rel=1e-6, abs=1e-9)
        assert scores.errors[metric] == pytest.approx(estimate.error, rel=1e-6, abs=1e-9)
    passports = scores.passports
    assert passports["kd"]["metric"] == "digits kernel distance"
    assert passports["kd"]["kernel"] == "(x.y / d + 1)^3, unbiased, all pairs"
    assert passports["recall"]["neighbours"] == 3
    assert {passports[metric].get("reference images") for metric in EVERY} == {None, 1797}


def test_features_and_score_are_steps_of_their_own(evaluator):
    """Features drawn chunk by chunk, wherever they are cut, score as the whole evaluation does."""
    whole = evaluator(SAMPLERS, ROUTES)
    cuts = [0, 256, 768, 1000]
    chunks = [evaluator.features(smooth, TWO, range(a, b)) for a, b in pairwise(cuts)]
    found = evaluator.score(torch.cat(chunks), TWO)
    assert found.keys() == {"fd"}
    assert found["fd"].value == pytest.approx(whole.values["fd_2step"], rel=1e-9)
    assert found["fd"].error == pytest.approx(whole.errors["fd_2step"], rel=1e-9)
    assert found["fd"].influence.shape == (1000,)
    with pytest.raises(AssertionError):
        evaluator.features(smooth, TWO, range(100, 200))
    with pytest.raises(AssertionError):
        evaluator.score(chunks[0], TWO)


def test_drawn_samples_are_those_that_are_scored(evaluator):
    drawn = [*evaluator.drawn(smooth, ONE, range(256, 600))]
    assert [batch.first for batch in drawn] == [256, 512]
    expected = to_pixels(smooth(latents(5, 256, 344, 1, SHAPE)))
    assert torch.equal(torch.cat([batch.pixels for batch in drawn]), expected)
    assert all(bool(batch.finite.all()) for batch in drawn)


def test_few_samples_are_marked(digits, cache):
    marked = evaluator_of(digits, cache, images=64, metrics=("fd", "kd"))(SAMPLERS, ROUTES)
    assert {key for key, p in marked.passports.items() if p.get("below dimension")} == {
        "fd", "fd_2step",
    }  # fmt: skip


def test_a_collapsed_model_is_scored_and_told_of(evaluator, caplog):
    """All samples alike: the distance is that of a Gaussian without variance."""
    scores = evaluator({1: lambda z, labels: torch.zeros(len(z), *SHAPE)}, {1: ONE})
    factor = evaluator.reference.factor
    mean = evaluator.extractor(torch.full((1, *SHAPE), 128, dtype=torch.uint8))[0].double()
    expected = float((mean - factor.mean).square().sum()) + factor.trace
    assert scores.values["fd"] == pytest.approx(expected, rel=1e-6)
    assert scores.errors["fd"] == pytest.approx(0, abs=1e-9)
    assert "all 1000 samples with 1 sampling step(s) have the same features" in caplog.text


def test_pictures_are_the_first_one_step_samples(evaluator):
    pictures = evaluator(SAMPLERS, ROUTES).pictures
    assert torch.equal(pictures, to_pixels(smooth(latents(5, 0, 64, 1, SHAPE))))


@pytest.mark.parametrize("size", [2, 3, 4, 7])
def test_any_number_of_processes_gives_the_same(evaluator, size):
    alone, ranks = evaluator(SAMPLERS, ROUTES), world(evaluator, size)
    for scores in ranks:
        for key, value in alone.values.items():
            assert scores.values[key] == pytest.approx(value, rel=1e-9)
            assert scores.errors[key] == pytest.approx(alone.errors[key], rel=1e-9)
        assert scores.passports == alone.passports
    assert torch.equal(ranks[0].pictures, alone.pictures)
    assert all(len(scores.pictures) == 0 for scores in ranks[1:])


def test_processes_share_the_work_in_equal_batches(evaluator):
    """Which batches the sampler sees does not depend on the number of processes."""
    seen = {}
    for size in (1, 3):
        batches = seen[size] = []

        def sampler(z, labels, batches=batches):
            batches.append(z.sum().item())
            return smooth(z)

        world(evaluator, size, {1: sampler, 2: sampler})
    assert sorted(seen[1]) == sorted(seen[3])
    assert len(seen[1]) == 8


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_samples_that_are_not_finite(evaluator, bad):
    def sampler(z, labels):
        x = smooth(z)
        x[3, 0, 1, 1] = x[7] = bad
        return x

    expected = (
        r"8 of 1000 samples with 1 sampling step\(s\) are not finite, .* the model has diverged"
    )
    with pytest.raises(Diverged, match=expected):
        evaluator({1: sampler, 2: smooth}, ROUTES)


def test_features_that_overflow_are_no_number(evaluator):
    features = torch.rand(1000, 64)
    features[5, 1] = torch.inf
    with pytest.raises(Diverged, match=r"1 of 1000 samples .* or have features that are not"):
        evaluator.score(features, ROUTES[1])


def test_all_processes_learn_that_one_diverged(evaluator):
    """Otherwise the others would wait for it in the gather for ever."""
    last = latents(5, 999, 1, 1, SHAPE)

    def sampler(z, labels):
        x = smooth(z)
        if torch.equal(z[-1:], last):
            x[-1] = torch.nan
        return x

    for result in world(evaluator, 4, {1: sampler, 2: smooth}):
        assert isinstance(result, Diverged)
        assert str(result).startswith("1 of 1000 samples")


def test_no_gradients_are_kept(evaluator):
    weight = torch.ones((), requires_grad=True)

    def sampler(z, labels):
        x = smooth(z) * weight
        assert not x.requires_grad
        return x

    evaluator({1: sampler, 2: sampler}, ROUTES)


def test_passports(evaluator, digits):
    passports = evaluator(SAMPLERS, ROUTES).passports
    assert json.loads(json.dumps(passports)) == passports
    one, two = passports["fd"], passports["fd_2step"]
    assert list(passports) == ["fd", "fd_2step"]
    assert comparable(one, two) == [("levels", [80.0], [80.0, 0.821]), ("steps", 1, 2)]
    assert one["metric"] == "digits Fréchet distance"
    assert one["weights"] == evaluator.extractor.weights
    assert one["images"] == 1000
    assert one["latent_seed"] == 5
    assert one["ema"] == "power 0.05"
    assert one["reference"] == digits.digest


def test_few_images_and_one_way_of_sampling(digits, cache):
    evaluator = evaluator_of(digits, cache, images=40, grid=64)
    scores = evaluator({2: smooth}, {2: TWO})
    assert scores.values.keys() == {"fd_2step"}
    assert torch.equal(scores.pictures, to_pixels(smooth(latents(5, 0, 40, 2, SHAPE))))


def test_any_number_of_steps_from_any_number_of_noises(digits, cache):
    """An ODE's 18 steps take one noise, a multistep sampler's three take three; pictures are those
    with the fewest steps, whatever the order."""
    evaluator = evaluator_of(digits, cache, images=40)
    ode = Route(solver="EDM Heun ODE", levels=tuple(range(18, 0, -1)), noises=1)
    three = Route(solver="consistency multistep", levels=(80.0, 4.0, 0.5), noises=3)
    ten = replace(three, levels=tuple(range(10, 0, -1)), noises=10)
    seen = {}

    def sampler(key):
        return lambda z, labels: seen.setdefault(key, (z, smooth(z)))[1]

    routes: dict[Any, Route] = {10: ten, "ode": ode, 3: three}
    scores = evaluator({key: sampler(key) for key in routes}, routes)
    assert list(scores.values) == ["fd_3step", "fd_10step", "fd_ode"]
    assert torch.equal(seen["ode"][0], latents(5, 0, 40, 1, SHAPE))
    assert torch.equal(seen[3][0], latents(5, 0, 40, 3, SHAPE))
    assert torch.equal(scores.pictures, to_pixels(seen[3][1]))
    assert scores.passports["fd_ode"]["steps"] == 18


def test_labels_belong_to_the_position_whoever_draws_the_sample(evaluator, digits):
    """With classes, sample k gets label k of the seed in one process or three; without, None."""
    routes: dict[Any, Route] = {1: ONE, 2: replace(TWO, classes=10)}
    found = {}

    def sampler(z, labels):
        found[z[:, 0].sum().item()] = labels
        return smooth(z) + 0.1 * labels.view(-1, 1, 1, 1)

    def unlabelled(z, labels):
        assert labels is None
        return smooth(z)

    samplers = {1: unlabelled, 2: sampler}
    alone = evaluator(samplers, routes)
    assert torch.equal(torch.cat(list(found.values())), class_labels(5, 0, 1000, digits.labels))
    before = dict(found)
    shared = world(evaluator, 3, samplers, routes)
    assert found.keys() == before.keys()
    assert all(torch.equal(found[key], before[key]) for key in before)
    for scores in shared:
        assert scores.values["fd_2step"] == pytest.approx(alone.values["fd_2step"], rel=1e-9)
    assert alone.passports["fd"]["labels"] is None
    assert alone.passports["fd_2step"]["labels"] == "as frequent as in the data"


def test_a_perfect_model_of_unbalanced_data_scores_as_one(digits, short, tmp_path):
    """A sampler that shows real pictures of the labels it is told, against data of which five
    classes are nine times rarer, is as near as their own pictures; with classes equally frequent it
    would be far."""
    common = digits.labels < 5
    kept = common | (torch.arange(len(digits)) % 9 == 0)
    pixels, labels = digits.pixels[kept], digits.labels[kept]
    data = replace(digits, pixels=pixels, labels=labels, digest=digest_of(pixels, labels))
    evaluator = evaluator_of(data, tmp_path)
    pictures = {int(label): to_model(pixels[labels == label]) for label in labels.unique()}

    def perfect(z, told):
        picks = (z.flatten(1)[:, 0] * 1e4).long()
        own = [pictures[int(label)] for label in told]
        return torch.stack([of[k % len(of)] for of, k in zip(own, picks, strict=True)])

    def uniform(z, told):
        return perfect(z, torch.arange(len(z)) % 10)

    routes: dict[Any, Route] = {1: replace(ONE, classes=10), 2: replace(TWO, classes=10)}
    scores = evaluator({1: perfect, 2: uniform}, routes)
    assert 5 * scores.values["fd"] < scores.values["fd_2step"]


def test_a_sampler_without_its_route_is_refused(evaluator):
    with pytest.raises(AssertionError):
        evaluator({1: smooth}, ROUTES)


def test_the_reference_comes_from_the_cache(digits, cache, evaluator):
    again = evaluator_of(digits, cache)
    assert torch.equal(again.reference.factor.root, evaluator.reference.factor.root)
    assert torch.equal(again.reference.factor.mean, evaluator.reference.factor.mean)
    real = Moments.of(evaluator.extractor(digits.pixels))
    assert frechet_distance(real, evaluator.reference.factor) == pytest.approx(0, abs=1e-4)


def test_a_sampler_of_the_wrong_shape_is_refused(evaluator):
    with pytest.raises(AssertionError):
        evaluator({1: lambda z, labels: smooth(z)[:5], 2: smooth}, ROUTES)


def test_rounding_is_that_of_the_data():
    x = torch.linspace(-1.2, 1.2, 5001)
    assert torch.equal(to_uint8(x), to_pixels(x))
