"""Which samplers a configuration is evaluated with, and that they do what their passports say."""

import json

import pytest
import torch
from torch import nn

from ictsweep.config import ConfigError, trial_config
from ictsweep.consistency import Denoiser
from ictsweep.evaluation import latents, sampled_steps
from ictsweep.networks import build
from ictsweep.training.samplers import is_diffusion, routes, samplers

SHAPE = (1, 8, 8)
CPU = torch.device("cpu")


def config(method="ict", network=None, **evaluate):
    return trial_config(
        {
            "data": {"name": "digits"},
            "network": {"preset": "tiny", "channels": 4, **(network or {})},
            "method": {"preset": method},
            "optimizer": {"batch": 200},
            "budget_kimg": 4,
            "evaluate": {"every_kimg": 1, **evaluate},
        }
    )


class Toy(nn.Module):
    """F = a x + b c_noise + (1 + label): what it was asked is readable from what it says."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x, c_noise, mask=None, labels=None, augment=None):
        assert mask is None
        self.calls.append(labels)
        told = torch.zeros(len(x)) if labels is None else 1.0 + labels
        return 0.3 * x + (0.1 * c_noise + told).view(-1, 1, 1, 1)


def draw(what, key, z, labels=None, network=None):
    denoiser = Denoiser(network or Toy(), what.method.scalings)
    return samplers(what, denoiser, 8, CPU)[key](z, labels)


@pytest.mark.parametrize(
    ("method", "evaluate"),
    [
        ("ict", {}),
        ("ict", {"steps": [2]}),
        ("ect", {"schedules": [[9.0, 2.0, 0.4], [9.0, 2.0]]}),
        ("edm", {}),
    ],
)
def test_the_keys_are_those_that_an_evaluation_promises(method, evaluate):
    what = config(method, **evaluate)
    keys = sampled_steps(what.evaluate, is_diffusion(what))
    assert tuple(routes(what, 8)) == keys
    assert tuple(samplers(what, Denoiser(Toy(), what.method.scalings), 8, CPU)) == keys


def test_levels_of_each_sampler():
    what = config(schedules=[[9.0, 2.0, 0.4], [9.0, 2.0]])
    assert {key: route.levels for key, route in routes(what, 32).items()} == {
        1: (80.0,),
        2: (80.0, 0.821),
        3: (80.0, 9.0, 2.0),
        4: (80.0, 9.0, 2.0, 0.4),
    }
    assert [route.noises for route in routes(what, 32).values()] == [1, 2, 3, 4]
    assert routes(what, 64)[2].levels == (80.0, 1.526)
    assert routes(config(mid_sigma=0.5), 64)[2].levels == (80.0, 0.5)


def test_a_configuration_with_schedules_survives_being_written_down():
    what = config(schedules=[[9.0, 2.0, 0.4], [9.0, 2.0]], mid_sigma=1.0, solver_steps=30)
    assert trial_config(json.loads(json.dumps(what.to_dict()))) == what


def test_the_levels_of_the_solver():
    """Karras et al. 2022, eq. 5 with rho 7, written out; one noise however many steps."""
    route = routes(config("edm", solver_steps=5), 8)["ode"]
    a, b = 80 ** (1 / 7), 0.002 ** (1 / 7)
    assert route.levels == pytest.approx([(a + i / 4 * (b - a)) ** 7 for i in range(5)], rel=1e-9)
    assert route.noises == 1
    assert len(routes(config("edm"), 8)["ode"].levels) == 18


def test_what_else_the_numbers_depend_on():
    knows = {"classes": 10, "label_dropout": 0.1}
    what = config(network=knows, edge_eta=0.9, guidance=1.5)
    one, two = routes(what, 8)[1], routes(what, 8)[2]
    assert (one.eta, two.eta) == (1.0, 0.9)  # one step has no intermediate level
    assert one.guidance == two.guidance == 1.5
    assert one.classes == two.classes == 10
    assert {route.solver for route in routes(config("edm"), 8).values()}.isdisjoint({one.solver})


def f(x, level, sigma_min, told=0.0):
    """Toy's consistency function from the formulae of the papers, sigma_data 0.5."""
    skip = 0.25 / ((level - sigma_min) ** 2 + 0.25)
    out = 0.5 * (level - sigma_min) / (level**2 + 0.25) ** 0.5
    scaled = x / (level**2 + 0.25) ** 0.5
    return skip * x + out * (0.3 * scaled + 0.1 * torch.tensor(level).log() / 4 + told)


@pytest.mark.parametrize(
    ("method", "carried", "identity_at"), [("ict", 0.002, 0.002), ("ect", 0.0, 0.003)]
)
def test_multistep_by_hand(method, carried, identity_at):
    """iCT's outputs carry noise 0.002, which the next noise is less by; ECT's carry none, and its
    network is evaluated as the identity at 0.003."""
    z = latents(0, 0, 5, 3, SHAPE)
    what = config(method, schedules=[[4.0, 0.01]], edge_eta=0.9)
    x = f(80 * z[:, 0], 80.0, identity_at)
    for j, level in ((1, 3.6), (2, 0.009)):
        x = f(x + (level**2 - carried**2) ** 0.5 * z[:, j], level, identity_at)
    torch.testing.assert_close(draw(what, 3, z), x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "evaluate", "low"),
    [
        ("ict", {"mid_sigma": 0.002}, 0.002),
        ("ect", {"mid_sigma": 0.002}, 0.003),  # below it the network's share changes its sign
        ("ect", {"mid_sigma": 0.0032, "edge_eta": 0.9}, 0.003),
        ("ect", {"schedules": [[4.0, 0.003]]}, 0.003),
    ],
)
def test_samples_never_pause_below_the_level_of_the_identity(method, evaluate, low):
    with pytest.raises(ConfigError, match=f"a noise level between sigma_min {low} and"):
        config(method, **evaluate)


