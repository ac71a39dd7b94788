import json
import threading
from dataclasses import replace

import pytest
import torch

from ictsweep.data import to_model, to_pixels
from ictsweep.errors import Diverged
from ictsweep.evaluation import Moments, Route, class_labels, frechet_distance, latents, same
from ictsweep.evaluation.evaluate import _to_uint8
from tests.evaluation.conftest import evaluator_of

ONE = Route(solver="consistency multistep", levels=(80.0,), noises=1)
TWO = Route(solver="consistency multistep", levels=(80.0, 0.821), noises=2)
ROUTES = {"fd": ONE, "fd_2step": TWO}
SHAPE = (1, 8, 8)


def smooth(z, labels=None):
    """A sampler that mixes neighbouring pixels and the channels of both steps."""
    kernel = torch.full((1, 1, 3, 3), 0.2)
    return torch.nn.functional.conv2d(z.sum(dim=1) * 0.5, kernel, padding=1)


SAMPLERS = {"fd": smooth, "fd_2step": smooth}


def world(evaluator, size, samplers=SAMPLERS, routes=ROUTES):
    """Each rank in a thread of its own; what each returned or raised."""
    parts, barrier = [None] * size, threading.Barrier(size)
    results = [None] * size

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
        expected = frechet_distance(Moments.of(evaluator.extractor(pixels)), evaluator.reference)
        assert scores.values[key] == pytest.approx(expected, rel=1e-6)
        assert 0 < scores.errors[key] < expected
    assert list(scores.values) == list(scores.errors) == list(scores.passports)
    assert scores.values.keys() == {"fd", "fd_2step"}


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

        world(evaluator, size, {"fd": sampler, "fd_2step": sampler})
    assert sorted(seen[1]) == sorted(seen[3])
    assert len(seen[1]) == 8


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_samples_that_are_not_finite(evaluator, bad):
    def sampler(z, labels):
        x = smooth(z)
        x[3, 0, 1, 1] = x[7] = bad
        return x

    expected = r"8 of 1000 samples with 1 sampling step\(s\) are not finite: the model has diverged"
    with pytest.raises(Diverged, match=expected):
        evaluator({"fd": sampler, "fd_2step": smooth}, ROUTES)


def test_all_processes_learn_that_one_diverged(evaluator):
    """Otherwise the others would wait for it in the gather for ever."""
    last = latents(5, 999, 1, 1, SHAPE)

    def sampler(z, labels):
        x = smooth(z)
        if torch.equal(z[-1:], last):
            x[-1] = torch.nan
        return x

    for result in world(evaluator, 4, {"fd": sampler, "fd_2step": smooth}):
        assert isinstance(result, Diverged)
        assert str(result).startswith("1 of 1000 samples")


def test_no_gradients_are_kept(evaluator):
    weight = torch.ones((), requires_grad=True)

    def sampler(z, labels):
        x = smooth(z) * weight
        assert not x.requires_grad
        return x

    evaluator({"fd": sampler, "fd_2step": sampler}, ROUTES)


def test_passports(evaluator, digits):
    passports = evaluator(SAMPLERS, ROUTES).passports
    assert json.loads(json.dumps(passports)) == passports
    one, two = passports["fd"], passports["fd_2step"]
    assert list(passports) == ["fd", "fd_2step"]
    assert same(one, two) == [("levels", [80.0], [80.0, 0.821]), ("steps", 1, 2)]
    assert one["metric"] == "digits Fréchet distance"
    assert one["weights"] == evaluator.extractor.weights
    assert one["images"] == 1000
    assert one["latent_seed"] == 5
    assert one["ema"] == "power 0.05"
    assert one["reference"] == digits.digest


def test_few_images_and_one_way_of_sampling(digits, cache):
    evaluator = evaluator_of(digits, cache, images=40, grid=64)
    scores = evaluator({"fd_2step": smooth}, {"fd_2step": TWO})
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

    routes = {"fd_10step": ten, "fd_ode": ode, "fd_3step": three}
    scores = evaluator({key: sampler(key) for key in routes}, routes)
    assert list(scores.values) == ["fd_3step", "fd_10step", "fd_ode"]
    assert torch.equal(seen["fd_ode"][0], latents(5, 0, 40, 1, SHAPE))
    assert torch.equal(seen["fd_3step"][0], latents(5, 0, 40, 3, SHAPE))
    assert torch.equal(scores.pictures, to_pixels(seen["fd_3step"][1]))
    assert scores.passports["fd_ode"]["steps"] == 18


def test_labels_belong_to_the_position_whoever_draws_the_sample(evaluator, digits):
    """With classes, sample k gets label k of the seed in one process or three; without, None."""
    routes = {"fd": ONE, "fd_2step": replace(TWO, classes=10)}
    found = {}

    def sampler(z, labels):
        found[z[:, 0].sum().item()] = labels
        return smooth(z) + 0.1 * labels.view(-1, 1, 1, 1)

    def unlabelled(z, labels):
        assert labels is None
        return smooth(z)

    samplers = {"fd": unlabelled, "fd_2step": sampler}
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
    data = replace(digits, pixels=pixels, labels=labels, digest="unbalanced")
    evaluator = evaluator_of(data, tmp_path)
    pictures = {int(label): to_model(pixels[labels == label]) for label in labels.unique()}

    def perfect(z, told):
        picks = (z.flatten(1)[:, 0] * 1e4).long()
        own = [pictures[int(label)] for label in told]
        return torch.stack([of[k % len(of)] for of, k in zip(own, picks, strict=True)])

    def uniform(z, told):
        return perfect(z, torch.arange(len(z)) % 10)

    routes = {"fd": replace(ONE, classes=10), "fd_2step": replace(TWO, classes=10)}
    scores = evaluator({"fd": perfect, "fd_2step": uniform}, routes)
    assert 5 * scores.values["fd"] < scores.values["fd_2step"]


def test_a_sampler_without_its_route_is_refused(evaluator):
    with pytest.raises(AssertionError):
        evaluator({"fd": smooth}, ROUTES)


def test_the_reference_comes_from_the_cache(digits, cache, evaluator):
    again = evaluator_of(digits, cache)
    assert torch.equal(again.reference.root, evaluator.reference.root)
    assert torch.equal(again.reference.mean, evaluator.reference.mean)
    real = Moments.of(evaluator.extractor(digits.pixels))
    assert frechet_distance(real, evaluator.reference) == pytest.approx(0, abs=1e-4)


def test_a_sampler_of_the_wrong_shape_is_refused(evaluator):
    with pytest.raises(AssertionError):
        evaluator({1: lambda z, labels: smooth(z)[:5], 2: smooth}, ROUTES)


def test_rounding_is_that_of_the_data():
    x = torch.linspace(-1.2, 1.2, 5001)
    assert torch.equal(_to_uint8(x), to_pixels(x))
