"""What only a CUDA device can show: `pytest -m gpu`."""

from pathlib import Path

import pytest
import torch

from ictsweep.answers import Outcome
from ictsweep.data import Images, load
from ictsweep.networks import draw_mask
from ictsweep.training import Trainer, initial_model, load_model
from ictsweep.training.feed import Feed
from ictsweep.training.probe import gradient_cosine
from tests.training.small import METHODS, Recorder, config, job, losses, method

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

CUDA = torch.device("cuda")


def on_device(folder: Path, cache: Path, **changes) -> Trainer:
    runtime = Recorder(stop_at=changes.pop("stop_at", ()))
    runtime.device = CUDA
    return Trainer(job(folder, cache, **changes), runtime)


def ddpmpp(batch: int) -> dict:
    """A step of DDPM++ on 32x32 pictures of noise."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (2048, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return {
        "images": Images(pixels=pixels, labels=None, name="noise", digest="0" * 16),
        "config": config(
            network={"preset": "ddpmpp"}, optimizer={"batch": batch}, precision="tf32",
            budget_kimg=128, evaluate={"every_kimg": 128, "images": 128, "grid": 16},
        ),
    }  # fmt: skip


def peak_gib(run: Trainer, steps: int = 2) -> float:
    """The most memory that a few steps held, in GiB."""
    torch.cuda.reset_peak_memory_stats()
    assert all(0 < loss < 1e6 for loss in losses(run, steps))
    return torch.cuda.max_memory_allocated() / 2**30


def test_student_and_teacher_share_their_mask_on_the_device() -> None:
    """The classic bug: a CPU generator saved and restored while dropout draws on the GPU."""
    model = initial_model(config(), (1, 8, 8), seed=0).train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # the untrained output layer is nearly zero and would hide any mask
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    model = model.to(CUDA, memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = int(model.network.mask_size)  # type: ignore[arg-type]
    x, sigma = torch.randn(16, 1, 8, 8, device=CUDA), torch.full((16,), 1.0, device=CUDA)
    masks = [draw_mask(16, size, torch.Generator(CUDA).manual_seed(seed), CUDA) for seed in (0, 1)]
    torch.testing.assert_close(model(x, sigma, masks[0]), model(x, sigma, masks[0]))
    assert (model(x, sigma, masks[0]) - model(x, sigma, masks[1])).abs().max() > 0.01


def test_draws_on_the_device_belong_to_the_image() -> None:
    what = method("gaf")
    feed = Feed(config=what, images=load(what.data), seed=1, mask_size=100, device=CUDA)
    whole = feed.batch(2000, 0, 100)
    parts = [feed.batch(2000, *part) for part in ((0, 25), (25, 75))]
    for name in ("x0", "noise", "t", "r", "mask", "generated"):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(getattr(whole, name), joined)


def test_a_run_on_the_device_learns_and_resumes(tmp_path: Path, cache: Path) -> None:
    run = on_device(tmp_path, cache)
    assert run.fit() is Outcome.FINISHED
    values = [m.values["fd"] for m in run.runtime.measurements]  # type: ignore[attr-defined]
    assert values[-1] < values[0]
    resumed = on_device(tmp_path, cache)
    resumed._restore()
    assert resumed.seen == 4000
    for part in ("model", "ema"):
        a, b = (r.state.state_dict()[part] for r in (run, resumed))
        assert all(torch.equal(a[name], b[name]) for name in a)
    for entry in resumed.state.optimizer.state.values():  # on the device each step waits for them
        assert entry["step"].device.type == "cpu"
        assert entry["exp_avg"].device.type == "cuda"
    assert load_model(tmp_path).meta.images == 4000  # on a machine with or without the device


@pytest.mark.parametrize("name", METHODS)
def test_every_method_steps_and_is_evaluated_on_the_device(
    name: str, tmp_path: Path, cache: Path
) -> None:
    run = on_device(tmp_path, cache, config=method(name))
    assert all(0 < loss < 1e4 for loss in losses(run, 3))
    assert all(value > 0 for value in run._evaluate().values.values())


def test_float16_with_loss_scaling_follows_float32(tmp_path: Path, cache: Path) -> None:
    fine = losses(on_device(tmp_path / "a", cache), 20)
    run = on_device(tmp_path / "b", cache, config=config(precision="fp16"))
    coarse = losses(run, 20)
    assert coarse == pytest.approx(fine, rel=0.1)
    assert run.state.scaler.get_scale() >= 1
    cosine = run.meta.grad_cosine
    assert cosine is not None
    assert cosine > 0.9


def test_what_each_precision_keeps_of_the_gradient(tmp_path: Path, cache: Path) -> None:
    """At N = 1281: TF32 nearly all, bf16 less than float16."""
    kept = {}
    for precision in ("tf32", "fp16", "bf16_at_any_level"):
        what = config(precision=precision, optimizer={"lr": 1e-2, "batch": 200})
        run = on_device(tmp_path / precision, cache, config=what)
        losses(run, 10)
        kept[precision] = gradient_cosine(run.objective, run.feed.batch(3600, 0, 100))
    assert kept["tf32"] > 0.98
    assert kept["bf16_at_any_level"] < kept["fp16"] <= 1


def test_recomputed_activations_give_the_same_losses(tmp_path: Path, cache: Path) -> None:
    kept = losses(on_device(tmp_path / "a", cache), 5)
    again = losses(on_device(tmp_path / "b", cache, recompute=True), 5)
    assert again == pytest.approx(kept, rel=1e-4)


def test_micro_batches_bound_the_memory_of_ddpmpp(tmp_path: Path, cache: Path) -> None:
    """A batch of 256: the same loss, activations in proportion to the micro-batch, and recomputing
    them takes most of the rest.
    """
    runs = {"whole": {}, "micro": {"micro_batch": 64}, "recompute": {"micro_batch": 64}}
    runs["recompute"]["recompute"] = True
    peaks, first = {}, {}
    for name, changes in runs.items():
        run = on_device(tmp_path / name, cache, **ddpmpp(256), **changes)
        peaks[name] = peak_gib(run)
        first[name] = run.meta.loss
        del run
        torch.cuda.empty_cache()
    assert peaks["micro"] < 0.5 * peaks["whole"]
    assert peaks["recompute"] < 0.7 * peaks["micro"]
    assert first["micro"] == pytest.approx(first["whole"], rel=1e-2)
    assert first["recompute"] == pytest.approx(first["whole"], rel=1e-2)


def test_a_batch_of_1024_of_ddpmpp_fits_in_80_gb(tmp_path: Path, cache: Path) -> None:
    run = on_device(tmp_path, cache, **ddpmpp(1024), micro_batch=128)
    assert peak_gib(run, steps=1) < 74.5  # 80 GB