def test_one_step_and_the_first_of_two_start_from_the_same_noise():
    z = latents(0, 0, 5, 2, SHAPE)
    expected = f(80 * z[:, 0], 80.0, 0.002)
    torch.testing.assert_close(draw(config(), 1, z[:, :1]), expected, rtol=1e-5, atol=1e-6)
    middle = f(expected + (0.821**2 - 0.002**2) ** 0.5 * z[:, 1], 0.821, 0.002)
    torch.testing.assert_close(draw(config(), 2, z), middle, rtol=1e-5, atol=1e-6)


def test_the_solver_by_hand():
    """Trapezoidal steps from 80 down to 0.002, then an Euler step to 0."""
    what = config("edm", solver_steps=4)
    z = latents(0, 0, 5, 1, SHAPE)
    *upper, last = routes(what, 8)["ode"].levels
    x = 80 * z[:, 0].double()
    for level, below in zip(upper, (*upper[1:], last), strict=True):
        slope = (x - f(x, level, 0.0)) / level
        euler = x + (below - level) * slope
        x = x + (below - level) * (slope + (euler - f(euler, below, 0.0)) / below) / 2
    expected = x - last * (x - f(x, last, 0.0)) / last
    found = draw(what, "ode", z)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


KNOWS = {"classes": 10, "label_dropout": 0.1}


def test_labels_reach_the_network():
    z, labels, toy = latents(0, 0, 5, 1, SHAPE), torch.tensor([0, 3, 9, 3, 1]), Toy()
    found = draw(config(network=KNOWS), 1, z, labels, toy)
    told = (1.0 + labels).view(-1, 1, 1, 1)
    torch.testing.assert_close(found, f(80 * z[:, 0], 80.0, 0.002, told), rtol=1e-5, atol=1e-6)
    assert len(toy.calls) == 1


def test_guidance_leads_away_from_the_model_without_labels():
    """f_w = g + w (f - g), with g the same network without labels; two calls per step."""
    z, labels, toy = latents(0, 0, 5, 2, SHAPE), torch.tensor([0, 3, 9, 3, 1]), Toy()
    told = (1.0 + labels).view(-1, 1, 1, 1)

    def guided(x, level):
        weaker = f(x, level, 0.002)
        return weaker + 2.5 * (f(x, level, 0.002, told) - weaker)

    x = guided(80 * z[:, 0], 80.0)
    x = guided(x + (0.821**2 - 0.002**2) ** 0.5 * z[:, 1], 0.821)
    what = config(network=KNOWS, guidance=2.5)
    found = draw(what, 2, z, labels, toy)
    torch.testing.assert_close(found, x, rtol=1e-5, atol=1e-5)
    assert len(toy.calls) == 4
    assert sum(given is None for given in toy.calls) == 2


@pytest.fixture(scope="module")
def network():
    """A U-Net whose outputs are no zeros, as an untrained one's would be."""
    generator = torch.Generator().manual_seed(0)
    network = build(config(network=KNOWS).network, SHAPE, generator).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.15 * torch.randn(weight.shape, generator=generator))
    return network


@pytest.mark.parametrize(("method", "key"), [("ict", 1), ("ict", 2), ("ict", 4), ("edm", "ode")])
def test_a_sample_is_a_function_of_its_own_latent_and_label(network, method, key):
    """In batches of 1, 5 and 12 the same pictures to 2e-5 of a range of 2 (float32: a convolution
    may add in another order for another batch size; seen are 2e-7 in four steps, 6e-6 along the
    ODE). A step of 8-bit pictures is 8e-3."""
    what = config(method, KNOWS, guidance=1.5, schedules=[[9.0, 2.0, 0.4]], solver_steps=6)
    z, labels = latents(3, 0, 12, routes(what, 8)[key].noises, SHAPE), torch.arange(12) % 10
    whole = draw(what, key, z, labels, network)
    assert whole.std() > 0.05
    for size in (1, 5):
        parts = zip(z.split(size), labels.split(size), strict=True)
        split = torch.cat([draw(what, key, a, b, network) for a, b in parts])
        torch.testing.assert_close(split, whole, rtol=0, atol=2e-5)
    assert torch.equal(draw(what, key, z, labels, network), whole)
    other = draw(what, key, z, labels.roll(1), network)
    assert not torch.equal(other, whole)


def test_no_gradients_are_kept(network):
    z = latents(0, 0, 2, 1, SHAPE)
    pictures = draw(config(network=KNOWS), 1, z, torch.tensor([1, 2]), network)
    assert not pictures.requires_grad
    assert network.training is False
