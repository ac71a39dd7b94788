"""The benchmark's own claim: no number unless the features agree."""

import pytest
import torch

from tests.benchmarks import features


def test_features_that_differ_are_not_measured():
    right = {"ictsweep clean": lambda: torch.zeros(2, 3)}
    near = {**right, "clean-fid clean": lambda: torch.full((2, 3), 9e-5)}
    assert features.differences(near) == {"clean-fid clean": pytest.approx(9e-5)}
    far = {**right, "clean-fid clean": lambda: torch.full((2, 3), 2e-4)}
    with pytest.raises(SystemExit, match="clean-fid clean: features differ from ours by 2"):
        features.differences(far)


def test_it_reads_what_it_cut(tmp_path):
    features.cut_photographs(tmp_path / "pngs", 3, 24)
    pictures = features.read(tmp_path / "pngs")
    assert pictures.shape == (3, 3, 24, 24)
    assert pictures.dtype == torch.uint8
    assert len(pictures.flatten(1).unique(dim=0)) == 3
