"""One, two and four real processes (gloo) give the same numbers."""

import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from ictsweep.errors import Diverged
from ictsweep.evaluation import Evaluator, Sampler
from ictsweep.training.runtime import gather
from tests.evaluation.conftest import evaluator_of
from tests.evaluation.test_evaluate import EVERY, ROUTES, smooth


@pytest.fixture(scope="module")
def evaluator(digits, cache) -> Iterator[Evaluator]:
    """700 samples: three batches of which the last is not whole, so four processes have one each
    and one that has none."""
    found, threads = evaluator_of(digits, cache, images=700, metrics=EVERY), torch.get_num_threads()
    torch.set_num_threads(1)  # forked processes have no threads but the one that forks
    yield found
    torch.set_num_threads(threads)


def alone_or_shared(evaluator: Evaluator, size: int, folder: Path, sampler: Sampler) -> list[dict]:
    """What each of `size` processes gets, read from its file."""
    folder.mkdir()
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=work, args=(evaluator, rank, size, folder, sampler))
        for rank in range(size)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


def work(evaluator: Evaluator, rank: int, size: int, folder: Path, sampler: Sampler) -> None:
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=size)
    try:
        scores = evaluator({1: sampler, 2: sampler}, ROUTES, rank, size, gather)
        found = {
            "values": dict(scores.values), "errors": dict(scores.errors),
            "passports": dict(scores.passports), "pictures": scores.pictures.sum().item(),
        }  # fmt: skip
    except Diverged as error:
        found = {"diverged": str(error)}
    finally:
        dist.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(found))


def test_any_number_of_processes_gives_the_same_numbers(evaluator: Evaluator, tmp_path) -> None:
    (one,) = alone_or_shared(evaluator, 1, tmp_path / "1", smooth)
    assert len(one["values"]) == 2 * len(EVERY)
    for size in (2, 4):
        ranks = alone_or_shared(evaluator, size, tmp_path / str(size), smooth)
        for found in ranks:
            assert found["values"] == pytest.approx(one["values"], rel=1e-9, abs=1e-12)
            assert found["errors"] == pytest.approx(one["errors"], rel=1e-9, abs=1e-12)
            assert found["passports"] == one["passports"]
            assert found["values"] == ranks[0]["values"]  # to the last bit
        assert [found["pictures"] for found in ranks] == [one["pictures"]] + [0] * (size - 1)


def broken(z, labels):
    x = smooth(z)
    x[z[:, 0].flatten(1).mean(dim=1) > 0.3] = torch.nan
    return x


def test_all_processes_learn_of_samples_that_are_not_finite(evaluator: Evaluator, tmp_path) -> None:
    ranks = alone_or_shared(evaluator, 4, tmp_path / "4", broken)
    (text,) = {found["diverged"] for found in ranks}
    assert "of 700 samples with 1 sampling step(s) are not finite" in text
