"""What only a CUDA device can show: `pytest -m gpu`."""

from pathlib import Path

import pytest
import torch

from ictsweep.networks import draw_mask
from ictsweep.training import Trainer, initial_model
from ictsweep.training.step import draw
from tests.training.small import Recorder, config, job

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_student_and_teacher_share_their_mask_on_the_device() -> None:
    """The classic bug: a CPU generator saved and restored while dropout draws on the GPU."""
    device = torch.device("cuda")
    model = initial_model(config(), (1, 8, 8), seed=0).train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # the untrained output layer is nearly zero and would hide any mask
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    model = model.to(device)
    size = int(model.network.mask_size)  # type: ignore[arg-type]
    x, sigma = torch.randn(16, 1, 8, 8, device=device), torch.full((16,), 1.0, device=device)
    masks = [
        draw_mask(16, size, torch.Generator(device).manual_seed(seed), device) for seed in (0, 1)
    ]
    torch.testing.assert_close(model(x, sigma, masks[0]), model(x, sigma, masks[0]))
    assert (model(x, sigma, masks[0]) - model(x, sigma, masks[1])).abs().max() > 0.01


def test_draws_on_the_device_belong_to_the_image() -> None:
    device = torch.device("cuda")

    def take(first: int, count: int) -> torch.Tensor:
        return draw(
            config().method, (1, 8, 8), 0, seed=1, first=first, count=count, block=8, progress=0.5,
            device=device,
        ).noise  # fmt: skip

    assert torch.equal(take(0, 64), torch.cat([take(0, 24), take(24, 40)]))


def test_a_run_on_the_device_learns_and_resumes(tmp_path: Path) -> None:
    runtime = Recorder()
    runtime.device = torch.device("cuda")
    assert Trainer(job(tmp_path, tmp_path / "cache"), runtime).fit()
    values = [m.values["fd"] for m in runtime.measurements]
    assert values[-1] < values[0]
    resumed = Trainer(job(tmp_path, tmp_path / "cache"), runtime)
    resumed._restore()
    assert resumed.seen == 4000
