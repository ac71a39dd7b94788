"""The weightings by hand."""

import pytest
import torch

from ictsweep.consistency import InverseCoutSquared, InverseGap, Scalings, UniformWeight

T, R = torch.tensor([0.5, 80.0]), torch.tensor([0.25, 79.5])


def test_inverse_gap_by_hand():
    assert InverseGap()(T, R, Scalings()).tolist() == [4.0, 2.0]


def test_uniform_by_hand():
    assert UniformWeight()(T, R, Scalings()).tolist() == [1.0, 1.0]


def test_inverse_c_out_squared_by_hand():
    # (t^2 + sd^2) / (t sd)^2 at t = sd = 1/2: 0.5 / 0.0625 = 8; with sd = 1: 1.25 / 0.25 = 5.
    weigh = InverseCoutSquared()
    assert weigh(T, R, Scalings(sigma_min=0.0))[0].item() == pytest.approx(8.0)
    assert weigh(T, R, Scalings(sigma_data=1.0, sigma_min=0.0))[0].item() == pytest.approx(5.0)
    # A boundary at 0.25 halves c_out(1/2): four times the weight.
    assert weigh(T, R, Scalings(sigma_min=0.25))[0].item() == pytest.approx(32.0)
