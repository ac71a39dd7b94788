"""Training in 16 bit: what is cast and what is not, loss scaling, and the measured gradient."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ictsweep.config import ConfigError
from ictsweep.consistency import Denoiser
from ictsweep.errors import Diverged
from ictsweep.training import Trainer
from ictsweep.training.precision import FULL, Precision, loss_scaler, tf32
from ictsweep.training.probe import gradient_cosine, probe_size
from tests.training.small import Recorder, config, job, losses, poison, same, step, tensors, trainer

CPU = torch.device("cpu")
BF16 = "bf16_at_any_level"


def test_what_each_name_means() -> None:
    assert Precision.of("fp32") == FULL == Precision(None, tf32=False)
    assert Precision.of("tf32") == Precision(None, tf32=True)
    assert Precision.of("fp16").dtype == torch.float16
    assert Precision.of("bf16").dtype == Precision.of(BF16).dtype == torch.bfloat16
    assert [Precision.of(p).rounds(CPU) for p in ("fp32", "tf32", "fp16", "bf16")] == [
        False, False, True, True
    ]  # fmt: skip
    assert Precision.of("tf32").rounds(torch.device("cuda"))


@pytest.mark.parametrize("precision", ["fp16", BF16])
def test_only_the_network_s_products_are_coarse(
    precision: str, cache: Path, tmp_path: Path
) -> None:
    """Convolutions see 16 bit; weights, their gradients, outputs and losses stay float32."""
    run = trainer(tmp_path, cache, config=config(precision=precision))
    run._probe = lambda: None  # which looks at float32 too
    seen = set()
    for layer in run.state.model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda *call: seen.add(call[-1].dtype))
    outputs = []
    run.state.model.register_forward_hook(lambda *call: outputs.append(call[-1].dtype))
    step(run)
    assert seen == {run.objective.precision.dtype}
    assert set(outputs) == {torch.float32}
    assert all(
        t.dtype == torch.float32 for t in tensors(run, "model", "ema") if t.is_floating_point()
    )
    assert run.objective.losses(run.feed.batch(0, 0, 25)).dtype == torch.float32
    assert torch.get_autocast_dtype("cpu") is not None
    assert not torch.is_autocast_enabled("cpu")


def test_the_boundary_is_exact_in_any_precision(cache: Path, tmp_path: Path) -> None:
    """f(x, sigma_min) = x bit by bit, because the coefficients are not cast."""
    run = trainer(tmp_path, cache, config=config(precision=BF16))
    model = run.state.model.eval()
    x = torch.randn(4, 1, 8, 8)
    y = run.objective.precision.cast(model)(x, torch.full((4,), 0.002), None, None)
    assert torch.equal(x, y)


@pytest.mark.parametrize("precision", ["fp16", BF16])
def test_coarse_training_follows_float32(precision: str, cache: Path, tmp_path: Path) -> None:
    """5 steps: the losses agree to 2 %."""
    small = {"lr": 1e-3, "batch": 50}
    fine = losses(trainer(tmp_path / "a", cache, config=config(optimizer=small)), 5)
    what = config(precision=precision, optimizer=small)
    coarse = losses(trainer(tmp_path / "b", cache, config=what), 5)
    assert coarse != fine
    assert coarse == pytest.approx(fine, rel=0.02)


def test_a_scaler_belongs_to_float16_alone() -> None:
    assert [loss_scaler(Precision.of(p), CPU) is None for p in ("fp32", "tf32", "bf16")] == [
        True
    ] * 3
    assert loss_scaler(Precision.of("fp16"), CPU).get_scale() == 2.0**16


def float16(cache: Path, folder: Path, scale: float) -> Trainer:
    """A run on steps of 50 images (a CPU is slow in float16), at a loss scale."""
    what = config(precision="fp16", optimizer={"lr": 1e-3, "batch": 50})
    run = trainer(folder, cache, config=what)
    run.state.scaler._init_scale = scale
    return run


def test_float16_restores_bitwise_with_its_scale(cache: Path, tmp_path: Path) -> None:
    """The scale is part of the state, and the recorded gradient norm is not scaled."""
    whole = float16(cache, tmp_path / "a", 2.0**6)
    losses(whole, 2)
    state = copy.deepcopy(whole.state.state_dict())
    restored = float16(cache, tmp_path / "b", 2.0**16)
    restored.state.load_state_dict(state)
    restored.meta = whole.meta
    assert losses(whole, 2) == losses(restored, 2)
    assert same(whole, restored)
    assert restored.state.scaler.get_scale() == 2.0**6
    exact = trainer(tmp_path / "c", cache, config=config(optimizer={"lr": 1e-3, "batch": 50}))
    losses(exact, 4)
    assert whole.meta.grad_norm == pytest.approx(exact.meta.grad_norm, rel=0.02)


def test_an_overflow_skips_the_step_and_halves_the_scale(cache: Path, tmp_path: Path) -> None:
    run = step(float16(cache, tmp_path, 2.0**6))
    run.state.scaler.update(2.0**60)
    before, norm = [t.clone() for t in tensors(run, "model", "ema")], run.meta.grad_norm
    step(run)
    assert all(map(torch.equal, before, tensors(run, "model", "ema")))
    assert int(run.state.ema.updates) == 1  # no average has seen the step
    assert run.state.scaler.get_scale() == 2.0**59
    assert run.meta.grad_norm == norm  # that of the last step that was taken
    assert run.seen == 100


def test_a_scale_below_one_is_divergence(cache: Path, tmp_path: Path) -> None:
    """Gradients that overflow unscaled: the norm is not finite although the loss is."""
    run = step(float16(cache, tmp_path, 2.0**6))
    next(run.state.model.parameters()).register_hook(lambda g: g * math.inf)
    run.state.scaler.update(1.0)
    before = [p.clone() for p in run.state.model.parameters()]
    with pytest.raises(Diverged, match=r"gradient norm (nan|inf) at 0\.05 kimg.*finite gradient"):
        step(run)
    assert all(map(torch.equal, before, run.state.model.parameters()))


def test_a_loss_that_is_not_finite_is_divergence(cache: Path, tmp_path: Path) -> None:
    run = float16(cache, tmp_path, 2.0**6)
    poison(run, lambda c_noise: c_noise > 0.8, math.inf)  # ln(t) > 3.2
    with pytest.raises(Diverged, match="without a finite loss"):
        losses(run, 9)


def test_bf16_is_refused_where_levels_are_too_many() -> None:
    with pytest.raises(ConfigError, match="1281 noise levels") as refused:
        config(precision="bf16")
    assert "bf16_at_any_level" in str(refused.value)
    steps = {"s0": 10, "s1": 160}
    assert config(precision="bf16", method={"preset": "ict", "pairs": {"steps": steps}})


def trained(cache: Path, folder: Path, precision: str) -> Trainer:
    """A network that is no longer close to its skip: 10 steps at a high rate, in float32."""
    optimizer = {"lr": 1e-2, "batch": 200}
    fine = trainer(folder / "fine", cache, config=config(optimizer=optimizer))
    losses(fine, 10)
    run = trainer(folder, cache, config=config(precision=precision, optimizer=optimizer))
    run.state.model.load_state_dict(fine.state.model.state_dict())
    return run


def test_the_cosine_falls_as_levels_come_closer(cache: Path, tmp_path: Path) -> None:
    """The same weights and draws; bf16 keeps less of the direction with every doubling."""
    run = trained(cache, tmp_path, BF16)
    cosines = []
    for seen in (0, 2000, 3600):  # N = 11, 161, 1281
        cosine = gradient_cosine(run.objective, run.feed.batch(seen, 0, 100))
        assert cosine is not None
        cosines.append(cosine)
    assert 0.5 < cosines[2] < cosines[1] < cosines[0] < 1
    assert cosines[0] > 0.999
    exact = gradient_cosine(replace(run.objective, precision=FULL), run.feed.batch(0, 0, 100))
    assert exact == pytest.approx(1.0, abs=1e-12)


def test_float16_overflow_does_not_hide_the_cosine(cache: Path, tmp_path: Path) -> None:
    run = trained(cache, tmp_path, "fp16")
    cosine = gradient_cosine(run.objective, run.feed.batch(2000, 0, 25))
    assert cosine is not None
    assert 0.99 < cosine <= 1


def test_the_probe_changes_nothing(cache: Path, tmp_path: Path) -> None:
    a, b = (trainer(tmp_path / n, cache, config=config(precision=BF16)) for n in "ab")
    b._probe = lambda: None
    assert losses(a, 3) == losses(b, 3)
    assert same(a, b)


def test_it_is_measured_at_every_new_stage_and_recorded(cache: Path, tmp_path: Path) -> None:
    """20 steps, 8 stages: 8 measurements, the last of them in each evaluation, also after a
    resume.
    """
    counted = []
    what = config(
        precision=BF16, evaluate={"every_kimg": 1, "images": 32, "steps": [1], "grid": 16}
    )

    def run(folder: str, **changes) -> Recorder:
        runtime = changes.pop("runtime", Recorder())
        made = Trainer(job(tmp_path / folder, cache, **changes), runtime)
        probe = made._probe
        made._probe = lambda: counted.append(made.seen) or probe()
        made.fit()
        return runtime

    coarse = run("a", config=what)
    assert counted == [0, 600, 1000, 1600, 2000, 2600, 3000, 3600]
    assert [m.stage for m in coarse.measurements] == [1, 3, 5, 7]
    values = [m.grad_cosine for m in coarse.measurements]
    assert all(v is not None and 0 < v < 1 for v in values)
    run("b", config=what, rungs=(3,), runtime=Recorder(stop_at=(3,)))
    resumed = run("b", config=what, recorded={1, 2})
    assert [m.grad_cosine for m in resumed.measurements] == values[2:]


def test_the_probe_takes_half_a_micro_batch_in_whole_blocks() -> None:
    assert probe_size(micro=200, block=25) == 100
    assert probe_size(micro=1024, block=32) == 128
    assert probe_size(micro=32, block=32) == 32


def test_samples_are_drawn_in_float32(cache: Path, tmp_path: Path) -> None:
    """Without TF32 too, which training goes on with."""
    with tf32(False):
        run = trainer(tmp_path, cache, config=config(precision=BF16))
        seen = set()
        assert isinstance(run.state.ema.module, Denoiser)
        network = run.state.ema.module.network
        network.register_forward_hook(lambda *call: seen.add((call[-1].dtype, *_tf32())))
        run._evaluate()
        assert seen == {(torch.float32, False, False)}
        assert _tf32() == (True, True)


def test_tf32_ends_as_it_began() -> None:
    """PyTorch begins with TF32 in convolutions alone."""
    with tf32(False):
        torch.backends.cudnn.allow_tf32 = True
        for allowed in (False, True):
            with tf32(allowed):
                assert _tf32() == (allowed, allowed)
            assert _tf32() == (False, True)


def _tf32() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_float16_is_only_imitated_by_a_cpu(caplog, tmp_path, cache) -> None:
    assert Precision.of("fp16").crawls(torch.device("cpu"))
    assert not Precision.of("fp16").crawls(torch.device("cuda"))
    assert not Precision.of("bf16").crawls(torch.device("cpu"))
    Trainer(job(tmp_path, cache, config=config(precision="fp16")), Recorder())
    assert "this run will crawl" in caplog.text
