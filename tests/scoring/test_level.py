"""The search for the best intermediate level: on functions whose minimum is known, and on a model
that is best at a known level."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ictsweep.config import trial_config
from ictsweep.consistency import Denoiser
from ictsweep.data import DataConfig, load, to_model
from ictsweep.errors import UserError
from ictsweep.evaluation import classifier as recipe
from ictsweep.scoring import level as module
from ictsweep.scoring.level import golden_section, search_level

GOLDEN = (math.sqrt(5) - 1) / 2


@pytest.mark.parametrize("least", [0.05, 1.0, 1.3, 2.71, 3.9])
@pytest.mark.parametrize("shape", [lambda d: d * d, abs, lambda d: math.exp(3 * d) - 3 * d])
def test_it_closes_in_on_the_minimum(least, shape):
    visited = golden_section(lambda x: shape(x - least), 0.0, 4.0, 14)
    assert len(visited) == 14
    best = min(visited, key=lambda pair: pair[1])[0]
    assert abs(best - least) <= GOLDEN * 4 * GOLDEN**13
    assert all(0 < x < 4 for x, _ in visited)


def test_the_points_that_it_visits():
    """Downhill to the left every time, each new point is the golden share of what remains."""
    xs = [x for x, _ in golden_section(lambda x: x, 0.0, 1.0, 5)]
    assert xs == pytest.approx([GOLDEN**2, GOLDEN, GOLDEN**3, GOLDEN**4, GOLDEN**5])
    xs = [x for x, _ in golden_section(lambda x: -x, 0.0, 1.0, 5)]
    assert xs == pytest.approx(
        [1 - GOLDEN, 1 - GOLDEN**2, 1 - GOLDEN**3, 1 - GOLDEN**4, 1 - GOLDEN**5]
    )


def test_no_point_is_evaluated_twice():
    calls = []
    visited = golden_section(lambda x: calls.append(x) or (x - 1) ** 2, 0.0, 4.0, 9)
    assert calls == [x for x, _ in visited]
    assert len(set(calls)) == 9


@pytest.mark.parametrize(("low", "high", "tries"), [(1.0, 1.0, 5), (2.0, 1.0, 5), (0.0, 1.0, 1)])
def test_what_cannot_be_searched(low, high, tries):
    with pytest.raises(ValueError, match="2 tries or more and low < high"):
        golden_section(abs, low, high, tries)


class BestAt(nn.Module):
    """Its two-step samples are the data's pictures, brighter the further the second call's level is
    from `level`, with a little of the noise left in them."""

    def __init__(self, scalings, level):
        super().__init__()
        self.scalings, self.level = scalings, level
        self.pictures = to_model(load(DataConfig(name="digits")).pixels)
        self.calls = 0

    def forward(self, x, c_noise, mask=None, labels=None, augment=None):
        self.calls += 1
        self.tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        sigma = (4 * c_noise).exp().view(-1, 1, 1, 1)
        wrong = (sigma / self.level).log().abs()
        wanted = self.pictures[: len(x)] + wrong + 0.05 * x
        noisy = x / self.scalings.c_in(sigma)
        return (wanted - self.scalings.c_skip(sigma) * noisy) / self.scalings.c_out(sigma)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a "run" whose model is best at 1.7; feature networks are trained briefly."""
    monkeypatch.setattr(recipe, "_MAX_STEPS", 30)
    return a_run(tmp_path, monkeypatch)


def a_run(folder, monkeypatch, method="ict", digest=None, **evaluate):
    config = trial_config(
        {
            "data": {"name": "digits"},
            "network": {"preset": "tiny", "channels": 4},
            "method": {"preset": method},
            "optimizer": {"batch": 200},
            "budget_kimg": 4,
            "evaluate": {"every_kimg": 1, "images": 128, "steps": [1], **evaluate},
        }
    )
    scalings = config.method.eval_scalings
    denoiser = Denoiser(BestAt(scalings, 1.7), scalings).eval()
    data = digest or load(config.data).digest
    meta = SimpleNamespace(data=data)
    loaded = module.LoadedModel(config, denoiser, meta, folder)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "open_model", lambda path: loaded)
    return folder


