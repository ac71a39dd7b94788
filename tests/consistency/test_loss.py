"""The loss of every method against a scalar program, and its gradient."""

import math
from dataclasses import replace

import pytest
import torch

from ictsweep.consistency import (
    METHODS,
    Batch,
    Denoiser,
    Generated,
    Method,
    References,
    consistency_loss,
)
from tests.consistency import scalar
from tests.consistency.batches import (
    ECT,
    ICT,
    Linear,
    at,
    denoisers,
    double,
    each,
    images,
    in_stage,
    losses,
    on_grid,
)
from tests.consistency.scalar import (
    GENERATOR,
    IMAGES,
    NOISES,
    REFERENCES,
    STUDENT,
    TEACHER,
)

EXACT = {"rel": 1e-12, "abs": 0.0}
CHOSEN = [True, False, True]


def test_edm_equals_the_scalar_program():
    t = [0.05, 0.9, 30.0]
    batch = at(double(t), torch.zeros(3, dtype=torch.float64))
    expected = each(lambda x, z, s: scalar.edm(x, z, s, STUDENT), t)
    assert losses(METHODS["edm"], batch) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("n", [2, 16, 151])
def test_ct_with_an_averaged_teacher_equals_the_scalar_program(n):
    batch, i = on_grid(n)
    expected = each(lambda x, z, j: scalar.ct(x, z, j, n, STUDENT, TEACHER), i)
    assert losses(METHODS["ct"], batch) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("n", [11, 161, 1281])
def test_ict_equals_the_scalar_program(n):
    batch, i = on_grid(n)
    expected = each(lambda x, z, j: scalar.ict(x, z, j, n, STUDENT, TEACHER), i)
    assert losses(ICT, batch) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize(("progress", "a"), [(0.0, 1), (0.3, 3), (1.0, 8)])
def test_ect_equals_the_scalar_program(progress, a):
    batch = in_stage(progress)
    assert (batch.r == 0).tolist() == {1: [True, False, False]}.get(a, [False] * 3)
    expected = each(lambda x, z, t: scalar.ect(x, z, t, 2.0, a, STUDENT, TEACHER), batch.t.tolist())
    assert losses(ECT, batch) == pytest.approx(expected, **EXACT)


def test_ect_of_imagenet_weighs_by_c_out():
    # Its Huber distance is iCT's up to c = 0.06 / sqrt(12288); (t^2 + sd^2) / (t sd)^2 counts it.
    method = METHODS["ect_imagenet64"]
    batch = in_stage(0.5, method)
    c = 0.06 / 12288**0.5 * 2
    expected = []
    for x, z, t in zip(IMAGES, NOISES, batch.t.tolist(), strict=True):
        gap = t - scalar.below(t, 4.0, 3)
        norm = scalar.ect(x, z, t, 4.0, 3, STUDENT, TEACHER) * gap
        expected.append(((norm**2 + c * c) ** 0.5 - c) * (t * t + 0.25) / (t * 0.5) ** 2)
    assert losses(method, batch) == pytest.approx(expected, rel=1e-11)  # c is lost in the root


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.7])
def test_sct_equals_the_scalar_program(progress):
    method = METHODS["sct"]
    batch = in_stage(progress, method, references=References(images(REFERENCES)))
    a = 1 + math.floor(progress * 8)
    expected = each(
        lambda x, z, t: scalar.sct(x, z, t, 2.0, a, REFERENCES, STUDENT, TEACHER),
        batch.t.tolist(),
    )
    assert losses(method, batch) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("n", [11, 161])
def test_sct_on_the_grid_equals_the_scalar_program(n):
    method = METHODS["sct_ict"]
    batch, i = on_grid(n, references=References(images(REFERENCES)))
    expected = each(lambda x, z, j: scalar.sct_ict(x, z, j, n, REFERENCES, STUDENT, TEACHER), i)
    assert losses(method, batch) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("chosen", [CHOSEN, [False] * 3, [True] * 3])
