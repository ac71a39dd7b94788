"""Every combination of a search's choices is looked at before a study starts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ictsweep.study.axes import Axis, Condition
from ictsweep.study.branches import branches, said
from ictsweep.study.rehearsal import rehearse_study
from ictsweep.study.soundness import space_problems
from ictsweep.study.spec import StudySpec, spec_from_dict
from tests.study.test_rehearsal import BLOCK, pictures


def axis(path: str, *choices: Any, **when: Any) -> Axis:
    conditions = tuple(Condition(path=p, values=(v,)) for p, v in when.items())
    if choices:
        return Axis(path=path, choices=choices, when=conditions)
    return Axis(path=path, low=0, high=1, when=conditions)


def test_all_combinations_of_what_decides_and_no_others() -> None:
    axes = [axis("a", "x", "y"), axis("n", 1, 2), axis("b", 3, 4, a="y"), axis("c", b=4), axis("r")]
    assert list(branches(axes)) == [{"a": "x"}, {"a": "y", "b": 3}, {"a": "y", "b": 4}]
    assert list(branches([axis("r"), axis("n", 1, 2)])) == [{}]
    assert said({"a": "y", "b": 3}) == "a y and b 3"


def study(folder: Path, search: dict[str, Any], **changes: Any) -> StudySpec:
    data = {"data": {"name": "array", "path": str(folder / "pictures.npz")}}
    return spec_from_dict(
        {
            "study": "s", "trial": {**BLOCK, **data, **changes}, "search": search, "trials": 2,
            "stopping": {"first_rung_kimg": 4},
        }
    )  # fmt: skip


def test_a_combination_whose_network_does_not_fit_is_named(tmp_path: Path) -> None:
    """Pictures of 12 pixels can be halved twice, those of 10 once."""
    np.savez(tmp_path / "pictures.npz", images=np.zeros((40, 12, 12), np.uint8))
    search = {
        "network.preset": {"choices": ["tiny", "gc_cifar"]},
        "network.embedding": {"choices": ["positional", "fourier"]},
    }
    assert rehearse_study(study(tmp_path, search)).problems == []
    np.savez(tmp_path / "pictures.npz", images=np.zeros((40, 10, 10), np.uint8))
    spec = study(tmp_path, search)
    assert space_problems(spec) == []
    (problem, *_) = rehearse_study(spec).problems
    assert "gc_cifar" in str(problem)
    assert "images of 10x10 do not fit a U-Net of 3 levels" in str(problem)


def test_combinations_are_tried_where_each_choice_alone_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no look at one axis could see is found by the look at the branches."""
    pictures(tmp_path)
    search = {
        "network.encoder": {"choices": ["standard", "residual"]},
        "network.decoder": {"choices": ["standard", "skip"]},
        "network.embedding": {"choices": ["positional", "fourier"]},
    }
    from ictsweep.study import rehearsal

    real = rehearsal._problems

    def strict(config: Any, images: Any) -> Any:
        network = config.network
        odd = (network.encoder, network.decoder, network.embedding)
        if odd == ("residual", "skip", "fourier"):
            return [rehearsal.Problem(("network",), "no such network")]
        return real(config, images)

    monkeypatch.setattr(rehearsal, "_problems", strict)
    (problem,) = rehearse_study(study(tmp_path, search)).problems
    assert str(problem) == (
        "search.network.embedding: with network.encoder residual and network.decoder skip and "
        "network.embedding fourier, network: no such network; give one of these choices a `when`"
    )