def test_the_best_level_is_found_and_measured_again(run):
    lines = []
    search = search_level(run, tries=9, low=0.3, high=8.0, images=100, say=lines.append)
    assert search.best.level == pytest.approx(1.7, rel=0.05)
    assert len(search.tries) == 9
    assert search.best == min(search.tries, key=lambda t: t.value)
    assert search.fresh.level == search.best.level
    assert search.fresh.value != search.best.value  # other latents
    assert search.configured.level == 0.821
    assert search.configured.value > search.fresh.value > 0
    assert all(0 < entry.error < entry.value for entry in search.tries)
    assert (run / ".cache").is_dir()
    text = "\n".join(lines)
    for entry in (*search.tries, search.fresh, search.configured):
        assert str(entry) in text
    assert lines[0] == "two-step samples, 100 per level"
    assert f"best of 9 tries: {search.best.level:.4g}" in text
    assert "too good on average" in text
    assert "wider" not in text


def test_all_tries_see_the_same_latents_and_another_seed_others(run):
    first, again, other = (
        search_level(run, tries=3, seed=seed, say=lambda line: None) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.tries[0].level == other.tries[0].level
    assert first.tries[0].value != other.tries[0].value
    assert first.fresh.value != other.fresh.value


def test_the_runs_own_level_is_measured_on_the_fresh_latents_too(run, monkeypatch):
    level = search_level(run, tries=2, say=lambda line: None).tries[0].level
    a_run(run, monkeypatch, mid_sigma=level)
    search = search_level(run, tries=2, say=lambda line: None)
    assert search.configured.level == search.tries[0].level == level
    assert search.configured.value != search.tries[0].value


def test_a_try_costs_two_calls_of_the_network_per_batch(run):
    network = module.open_model(run).denoiser.network
    search_level(run, tries=4, say=lambda line: None)
    assert network.calls == (4 + 2) * 2


def test_a_best_level_at_the_end_of_the_range_is_said(run):
    lines = []
    search_level(run, tries=4, low=3.0, high=30.0, say=lines.append)
    assert lines[-1] == "the best is at the end of the range: search a wider one"


def test_samples_are_float32_whatever_the_precision_of_training(run):
    """Where the precision is tf32, the default, and the process allows it."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        search_level(run, tries=2, say=lambda line: None)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    assert module.open_model(run).denoiser.network.tf32 == (False, False)


@pytest.mark.parametrize(
    ("method", "evaluate", "low"), [("ect", {}, 0.003), ("ict", {"edge_eta": 0.01}, 0.2)]
)
def test_a_range_below_the_level_of_the_identity_is_refused(
    tmp_path, monkeypatch, method, evaluate, low
):
    a_run(tmp_path, monkeypatch, method=method, **evaluate)
    with pytest.raises(UserError, match=f"within the levels of the method, {low:g} to 80"):
        search_level(tmp_path, low=low)


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (0.002, 5.0), (0.2, 80.0)])
def test_a_range_outside_the_method_is_refused(run, low, high):
    with pytest.raises(UserError, match=r"within the levels of the method, 0\.002 to 80"):
        search_level(run, low=low, high=high)


def test_a_diffusion_model_has_no_such_level(tmp_path, monkeypatch):
    a_run(tmp_path, monkeypatch, method="edm")
    with pytest.raises(UserError, match="has no intermediate level"):
        search_level(tmp_path)


def test_other_data_than_it_was_trained_on_are_refused(tmp_path, monkeypatch):
    a_run(tmp_path, monkeypatch, digest="other")
    with pytest.raises(UserError, match="not those that the model was trained on"):
        search_level(tmp_path)


def test_extractors_stay_with_the_run(tmp_path):
    run = tmp_path / "run"
    for place in (run, run / "checkpoints" / "000004-000002"):
        assert module.run_folder(place) == run
