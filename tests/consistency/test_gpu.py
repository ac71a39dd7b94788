"""Every method on a CUDA device: the CPU's losses, from the same numbers."""

from dataclasses import replace

import pytest
import torch

from ictsweep.consistency import METHODS, Batch, PosteriorMean, References, consistency_loss
from tests.consistency.batches import denoisers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("name", METHODS)
def test_the_losses_are_those_of_the_cpu(name):
    method, generator = METHODS[name], torch.Generator("cuda").manual_seed(0)
    if isinstance(method.path, PosteriorMean):
        method = replace(method, path=PosteriorMean(references=20))
    t, r = (s.double() for s in method.pairs.sample(64, 0.4, generator))
    assert t.device.type == "cuda"
    x0, noise, others = (
        torch.randn(64, 3, 8, 8, generator=generator, device="cuda", dtype=torch.float64)
        for _ in range(3)
    )
    values = {
        "x0": x0, "noise": noise, "t": t, "r": r,
        "labels": torch.arange(64, device="cuda") % 4 - 1,
        "generated": method.endpoint.draw(64, generator),
    }  # fmt: skip
    references = {"images": others[:19], "labels": torch.arange(19, device="cuda") % 3}
    losses = {
        device: consistency_loss(
            *(d.to(device) for d in denoisers(method)), method,
            Batch(**_on(device, values), references=References(**_on(device, references))),
        )
        for device in ("cuda", "cpu")
    }  # fmt: skip
    torch.testing.assert_close(losses["cuda"].cpu(), losses["cpu"], rtol=1e-9, atol=1e-12)


def _on(device, values):
    return {key: v if v is None else v.to(device) for key, v in values.items()}
