"""What configurations compute and write, against what they really do."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ictsweep.networks import PRESETS
from ictsweep.study.counting import Counter, not_counted
from ictsweep.training import network_calls, routes
from ictsweep.training.checkpoints import save_checkpoint
from tests.training.small import config, method, trainer

CONFIGS = {
    **{name: method(name) for name in ("ict", "edm", "ct", "gaf")},
    "lion": config(optimizer={"name": "lion", "lr": 1e-4, "batch": 200}),
    "post_hoc": config(post_hoc={"snapshots": 3}),
    "wide": config(network={"preset": "tiny", "channels": 32}),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_checkpoint_is_as_large_as_counted(name: str, tmp_path: Path, cache: Path) -> None:
    run = trainer(tmp_path, cache, config=CONFIGS[name])
    run._step()
    place = save_checkpoint(tmp_path / "checkpoints", run.state, run.meta)
    size = sum(path.stat().st_size for path in place.iterdir())
    work = Counter(run.job.images.shape).work(CONFIGS[name])
    assert work.checkpoint_bytes == pytest.approx(size, rel=0.07)
    assert work.parameters == sum(p.numel() for p in run.state.model.parameters())


@pytest.mark.parametrize("name", ["ict", "edm", "ct"])
def test_a_step_and_an_evaluation_are_as_much_work_as_counted(
    name: str, tmp_path: Path, cache: Path
) -> None:
    """Within 2 % of so small a network: the pictures themselves need no gradient."""
    run = trainer(tmp_path, cache, config=CONFIGS[name])
    work = Counter(run.job.images.shape).work(CONFIGS[name])
    with FlopCounterMode(display=False) as counter:
        run._step()
    assert work.step_flop * 200 == pytest.approx(counter.get_total_flops(), rel=0.02)
    if name == "edm":  # its calls of the network are counted below
        return
    extractor = run.job.evaluator.extractor
    with FlopCounterMode(display=False) as counter:
        run._evaluate()
    with FlopCounterMode(display=False) as features:
        extractor(torch.zeros(128, 1, 8, 8, dtype=torch.uint8))
    drawn = counter.get_total_flops() - len(routes(CONFIGS[name], 8)) * features.get_total_flops()
    assert work.evaluation_flop == pytest.approx(drawn, rel=0.01)


def test_generated_endpoints_and_guidance_cost_their_share() -> None:
    counter = Counter((1, 8, 8))
    ict, gaf = counter.work(CONFIGS["ict"]), counter.work(CONFIGS["gaf"])
    assert gaf.step_flop == pytest.approx(ict.step_flop * 4.5 / 4)  # share 0.5
    network = {"preset": "tiny", "channels": 4, "classes": 10, "label_dropout": 0.1}
    plain = config(network=network)
    guided = dataclasses.replace(plain, evaluate=dataclasses.replace(plain.evaluate, guidance=2.0))
    once, twice = counter.work(plain), counter.work(guided)
    assert twice.evaluation_flop == 2 * once.evaluation_flop
    assert [network_calls(route) for route in routes(guided, 8).values()] == [2, 4]
    assert [network_calls(route) for route in routes(CONFIGS["edm"], 8).values()] == [35]


def test_published_networks_are_counted_without_computing() -> None:
    """DDPM++ is 42.4 GFLOP per image, in agreement with EDM's own network."""
    big = dataclasses.replace(config(), network=PRESETS["ddpmpp"])
    work = Counter((3, 32, 32)).work(big)
    assert work.step_flop == pytest.approx(4 * 42.38e9, rel=1e-3)
    assert work.parameters == 55_732_739


def test_what_is_left_out_is_said() -> None:
    assert list(not_counted(config())) == []
    evaluate = {"every_kimg": 1, "images": 128, "features": {"name": "torchscript", "path": "f"}}
    assert list(not_counted(config(evaluate=evaluate))) == ["the torchscript feature network"]
