"""The samplers that a configuration is evaluated with, and what identifies each."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ictsweep.config import TrialConfig
from ictsweep.consistency import CleanPairs, Denoiser, KarrasGrid, guided, heun, sample
from ictsweep.evaluation import Route, Sampler, Steps, default_mid_sigma

# EDM's solver spaces its levels on this grid, whose lowest one it steps to 0 from (Karras et al.
# 2022, arXiv:2206.00364, Table 1), whatever levels the network was trained on.
_ODE_SIGMA_MIN, _ODE_RHO = 0.002, 7.0

_JUMPS = "consistency multistep"

# A model with its labels decided: (x, sigma) -> clean image.
_Bound = Callable[[Tensor, Tensor], Tensor]


def is_diffusion(config: TrialConfig) -> bool:
    """Whether the method trains a denoiser, which only an ODE solver can sample from."""
    return isinstance(config.method.pairs, CleanPairs)


def routes(config: TrialConfig, side: int) -> dict[Steps, Route]:
    """The ways in which a model of pictures of `side` pixels is sampled, fewest steps first. The
    keys are `sampled_steps(config.evaluate, is_diffusion(config))`.
    """
    if is_diffusion(config):
        return {"ode": _ode_route(config)}
    evaluate = config.evaluate
    mid = default_mid_sigma(side) if evaluate.mid_sigma is None else evaluate.mid_sigma
    paths = [(mid,) * (steps - 1) for steps in evaluate.steps]
    paths = sorted([*paths, *evaluate.schedules], key=len)
    return {len(path) + 1: _multistep_route(config, path) for path in paths}


def network_calls(route: Route) -> int:
    """How often a route calls the network per picture."""
    levels = len(route.levels)
    once = levels if route.solver == _JUMPS else 2 * levels - 1  # the last ODE step is Euler's
    return once if route.guidance == 1 else 2 * once


def samplers(
    config: TrialConfig, denoiser: Denoiser, side: int, device: torch.device
) -> dict[Steps, Sampler]:
    """The samplers of `routes` of the network in `denoiser`, which lives on
    `device` in evaluation mode; its preconditioning is the method's `eval_scalings`.

    Each maps latents float32 [n, noises, c, h, w] and labels int64 [n] or None, both on the CPU, to
    pictures [n, c, h, w] on the CPU. A picture is a function of its own latents and label; in
    another batch it differs by float32 rounding alone, since a convolution may add in another order
    for another batch size (a few 1e-6 in one step).
    """
    model = Denoiser(denoiser.network, config.method.eval_scalings)
    draw = _solve if is_diffusion(config) else partial(_jump, config.method.pairs.boundary)
    return {
        steps: _sampler(route, partial(draw, route), model, device)
        for steps, route in routes(config, side).items()
    }


def _ode_route(config: TrialConfig) -> Route:
    top, steps = config.method.pairs.sigma_max, config.evaluate.solver_steps
    grid = KarrasGrid(sigma_min=_ODE_SIGMA_MIN, sigma_max=top, rho=_ODE_RHO)
    return Route(
        solver="EDM Heun ODE",
        levels=tuple(grid.levels(steps).flip(0).tolist()),
        noises=1,
        guidance=config.evaluate.guidance,
        classes=config.network.classes,
    )


def _multistep_route(config: TrialConfig, path: tuple[float, ...]) -> Route:
    return Route(
        solver=_JUMPS,
        levels=(config.method.pairs.sigma_max, *path),
        noises=1 + len(path),
        eta=config.evaluate.edge_eta if path else 1.0,  # one step has no intermediate level
        guidance=config.evaluate.guidance,
        classes=config.network.classes,
    )


def _solve(route: Route, model: _Bound, latents: Tensor) -> Tensor:
    return heun(model, latents, route.levels)


def _jump(boundary: float, route: Route, model: _Bound, latents: Tensor) -> Tensor:
    """The model's outputs still carry noise of level `boundary`, which the next noise adds to."""
    return sample(model, latents, route.levels, sigma_min=boundary, eta=route.eta)


def _sampler(
    route: Route, draw: Callable[[_Bound, Tensor], Tensor], model: Denoiser, device: torch.device
) -> Sampler:
    def sampler(latents: Tensor, labels: Tensor | None) -> Tensor:
        on_device = None if labels is None else labels.to(device)
        return draw(_bound(route, model, on_device), latents.to(device)).cpu()

    return sampler


def _bound(route: Route, model: Denoiser, labels: Tensor | None) -> _Bound:
    """The model with these labels, guided away from the model without any: a second call of the
    network, unless the scale is 1."""

    def conditional(x: Tensor, sigma: Tensor) -> Tensor:
        return model(x, sigma, labels=labels)

    return guided(conditional, model, route.guidance)
