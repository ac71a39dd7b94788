"""Which endpoints are generated: the share's sign, its rate, the source of its randomness."""

import pytest
import torch

from ictsweep.consistency import Data, Generated


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_the_share_is_that_of_generated_endpoints(share):
    # 20 000 draws have a standard deviation of at most 0.0035.
    chosen = Generated(share=share).draw(20_000, generator())
    assert chosen.dtype == torch.bool
    assert chosen.float().mean().item() == pytest.approx(share, abs=0.015)


def test_all_and_none():
    assert Generated(share=1.0).draw(1000, generator()).all()
    assert not Generated(share=0.0).draw(1000, generator()).any()


def test_a_smaller_share_chooses_a_part_of_the_same():
    less, more = (Generated(share=s).draw(500, generator(3)) for s in (0.3, 0.6))
    assert (more | ~less).all()
    assert less.sum() < more.sum()


def test_data_takes_nothing_from_the_generator():
    drawn = generator(1)
    assert Data().draw(100, drawn) is None
    assert torch.equal(drawn.get_state(), generator(1).get_state())
