"""What a training step costs, against the plainest loop that is correct.

Ours: one dropout mask drawn as integers and shared, multi-tensor optimiser and average. Plain:
`nn.Dropout` in each layer with the random state saved and put back between student and teacher, one
tensor at a time. Same network, weights, noise, levels. Both first have to agree in float64 without
dropout (loss, weights and average over a few steps, to 1e-12): if they do not, there is no number.

    python tests/benchmarks/step.py [--channels 32] [--batch 128] [--repeats 15] [--out FILE]

Time is the process's own CPU time on one thread, the two loops taking turns; trust the ratio, not
the milliseconds.
"""

import argparse
import copy
import dataclasses
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ictsweep.consistency import METHODS, Denoiser, consistency_loss
from ictsweep.networks import PRESETS, UNet, UNetConfig, draw_mask
from ictsweep.networks.dropout import Dropout

METHOD = METHODS["ict"]
SHAPE = (1, 8, 8)
LR, KEEP = 1e-3, 0.999  # of the optimiser; of the weight average

Batch = tuple[Tensor, Tensor, Tensor, Tensor]  # x0, noise, t, r
Step = Callable[[Batch], float]


class PlainDropout(nn.Module):
    """What one would write first: `nn.Dropout`, with the global generator."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(rate)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.dropout(x)


def plain_copy(network: UNet) -> UNet:
    """The same network and weights with `PlainDropout` in each place."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Dropout):
                setattr(module, name, PlainDropout(child.rate))
    return network


def our_step(network: UNet, average: list[Tensor]) -> Step:
    """A step as the package means it to be taken; moves `network` and `average`."""
    denoiser = Denoiser(network, METHOD.scalings)
    weights = list(network.parameters())
    optimizer = torch.optim.RAdam(weights, lr=LR, foreach=True)
    generator = torch.Generator().manual_seed(0)

    def step(batch: Batch) -> float:
        x0, noise, t, r = batch
        mask = draw_mask(len(x0), network.mask_size, generator, x0.device)
        loss = consistency_loss(denoiser, denoiser, METHOD, x0, noise, t, r, mask).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, weights, 1 - KEEP)  # pyright: ignore
        return loss.item()

    return step


