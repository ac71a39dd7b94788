"""The field's known mistakes in consistency training, each as a small change of our code.

Every one has been made, in published code or in a reproduction of it; each trains without an error
and ends with a model that is worse, or a number that means something else.
"""

from dataclasses import dataclass

CONSISTENCY, TRAINING = "ictsweep/consistency/", "ictsweep/training/"


@dataclass(frozen=True)
class Mutation:
    """`old` in `file` becomes `new`; one of `tests` has to fail then."""

    name: str
    file: str
    old: str
    new: str
    tests: str


CATALOGUE = (
    Mutation(
        "P_mean of the other sign",
        CONSISTENCY + "methods.py",
        "        density=LogNormal(mean=-1.1, std=2.0),\n        steps=Doubling(",
        "        density=LogNormal(mean=1.1, std=2.0),\n        steps=Doubling(",
        "tests/consistency/test_methods.py",
    ),
    Mutation(
        "pseudo-Huber of each pixel",
        CONSISTENCY + "distances.py",
        "        square = _square(x, y)\n        c = self.c_scale * math.sqrt(x[0].numel())",
        "        square = (x - y).square().flatten(1)\n"
        "        c = self.c_scale * math.sqrt(x[0].numel())\n"
        "        return (square / ((square + c * c).sqrt() + c)).sum(1)",
        "tests/consistency/test_distances.py",
    ),
    Mutation(
        "a mask that teacher and student do not share",
        CONSISTENCY + "loss.py",
        "        return denoise(x, batch.r, batch.mask, batch.labels, batch.augment)",
        "        other = None if batch.mask is None else batch.mask.roll(1, 0)\n"
        "        return denoise(x, batch.r, other, batch.labels, batch.augment)",
        "tests/consistency/test_loss_networks.py",
    ),
    Mutation(
        "a mask that they share on the CPU only",
        CONSISTENCY + "loss.py",
        "        return denoise(x, batch.r, batch.mask, batch.labels, batch.augment)",
        "        other = batch.mask\n"
        "        if other is not None and x.device.type != 'cpu':\n"
        "            other = other.roll(1, 0)\n"
        "        return denoise(x, batch.r, other, batch.labels, batch.augment)",
        "tests/conformance/test_devices.py",
    ),
    Mutation(
        "an averaged teacher left on",
        TRAINING + "build.py",
        "        teacher=state.model if state.teacher is None else state.teacher.module,",
        "        teacher=state.ema.module if state.teacher is None else state.teacher.module,",
        "tests/training",
    ),
    Mutation(
        "c_in that adds where it should add squares",
        CONSISTENCY + "preconditioning.py",
        "return (sigma.square() + self.sigma_data**2).rsqrt()",
        "return (sigma + self.sigma_data).reciprocal()",
        "tests/consistency/test_preconditioning.py",
    ),
    Mutation(
        "N(k) one too small",
        CONSISTENCY + "curricula.py",
        "return self.intervals(progress) + 1",
        "return self.intervals(progress)",
        "tests/consistency/test_curricula.py",
    ),
    Mutation(
        "a weight of the wrong level",
        CONSISTENCY + "loss.py",
        "weight = method.weighting(batch.t, batch.r, method.scalings)",
        "weight = method.weighting(batch.r, batch.r * 0.5, method.scalings)",
        "tests/consistency/test_loss.py",
    ),
    Mutation(
        "live weights instead of averaged ones in sampling",
        TRAINING + "trainer.py",
        "self.state.ema.module, side",
        "self.state.model, side",
        "tests/training",
    ),
    Mutation(
        "images in [-1, 1] as floats to the feature network",
        "ictsweep/evaluation/drawing.py",
        "levels = (x.float() * 127.5 + 128).clip(0, 255)",
        "levels = x.float().clip(-1, 1)",
        "tests/evaluation/test_evaluate.py",
    ),
    Mutation(
        "the share of generated endpoints inverted",
        CONSISTENCY + "endpoints.py",
        "< self.share",
        ">= self.share",
        "tests/consistency/test_endpoints.py",
    ),
    Mutation(
        "posterior weights without their maximum taken off",
        CONSISTENCY + "paths.py",
        "shares = (logits - logits.amax(1, keepdim=True)).exp()",
        "shares = logits.exp()",
        "tests/consistency/test_paths.py",
    ),
    Mutation(
        "CT's decay over N instead of N - 1",
        CONSISTENCY + "teachers.py",
        "steps.intervals(progress)",
        "steps.levels(progress)",
        "tests/consistency/test_teachers.py",
    ),
    Mutation(
        "a teacher that takes gradient",
        CONSISTENCY + "loss.py",
        "    with torch.no_grad():  # first",
        "    with torch.enable_grad():  # first",
        "tests/consistency/test_loss.py",
    ),
    Mutation(
        "multistep noise without sigma_min taken off",
        CONSISTENCY + "sampling.py",
        "level**2 - sigma_min**2",
        "level**2",
        "tests/consistency/test_sampling.py",
    ),
    Mutation(
        "generated endpoints with dropout",
        CONSISTENCY + "loss.py",
        "replace(part, mask=None)",
        "part",
        "tests/consistency/test_loss_networks.py",
    ),
    Mutation(
        "the boundary's shift in c_out's root",
        CONSISTENCY + "preconditioning.py",
        "* (sigma - self.sigma_min) * self.c_in(sigma)",
        "* (sigma - self.sigma_min) * self.c_in(sigma - self.sigma_min)",
        "tests/consistency/test_preconditioning.py",
    ),
    Mutation(
        "Fourier features of scale 16",
        "ictsweep/networks/presets.py",
        'embedding="fourier", fourier_scale=0.02',
        'embedding="fourier", fourier_scale=16.0',
        "tests/networks/test_presets.py",
    ),
)
