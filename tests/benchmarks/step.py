"""What a training step costs, against the training steps of ECT and consistency_GC.

Both train the network that the peer trains, of the same weights. First they have to agree in
float64 on the loss and on the gradient of every weight, with the same noise, levels and dropout
masks, to 1e-9: if they do not, there is no number. Then each takes its own steps in float32, as its
own code does: draws, teacher, student, backward pass, optimiser, average.

    python -m tests.benchmarks.step --peers FOLDER [--channels 32] [--batch 32] [--repeats 15]
        [--out FILE]

FOLDER holds the checkouts `ect` and `consistency_GC`. Time is the process's own CPU time on one
thread, the two loops taking turns; trust the ratio, not the milliseconds.
"""

import argparse
import dataclasses
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ictsweep.config import TrialConfig, trial_config
from ictsweep.consistency import Batch
from ictsweep.data import to_model
from ictsweep.networks import draw_mask
from ictsweep.networks.dropout import Dropout
from ictsweep.networks.edm_names import from_edm
from ictsweep.training.initial import initial_model
from ictsweep.training.objective import Objective
from ictsweep.training.precision import FULL
from tests.benchmarks.measuring import (
    conditions,
    middle,
    noise_images,
    publish,
    take_turns,
    trainer_on,
)
from tests.benchmarks.peer_loops import ECT, SIDE, ConsistencyGC, Masks, Peer

TOLERANCE = 1e-9
SHAPE = (3, SIDE, SIDE)
PROGRESS = 0.95  # in the last stage of every curriculum: the costliest for us, no r is 0


@dataclass(frozen=True)
class Case:
    """A peer and the configuration that trains the same."""

    name: str
    peer: Peer
    config: TrialConfig


def cases(peers: Path, channels: int, batch: int) -> list[Case]:
    """ECT on DDPM++ and consistency_GC's iCT on its own network, `channels` wide."""
    torch.manual_seed(0)
    ect = trial(
        batch, {"preset": "ddpmpp", "channels": channels, "dropout": 0.2}, "ect",
        ema={"name": "fixed", "beta": 0.9999},
    )  # fmt: skip
    gc = trial(
        batch, {"preset": "gc_cifar", "channels": channels, "dropout": 0.3}, "ict",
        ema={"name": "fixed", "beta": 0.9999},
    )  # fmt: skip
    return [
        Case("ECT", ECT(peers, channels, dropout=0.2, stage=7), ect),
        Case("consistency_GC", ConsistencyGC(peers, channels, 0.3, PROGRESS), gc),
    ]


def trial(batch: int, network: dict[str, Any], method: str, **more: Any) -> TrialConfig:
    """A float32 configuration of a peer's network and method."""
    return trial_config(
        {
            "data": {"name": "digits"},  # never loaded: the images are given
            "network": network,
            "method": {"preset": method},
            "optimizer": {"name": "radam", "lr": 1e-4, "batch": batch},
            "precision": "fp32",
            "budget_kimg": 1000 * batch,
            "evaluate": {"every_kimg": batch, "images": 32},
            **more,
        }
    )


def disagreement(case: Case, n: int = 3) -> float:
    """The largest relative difference of the loss and of the gradient of any weight, in float64."""
    theirs = case.peer.precond.double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # a new network says almost nothing: with noise every layer counts
        for weight in theirs.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    ours = initial_model(case.config, SHAPE, seed=0).double().train()
    ours.network.load_state_dict(from_edm(case.peer.network.state_dict(), case.config.network))
    level = ours.network.condition.level
    half = len(level.frequencies)
    level.frequencies = 1e-4 ** (torch.arange(half, dtype=torch.float64) / (half - 1))
    batch = _batch(case, cast(Any, ours.network).mask_size, n, generator)
    objective = Objective(
        method=case.config.method, student=ours, teacher=ours, generator=None, precision=FULL
    )
    mine = objective.losses(batch).mean()
    mine.backward()
    layers = [m for m in ours.network.modules() if isinstance(m, Dropout)]
    assert batch.mask is not None
    other = case.peer.gradient(batch, Masks(layers, batch.mask))
    return max(abs(mine.item() / other - 1), _gradients_apart(case, ours.network))


def _batch(case: Case, size: int, n: int, generator: torch.Generator) -> Batch:
    """Images and randomness in float64, the levels those of the method."""
    draw = {"generator": generator, "dtype": torch.float64}
    t, r = case.config.method.pairs.sample(n, PROGRESS, generator)
    t = t.double()
    if case.config.method.pairs.name == "continuous":
        r = case.config.method.pairs.steps.lower(t, PROGRESS)
    return Batch(
        x0=torch.rand(n, *SHAPE, **draw) * 2 - 1,
        noise=torch.randn(n, *SHAPE, **draw),
        t=t,
        r=r.double(),
        mask=draw_mask(n, size, generator),
    )


def _gradients_apart(case: Case, ours: torch.nn.Module) -> float:
    buffers = dict(case.peer.network.named_buffers())
    theirs = {name: w.grad for name, w in case.peer.network.named_parameters()} | buffers
    mapped = from_edm(cast(dict[str, Tensor], theirs), case.config.network)
    worst = 0.0
    for name, weight in ours.named_parameters():
        assert weight.grad is not None
        difference = (weight.grad - mapped[name]).norm() / mapped[name].norm()
        worst = max(worst, float(difference))
    return worst


def measure(case: Case, batch: int, repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each step of each loop, taking turns; three steps each come first and do not
    count. Each trains on images of its own choice: they cost the same."""
    images = noise_images(64 * batch, SHAPE)
    x0 = to_model(images.pixels[:batch])
    case.peer.precond.float()
    cpu = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_on(case.config, images, cpu, Path(folder), PROGRESS)
        loops = {"ours": trainer._step, "peer": lambda: case.peer.step(x0)}
        return take_turns(loops, cpu, repeats, warmup=3)


def summary(times: dict[str, list[float]]) -> dict[str, object]:
    """Medians, and the ratio of each turn's pair with its quartiles."""
    ratio, ends = middle([p / o for o, p in zip(times["ours"], times["peer"], strict=True)], 3)
    ours, peer = (round(1e3 * statistics.median(times[name]), 2) for name in ("ours", "peer"))
    return {"ours_ms": ours, "peer_ms": peer, "ratio": ratio, "ratio_quartiles": ends}


def main(arguments: list[str] | None = None) -> int:
    """Check, measure, print one line per peer and one JSON object; 1 if the loops disagree."""
    parser = argparse.ArgumentParser(description="cost of a training step against peers")
    parser.add_argument("--peers", type=Path, required=True, help="folder of checkouts")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    where = conditions(torch.device("cpu"))  # before the benchmark is the load itself
    rows = []
    for case in cases(options.peers, options.channels, options.batch):
        error = disagreement(case)
        if not error <= TOLERANCE:
            print(f"step: {case.name} disagrees by {error:.1e} in float64; nothing was measured")
            return 1
        row = {"peer": case.name, **summary(measure(case, options.batch, options.repeats))}
        print(
            f"step: {row['ratio']}x the speed of {case.name} ({row['ours_ms']} against "
            f"{row['peer_ms']} ms of CPU, batch {options.batch}, {options.channels} channels); "
            f"equal to {error:.0e} in float64"
        )
        network = dataclasses.asdict(case.config.network)
        rows.append({**row, "disagreement": error, "network": network})
    result = {
        "benchmark": "step",
        "rows": rows,
        "batch": options.batch,
        "repeats": options.repeats,
        "progress": PROGRESS,
        **where,
    }
    publish(result, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