def plain_step(network: UNet, average: list[Tensor]) -> Step:
    """The same step, spelt out: formulas in place, tensors one by one; moves `network` and
    `average`."""
    optimizer = torch.optim.RAdam(network.parameters(), lr=LR, foreach=False)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma.view(-1, 1, 1, 1)
        skip = 0.25 / ((s - 0.002) ** 2 + 0.25)
        out = 0.5 * (s - 0.002) / torch.sqrt(s**2 + 0.25)
        return skip * x + out * network(x / torch.sqrt(s**2 + 0.25), torch.log(sigma) / 4)

    def step(batch: Batch) -> float:
        x0, noise, t, r = batch
        state = torch.get_rng_state()
        prediction = denoise(x0 + t.view(-1, 1, 1, 1) * noise, t)
        torch.set_rng_state(state)
        with torch.no_grad():
            target = denoise(x0 + r.view(-1, 1, 1, 1) * noise, r)
        c = 0.00054 * x0[0].numel() ** 0.5
        square = ((prediction - target) ** 2).sum(dim=(1, 2, 3))
        loss = ((torch.sqrt(square + c**2) - c) / (t - r)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for mean, weight in zip(average, network.parameters(), strict=True):
            mean.mul_(KEEP).add_(weight.detach(), alpha=1 - KEEP)
        return loss.item()

    return step


def batches(n: int, count: int, dtype: torch.dtype) -> list[Batch]:
    """`count` batches of `n` images with noise and levels from the middle of the curriculum."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(count):
        x0 = torch.rand(n, *SHAPE, generator=generator, dtype=dtype) * 2 - 1
        noise = torch.randn(n, *SHAPE, generator=generator, dtype=dtype)
        t, r = METHOD.pairs.sample(n, 0.5, generator)
        made.append((x0, noise, t.to(dtype), r.to(dtype)))
    return made


def both(
    config: UNetConfig, dtype: torch.dtype, nudge: float = 0.0
) -> dict[str, tuple[Step, UNet, list[Tensor]]]:
    """The two loops on copies of one network, new or with normal noise of size `nudge` on its
    weights."""
    generator = torch.Generator().manual_seed(0)
    ours = UNet(config, SHAPE, generator).to(dtype)
    with torch.no_grad():
        for weight in ours.parameters():
            weight += nudge * torch.randn(weight.shape, generator=generator, dtype=dtype)
    plain = plain_copy(ours)
    loops = {}
    for name, network, make in (("ours", ours, our_step), ("plain", plain, plain_step)):
        average = [w.detach().clone() for w in network.parameters()]
        loops[name] = (make(network, average), network, average)
    return loops


def disagreement(config: UNetConfig, n: int = 4, steps: int = 3) -> float:
    """The largest relative difference of losses, and absolute one of weights and average, in
    float64 without dropout."""
    # A new network says almost nothing: with the nudge every layer counts.
    loops = both(dataclasses.replace(config, dropout=0.0), torch.float64, nudge=0.05)
    worst = 0.0
    for batch in batches(n, steps, torch.float64):
        ours, plain = loops["ours"][0](batch), loops["plain"][0](batch)
        worst = max(worst, abs(ours - plain) / abs(plain))
    pairs = zip(loops["ours"][1].parameters(), loops["plain"][1].parameters(), strict=True)
    averages = zip(loops["ours"][2], loops["plain"][2], strict=True)
    for a, b in [*pairs, *averages]:
        worst = max(worst, (a - b).abs().max().item())
    return worst


def measure(config: UNetConfig, n: int, repeats: int) -> dict[str, list[float]]:
    """CPU milliseconds of each step of each loop, taking turns; three steps each come first and do
    not count."""
    loops = both(config, torch.float32)
    times: dict[str, list[float]] = {name: [] for name in loops}
    for batch in batches(n, repeats + 3, torch.float32):
        for name, (step, _, _) in loops.items():
            start = time.process_time()
            step(batch)
            times[name].append(1e3 * (time.process_time() - start))
    return {name: values[3:] for name, values in times.items()}


def summary(times: dict[str, list[float]]) -> dict[str, object]:
    """Medians, and the ratio of each turn's pair with its quartiles."""
    ratios = [p / o for o, p in zip(times["ours"], times["plain"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "ours_ms": round(statistics.median(times["ours"]), 2),
        "plain_ms": round(statistics.median(times["plain"]), 2),
        "ratio": round(middle, 3),
        "ratio_quartiles": [round(low, 3), round(high, 3)],
    }


def main(arguments: list[str] | None = None) -> int:
    """Check, measure, print one line and one JSON object; 1 if the loops disagree."""
    parser = argparse.ArgumentParser(description="cost of a training step against a plain loop")
    parser.add_argument("--channels", type=int, default=PRESETS["tiny"].channels)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = dataclasses.replace(PRESETS["tiny"], channels=options.channels)
    error = disagreement(config)
    if not error <= 1e-12:
        print(f"step: the loops disagree by {error:.1e} in float64; nothing was measured")
        return 1
    result = {
        "benchmark": "step",
        "peer": "per-layer nn.Dropout, random state put back, tensors one by one",
        **summary(measure(config, options.batch, options.repeats)),
        "disagreement": error,
        "setting": {"batch": options.batch, "shape": SHAPE, **dataclasses.asdict(config)},
        "repeats": options.repeats,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }
    print(
        f"step: {result['ratio']}x the plain loop's speed "
        f"({result['ours_ms']} against {result['plain_ms']} ms of CPU, batch {options.batch})"
    )
    print(json.dumps(result))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