def test_gaf_equals_the_scalar_program(chosen):
    batch, i = on_grid(41, generated=torch.tensor(chosen))
    expected = each(
        lambda x, z, j, g: scalar.gaf(x, z, j, 41, g, STUDENT, TEACHER, GENERATOR), i, chosen
    )
    assert losses(METHODS["gaf"], batch) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize(("progress", "a"), [(0.0, 1), (0.5, 5)])
def test_gaf_on_ect_equals_the_scalar_program(progress, a):
    method = METHODS["gaf_ect"]
    batch = in_stage(progress, method, generated=torch.tensor(CHOSEN))
    expected = each(
        lambda x, z, t, g: scalar.gaf_ect(x, z, t, 2.0, a, g, STUDENT, TEACHER, GENERATOR),
        batch.t.tolist(), CHOSEN,
    )  # fmt: skip
    assert losses(method, batch) == pytest.approx(expected, **EXACT)


def test_generated_endpoints_keep_the_one_sample_path_next_to_posterior_means():
    method = replace(METHODS["sct_ict"], endpoint=Generated())
    references = References(images(REFERENCES))
    batch, i = on_grid(11, generated=torch.tensor(CHOSEN), references=references)
    expected = each(
        lambda x, z, j, g: scalar.gaf(x, z, j, 11, True, STUDENT, TEACHER, GENERATOR)
        if g
        else scalar.sct_ict(x, z, j, 11, REFERENCES, STUDENT, TEACHER),
        i, CHOSEN,
    )  # fmt: skip
    assert losses(method, batch) == pytest.approx(expected, **EXACT)


def central_differences(total) -> list[float]:
    """The gradient of total(a, b, e) at the student's weights."""
    h, numeric = 1e-5, []
    for k in range(3):
        up = tuple(w + h * (k == j) for j, w in enumerate(STUDENT))
        down = tuple(w - h * (k == j) for j, w in enumerate(STUDENT))
        numeric.append((total(up) - total(down)) / (2 * h))
    return numeric


def gradient(method: Method, batch: Batch) -> list[float]:
    """The gradient of the summed loss when one network plays all three parts."""
    network = Linear(STUDENT)
    denoiser = Denoiser(network, method.scalings)
    consistency_loss(denoiser, denoiser, denoiser, method, batch).sum().backward()
    assert network.abe.grad is not None
    return network.abe.grad.tolist()


def test_the_gradient_of_ict_is_that_of_the_student_alone():
    batch, i = on_grid(11)
    numeric = central_differences(
        lambda w: sum(each(lambda x, z, j: scalar.ict(x, z, j, 11, w, STUDENT), i))
    )
    assert gradient(ICT, batch) == pytest.approx(numeric, rel=1e-7)


def test_the_gradient_of_ect_is_that_of_the_student_alone():
    batch = in_stage(0.0)
    numeric = central_differences(
        lambda w: sum(
            each(lambda x, z, t: scalar.ect(x, z, t, 2.0, 1, w, STUDENT), batch.t.tolist())
        )
    )
    assert gradient(ECT, batch) == pytest.approx(numeric, rel=1e-7)


def test_the_gradient_of_gaf_does_not_flow_through_the_generator():
    batch, i = on_grid(41, generated=torch.tensor(CHOSEN))
    numeric = central_differences(
        lambda w: sum(
            each(lambda x, z, j, g: scalar.gaf(x, z, j, 41, g, w, STUDENT, STUDENT), i, CHOSEN)
        )
    )
    assert gradient(METHODS["gaf"], batch) == pytest.approx(numeric, rel=1e-7)


def test_teacher_and_generator_get_no_gradient():
    batch, _ = on_grid(11, generated=torch.tensor(CHOSEN))
    student, teacher, generator = denoisers(ICT)
    consistency_loss(student, teacher, generator, METHODS["gaf"], batch).mean().backward()
    assert all(p.grad is not None for p in student.parameters())
    assert all(p.grad is None for part in (teacher, generator) for p in part.parameters())
