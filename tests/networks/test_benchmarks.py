"""What the benchmarks of speed, precision and memory count, and that they give no number unless
what they compare agrees."""

import dataclasses
import datetime
import itertools
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ictsweep.consistency import KarrasGrid
from ictsweep.networks import PRESETS, build
from tests.benchmarks import gpu_step, measuring, memory, mfu, precision
from tests.benchmarks.accounting import Live, Saved, count
from tests.benchmarks.step import Case, trial

CPU = torch.device("cpu")
AVERAGE = {"name": "fixed", "beta": 0.9999}
TINY = {"preset": "tiny", "channels": 8, "dropout": 0.0}


class TwoConvolutions(nn.Module):
    """Called as the networks are."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor, c_noise: Tensor, mask: None) -> Tensor:
        return self.second(nn.functional.silu(self.first(x)))


def test_operations_and_activations_of_two_convolutions():
    with torch.device("meta"):
        found = count(TwoConvolutions(), side=4)
    first, second = 2 * 16 * 3 * 8 * 9, 2 * 16 * 8 * 3
    assert found.forward == first + second
    assert found.both == 2 * first + 3 * second  # the image needs no gradient
    assert found.step == found.forward + found.both
    assert found.saved == 4 * 16 * (3 + 8 + 8)  # the image, and SiLU's input and output


@pytest.mark.parametrize(
    ("name", "side", "millions", "gflop"),
    [  # Karras et al. 2022 and Issenhuth et al. 2024, as released
        ("ddpmpp", 32, 55.7, 42.4),
        ("ncsnpp", 32, 56.4, 42.8),
        ("gc_cifar", 32, 34.7, 16.7),
        ("adm", 64, 281.4, 219.0),
    ],
)
def test_operations_of_the_published_networks(name, side, millions, gflop):
    with torch.device("meta"):
        network = build(PRESETS[name], (3, side, side))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
    found = count(network, side)
    assert found.forward / 1e9 == pytest.approx(gflop, rel=0.01)
    assert found.step / found.forward == pytest.approx(4, rel=0.01)


def test_what_lives_is_counted_until_nobody_holds_it():
    weight = torch.ones(10, device="meta", requires_grad=True)
    with Live() as live:
        x = torch.empty(100, 10, device="meta")
        view = x.view(-1)
        assert live.bytes == 4000
        y = (x * weight).exp()  # autograd keeps x and its own output; the product is gone
        assert (live.bytes, live.most) == (8000, 12000)
        loss = y.sum()
        del y, x, view
        assert live.bytes == 8004
        loss.backward()
        del loss
        assert live.bytes == weight.nbytes  # its gradient
        assert torch.empty(3, device="meta").nonzero().shape == (3, 1)


def test_the_memory_of_a_step(monkeypatch):
    monkeypatch.setitem(memory.SIDES, "tiny", 8)
    plain, again = (memory.predict("tiny", 32, chosen) for chosen in (False, True))
    with torch.device("meta"):
        network = build(PRESETS["tiny"], (3, 8, 8))
    weights = sum(p.nbytes for p in network.parameters())
    assert plain.gradient == weights
    assert plain.resident == pytest.approx(4 * weights, rel=0.01)  # weights, RAdam's two, average
    saved = count(network, 8).saved
    assert plain.kept == pytest.approx(saved, rel=0.05)
    assert again.kept < 0.4 * plain.kept
    assert again.resident == plain.resident
    assert plain.most > plain.resident + plain.gradient + 32 * plain.kept
    assert again.most < plain.most


def test_the_largest_micro_batch_fits_and_one_more_image_does_not(monkeypatch):
    def predict(name: str, micro: int, again: bool) -> memory.Memory:
        most = 1000 + 10 * micro + 7 * (micro > 64)  # not quite the line of the two sizes
        return memory.Memory(resident=0, gradient=0, kept=0, most=most)

    monkeypatch.setattr(memory, "predict", predict)
    assert memory.largest("tiny", False, 2006, 1024) == (99, 1997)
    assert memory.largest("tiny", False, 2007, 1024) == (100, 2007)
    assert memory.largest("tiny", False, 2007, 50) == (50, 1500)
    assert memory.largest("tiny", False, 999, 1024) == (0, 0)


@pytest.mark.parametrize("config", memory.SMALL)
def test_recomputing_leaves_gradients_alone_and_a_changed_network_is_noticed(monkeypatch, config):
    assert memory.disagreement(config) <= memory.TOLERANCE

    def spoil(network: nn.Module) -> None:
        with torch.no_grad():
            next(network.parameters()).mul_(1 + 1e-9)

    monkeypatch.setattr(memory, "recompute", spoil)
    assert memory.disagreement(config) > memory.TOLERANCE


def test_memory_is_not_counted_if_recomputing_changes_gradients(monkeypatch, capsys):
    monkeypatch.setattr(memory, "disagreement", lambda config: 1e-11)
    assert memory.main([]) == 1
    assert "nothing was counted" in capsys.readouterr().out


def test_memory_prints_lines_and_a_record(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(memory, "SIDES", {"tiny": 8})
    monkeypatch.setattr(memory, "largest", lambda name, again, limit, batch: (batch, limit))
    monkeypatch.setattr(memory, "measured", lambda *_: {})
    assert memory.main(["--batch", "100", "--out", str(tmp_path / "x.json")]) == 0
    *lines, record = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("memory: tiny, activations kept: ")
    assert json.loads(record) == json.loads((tmp_path / "x.json").read_text())
    assert json.loads(record)["rows"][0]["80 GB"] == {"micro_batch": 100, "peak_gb": 80}


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    """A network of one block after eight steps."""
    config = precision.configuration(1)
    config = dataclasses.replace(config, network=PRESETS["tiny"])
    return precision.trained(config, CPU, tmp_path_factory.mktemp("run"))


def test_levels_of_the_probe_are_neighbours_on_its_grid(learner):
    objective, config = precision.at_levels(learner, 41)
    assert objective.method.pairs.levels(0.0) == objective.method.pairs.levels(1.0) == 41
    grid = KarrasGrid().levels(41).float()
    for batch in precision.batches(learner, config, 2, 16):
        assert len(batch.x0) == len(batch.mask) == 16
        places = (batch.t[:, None] - grid).abs().argmin(dim=1)
        torch.testing.assert_close(batch.t, grid[places])
        torch.testing.assert_close(batch.r, grid[places - 1])


def test_cosines_of_a_gradient(learner):
    objective, config = precision.at_levels(learner, 1281)
    batch = precision.batches(learner, config, 1, 16)[0]
    assert precision.in_precision("fp32")(objective, batch) == pytest.approx(1, abs=1e-12)
    assert 0 < 1 - precision.against_float64(objective, batch) < 1e-6
    assert 1e-6 < 1 - precision.in_precision("bf16")(objective, batch) < 0.5


def run_precision(monkeypatch, learner) -> int:
    monkeypatch.setattr(precision, "trained", lambda *_: learner)
    monkeypatch.setattr(precision, "LEVELS", (11, 41))
    monkeypatch.setattr(precision, "SIZES", (4, 8))
    return precision.main(["--kimg", "1", "--batches", "1"])


def test_precision_prints_lines_and_a_record(monkeypatch, capsys, learner):
    assert run_precision(monkeypatch, learner) == 0
    *lines, record = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    rows = json.loads(record)["rows"]
    assert [(row["images"], row["levels"]) for row in rows] == [(4, 11), (4, 41), (8, 11), (8, 41)]
    assert all(0.99 < row["bf16"] <= 1 for row in rows)


@pytest.mark.parametrize(
    ("name", "value"), [("against_float64", 0.999), ("in_precision", 1 - 1e-5)]
)
def test_precision_is_not_measured_without_a_reference(monkeypatch, capsys, learner, name, value):
    def wrong(*_: object) -> float:
        return value

    replaced: Any = wrong if name == "against_float64" else lambda _: wrong
    monkeypatch.setattr(precision, name, replaced)
    assert run_precision(monkeypatch, learner) == 1
    assert "nothing was measured" in capsys.readouterr().out


def contestant(**network: Any) -> Case:
    """Our configuration of a small network against itself, or another."""
    config = trial(2, TINY, "ict", ema=AVERAGE)
    theirs = build(dataclasses.replace(config.network, **network), (3, 32, 32))
    peer: Any = SimpleNamespace(network=theirs, step=lambda x0: theirs(x0, torch.ones(2)))
    return Case("itself", peer, config)


def test_a_step_is_measured_where_its_operations_are_the_peers(monkeypatch):
    small = ({"conv": lambda: None}, {"conv": 1.0})
    monkeypatch.setattr(mfu, "peaks", lambda *_: small)
    difference, row = mfu.step_row(contestant(), "fp32", CPU, repeats=2)
    assert difference <= mfu.TOLERANCE
    assert row["ours_images_per_s"] > 0
    assert row["peer_images_per_s"] > row["ours_images_per_s"]  # it only looks
    difference, row = mfu.step_row(contestant(blocks=2), "fp32", CPU, repeats=2)
    assert difference > 0.1
    assert "ours_images_per_s" not in row


def test_the_share_of_the_peak(monkeypatch):
    times = {"ours": [2.0], "peer": [4.0], "conv": [1.0], "matmul": [1.0]}
    work = {"conv": 100e9, "matmul": 50e9}
    monkeypatch.setattr(mfu, "take_turns", lambda *_, **__: times)
    monkeypatch.setattr(mfu, "peaks", lambda *_: (dict.fromkeys(work, lambda: None), work))
    case = contestant()
    trainer: Any = SimpleNamespace(config=case.config, _step=None)
    row = mfu.measure(case, trainer, flop=20e9, device=CPU, repeats=1)
    assert row["ours_images_per_s"] == 1.0  # two images in two seconds
    assert row["ours_share_of_peak"] == 0.2  # 20 of 100 GFLOP/s
    assert row["peer_share_of_peak"] == 0.1
    assert row["matmul_gflops"] == 50


def test_the_work_of_the_peaks_is_what_they_do():
    actions, work = mfu.peaks(CPU, torch.float32)
    with mfu.FlopCounterMode(display=False) as counter:
        found = {}
        for name, action in actions.items():
            before = counter.get_total_flops()
            action()
            found[name] = counter.get_total_flops() - before
    assert found == work


def test_networks_that_are_apart_are_not_measured(monkeypatch, capsys):
    row = {"network": "ddpmpp", "apart": 0.02}
    monkeypatch.setattr(mfu, "table", lambda peers: [row])
    assert mfu.main(["--peers", "nowhere"]) == 1
    assert "nothing measured" in capsys.readouterr().out


def test_mfu_against_the_peers(monkeypatch, capsys):
    if not (peers := os.environ.get("ICTSWEEP_PEERS")):
        pytest.skip("ICTSWEEP_PEERS is not set: it names the folder of the peers' checkouts")
    small = ({"conv": lambda: None}, {"conv": 1.0})
    monkeypatch.setattr(mfu, "peaks", lambda *_: small)
    assert mfu.main(["--peers", peers, "--channels", "32", "--repeats", "1"]) == 0
    *lines, record = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("mfu: ") for line in lines)
    networks = {row["network"]: row for row in json.loads(record)["networks"]}
    # Of EDM's own networks, with the dropout of iCT; ours keep no weights of attention.
    theirs = {name: row["peer_activations_mb"] for name, row in networks.items()}
    assert theirs["ddpmpp"] == pytest.approx(133, abs=1)
    assert theirs["adm"] == pytest.approx(775, abs=1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_gpu_benchmark_says_that_there_is_no_gpu(capsys):
    assert gpu_step.main(["--peers", "nowhere"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "gpu_step: there is no CUDA device here; nothing was measured"
    ]


def test_turns_are_taken_and_the_first_rounds_do_not_count(monkeypatch):
    order: list[str] = []
    ticks = itertools.count()
    monkeypatch.setattr(measuring.time, "process_time", lambda: next(ticks) ** 2)
    actions = {name: lambda name=name: order.append(name) for name in "ab"}
    times = measuring.take_turns(actions, CPU, repeats=2, warmup=1)
    assert order == list("ababab")
    assert times == {"a": [9, 17], "b": [13, 21]}  # (2k + 1)^2 - (2k)^2 from the third call on


def test_medians_and_quartiles():
    assert measuring.middle([4.0, 1.0, 2.0, 3.0, 5.0], 2) == (3.0, [2.0, 4.0])
    assert measuring.middle([1.0, 2.0], 2) == (1.5, [1.0, 2.0])


def test_conditions_say_when_and_where():
    found = measuring.conditions(CPU)
    assert datetime.date.fromisoformat(str(found["date"]))
    assert found["device"]
    assert found["torch"] == torch.__version__


def test_a_trainer_far_into_its_run_trains_on(tmp_path: Path):
    config = trial(2, TINY, "ict", ema=AVERAGE)
    trainer = measuring.trainer_on(
        config, measuring.noise_images(8, (3, 8, 8)), CPU, tmp_path, 0.95, micro_batch=1
    )
    assert trainer.seen == 1_900_000
    assert trainer.share.micro == 1
    trainer._step()
    assert trainer.seen == 1_900_002
    assert config.method.pairs.levels(0.95) == 1281


def test_what_autograd_keeps_is_counted_once_and_weights_never():
    network = nn.Linear(4, 4, bias=False)
    saved = Saved(network)
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
        x = torch.ones(2, 4, requires_grad=True)
        y = network(x)  # keeps x, and its own weight
        (y.sin() + y.cos()).sum()  # both keep y
    assert saved.bytes() == x.nbytes + y.nbytes
