"""The loss by noise level: against numpy's histogram, the density that levels are drawn from, and a
network that is wrong at some levels alone.
"""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ictsweep.config import TrialConfig
from ictsweep.training import Trainer
from ictsweep.training.checkpoints import read_meta
from ictsweep.training.spectrum import BANDS, added, by_level, spectrum
from tests.training.small import Recorder, config, job, losses, poison, trainer

EDGES = np.geomspace(0.002, 80.0, BANDS + 1)
ONCE = config(budget_kimg=1, evaluate={"every_kimg": 1, "images": 32, "grid": 16})


def test_bands_are_those_of_a_histogram_in_log_sigma() -> None:
    """10,000 levels of a log-normal density: counts to the image, sums to 1e-5 (float32)."""
    generator = torch.Generator().manual_seed(0)
    sigma = torch.randn(10_000, generator=generator).mul(2.0).sub(1.1).exp()
    loss = torch.rand(10_000, generator=generator) * 100
    found = np.array(by_level(loss, sigma).tolist())
    inside = np.log(sigma.double().numpy()).clip(*np.log([0.002001, 79.99]))
    counts, _ = np.histogram(inside, np.log(EDGES))
    sums, _ = np.histogram(inside, np.log(EDGES), weights=loss.double().numpy())
    assert found[:BANDS].tolist() == counts.tolist()
    np.testing.assert_allclose(found[BANDS:], sums, rtol=1e-5)


def test_what_is_recorded_is_the_middle_of_a_band_its_images_and_their_mean_loss() -> None:
    """By hand: 0.5 lies in the 9th of 16 bands, whose ends are 0.4 and 0.7752; 500 is above all."""
    first = by_level(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0.5, 500.0, 0.45])).tolist()
    second = by_level(torch.tensor([11.0]), torch.tensor([0.6])).tolist()
    top = math.sqrt(80.0 * 80.0 / (80.0 / 0.002) ** (1 / 16))
    assert spectrum(added(added([], first), second)) == {
        "sigma": [pytest.approx(math.sqrt(0.4 * 0.7752), rel=1e-3), pytest.approx(top, rel=1e-3)],
        "images": [3, 1],
        "loss": [6.0, 2.0],
    }
    assert spectrum([]) == {}


def test_a_loss_that_is_not_finite_stays_in_its_band() -> None:
    found = by_level(torch.tensor([math.inf, 1.0]), torch.tensor([10.0, 0.1])).tolist()
    assert math.inf in found
    assert not any(math.isnan(value) for value in found)


def test_the_images_since_the_last_evaluation_are_told_apart(tmp_path: Path, cache: Path) -> None:
    """All 1,000 of them, their mean loss the steps' (float32, four digits recorded), as many in
    each band as the density puts there: within 4 standard deviations.
    """
    runtime = Recorder()
    run = Trainer(job(tmp_path / "a", cache, config=ONCE), runtime)
    steps = losses(trainer(tmp_path / "b", cache, config=ONCE), 5)
    run.fit()
    (measured,) = runtime.measurements
    images, loss = (np.array(measured.spectrum[key]) for key in ("images", "loss"))
    assert images.sum() == 1000
    assert (images * loss).sum() / 1000 == pytest.approx(np.mean(steps), rel=1e-3)
    expected = _expected(run)
    assert expected.sum() == pytest.approx(1000)
    counts = np.histogram(measured.spectrum["sigma"], EDGES, weights=images)[0]
    spread = np.sqrt(expected * (1 - expected / 1000))
    assert (abs(counts - expected) <= 4 * spread + 1e-9).all()


def _expected(run: Trainer) -> np.ndarray:
    """How many of each step's 200 images the iCT grid of the time puts in each band."""
    pairs = run.config.method.pairs
    total = np.zeros(BANDS)
    for step in range(5):
        levels = pairs.grid.levels(pairs.levels(step / 5))
        chances = pairs.density.probabilities(levels)
        inside = levels[1:].numpy().clip(0.00201, 79.9)
        total += 200 * np.histogram(inside, EDGES, weights=chances.numpy())[0]
    return total


def test_a_network_that_is_wrong_at_high_levels_shows_there_alone(
    tmp_path: Path, cache: Path
) -> None:
    """Its output doubled where c_noise = ln(t) / 4 says t > 20.1: student and teacher differ by
    more, in the bands above and in no other.
    """
    sound, wrong = (_fourth_step(tmp_path / name, cache, name) for name in ("sound", "wrong"))
    assert sound["sigma"] == wrong["sigma"]
    assert sound["images"] == wrong["images"]
    for sigma, well, badly in zip(sound["sigma"], sound["loss"], wrong["loss"], strict=True):
        if sigma < 20.1 / 1.94:
            assert badly == well
        elif sigma > 20.1 * 1.94:
            assert badly != well


def _fourth_step(folder: Path, cache: Path, name: str) -> dict[str, list[float]]:
    run = trainer(folder, cache)
    losses(run, 3)
    run.meta = replace(run.meta, by_level=[])
    if name == "wrong":
        poison(run, lambda c_noise: c_noise > 0.75, 2.0)
    run._step()
    return spectrum(run.meta.by_level)


def test_a_run_that_is_continued_tells_the_same(tmp_path: Path, cache: Path) -> None:
    """Killed after an evaluation was recorded and after 400 images more; and one whose checkpoint
    is of a version that kept no spectrum, which begins a new one.
    """
    what = config(budget_kimg=2, evaluate={"every_kimg": 1, "images": 32, "grid": 16})
    whole = _measured(tmp_path / "whole", cache, what, frozenset())
    run = Trainer(job(tmp_path / "cut", cache, config=what), Recorder())
    while run.seen < 1000:
        run._step()
    run._checkpoint()
    for name in ("cut", "old"):
        shutil.copytree(tmp_path / "cut", tmp_path / f"{name} later")
    assert _measured(tmp_path / "cut later", cache, what, frozenset()) == whole
    (again,) = _measured(tmp_path / "cut", cache, what, frozenset({1}))
    assert again == whole[1]

    path = tmp_path / "old later/checkpoints/000002-000001/meta.json"
    facts = json.loads(path.read_text())
    assert sum(facts.pop("by_level")[:BANDS]) == 1000
    path.write_text(json.dumps(facts))
    assert read_meta(path.parent).by_level == []
    (later,) = _measured(tmp_path / "old later", cache, what, frozenset({1}))
    assert later == whole[1]


def _measured(
    folder: Path, cache: Path, what: TrialConfig, recorded: frozenset[int]
) -> list[Mapping[str, Sequence[float]]]:
    runtime = Recorder()
    Trainer(job(folder, cache, config=what, recorded=recorded), runtime).fit()
    return [m.spectrum for m in runtime.measurements]
