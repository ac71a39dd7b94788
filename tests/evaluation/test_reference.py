"""The data's features: streamed, cached by content, built once, continued after a kill."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from ictsweep.data import digest_of
from ictsweep.errors import UserError
from ictsweep.evaluation import Moments, Reference, factor, kernel_reference, manifold
from ictsweep.evaluation import reading as streaming
from ictsweep.evaluation import reference as module
from ictsweep.evaluation.measures import measure
from ictsweep.files import write_atomic

CPU = torch.device("cpu")
COUNT = 50


class Projection:
    """A feature network that is a matrix; `seen` are the tensors that it was given."""

    name, weights, resize, metric, dims, classes = "projection", "ab", "none", "FD", 5, 0

    def __init__(self, wait_s: float = 0.0) -> None:
        self.matrix = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
        self.seen: list[torch.Tensor] = []
        self._wait_s = wait_s

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images)
        time.sleep(self._wait_s)
        return images.float().flatten(1) @ self.matrix / 255

    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        raise AssertionError

    def to(self, device: torch.device) -> "Projection":
        return self


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BLOCK", 8)


def pictures() -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return torch.randint(256, (COUNT, 3, 2, 2), generator=g, dtype=torch.uint8)


def reference(cache: Path, *metrics: str, **changes: Any) -> Reference:
    pixels, labels = pictures(), torch.arange(COUNT) % 3
    fields: dict[str, Any] = {
        "pixels": pixels, "labels": labels, "digest": digest_of(pixels, labels),
        "extractor": Projection(), "metrics": metrics, "cache": cache, "device": CPU, **changes,
    }  # fmt: skip
    return Reference(**fields)


def built(cache: Path, *metrics: str, **changes: Any) -> Reference:
    found = reference(cache, *metrics, **changes)
    deque(found.build(), maxlen=0)
    return found


def features() -> torch.Tensor:
    return Projection()(pictures())


def parts(cache: Path) -> set[str]:
    return {path.stem.rpartition("-")[2] for path in cache.glob("*.pt")}


def test_the_moments_of_a_stream_are_those_of_all(tmp_path: Path) -> None:
    found = built(tmp_path, "fd").factor
    expected = factor(Moments.of(features()))
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-12, atol=1e-12)
    ours, theirs = found.root @ found.root.T, expected.root @ expected.root.T
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert found.trace == pytest.approx(expected.trace, rel=1e-12)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (("fd",), {"factor"}),
        (("kd",), {"features", "kernel"}),
        (("recall",), {"features", "radii"}),
        (("is",), set()),
        (("fid", "kid", "precision", "recall"), {"factor", "features", "kernel", "radii"}),
    ],
)
def test_only_what_the_metrics_need_is_computed(
    metrics: tuple[str, ...], expected: set[str], tmp_path: Path
) -> None:
    built(tmp_path, *metrics)
    assert parts(tmp_path) == expected


def test_the_parts_are_those_of_the_features(tmp_path: Path) -> None:
    found = built(tmp_path, "kd", "precision")
    assert torch.equal(found.manifold.features, features())
    assert torch.equal(found.manifold.radii, manifold(features()).radii)
    assert found.kernel.term == pytest.approx(kernel_reference(features()).term, rel=1e-12)


def test_what_is_there_is_not_computed_again(tmp_path: Path) -> None:
    built(tmp_path, "fd")
    again = Projection()
    assert list(reference(tmp_path, "fd", extractor=again).build()) == []
    assert again.seen == []
    more = Projection()
    built(tmp_path, "fd", "kd", extractor=more)  # the moments are there, the features are not
    assert sum(map(len, more.seen)) == COUNT
    assert parts(tmp_path) == {"factor", "features", "kernel"}


def test_a_damaged_part_is_computed_again(tmp_path: Path) -> None:
    root = built(tmp_path, "fd").factor.root
    (part,) = tmp_path.glob("*-factor.pt")
    part.write_bytes(part.read_bytes()[:-1])
    assert torch.equal(built(tmp_path, "fd").factor.root, root)


@pytest.mark.parametrize("change", [{"weights": "cd"}, {"resize": "bicubic"}, {"name": "other"}])
def test_another_network_or_resize_is_another_reference(
    change: dict[str, str], tmp_path: Path
) -> None:
    built(tmp_path, "fd")
    other = Projection()
    for key, value in change.items():
        setattr(other, key, value)
    built(tmp_path, "fd", extractor=other)
    assert sum(map(len, other.seen)) == COUNT


def test_the_data_are_read_block_by_block_without_copies(tmp_path: Path) -> None:
    network, pixels = Projection(), pictures()
    built(tmp_path, "fd", "kd", extractor=network, pixels=pixels)
    assert max(map(len, network.seen)) == 8
    storage = pixels.untyped_storage().data_ptr()
    assert {block.untyped_storage().data_ptr() for block in network.seen} == {storage}


def test_pictures_compared_one_by_one_are_evenly_spaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAMPLE", 20)
    index = torch.arange(20) * COUNT // 20
    alone, both = Projection(), built(tmp_path / "both", "fd", "kd")
    found = built(tmp_path / "alone", "kd", extractor=alone)
    assert found.sample_size == 20
    assert sum(map(len, alone.seen)) == 20
    for each in (found, both):
        torch.testing.assert_close(each.kernel.features, features()[index], rtol=1e-6, atol=1e-6)
    whole = built(tmp_path / "whole", "fd").factor
    assert torch.equal(both.factor.root, whole.root)


@pytest.mark.parametrize("metrics", [("fd",), ("fd", "kd"), ("precision",)])
@pytest.mark.parametrize("blocks", [1, 4, 7])
def test_a_pass_cut_off_goes_on_to_the_same_bits(
    metrics: tuple[str, ...], blocks: int, tmp_path: Path
) -> None:
    begun: Any = reference(tmp_path / "cut", *metrics).build()
    for _ in range(blocks):
        progress = next(begun)
    begun.close()
    assert (progress.done, progress.total, progress.unit) == (min(8 * blocks, 50), 50, "images")
    network = Projection()
    again = built(tmp_path / "cut", *metrics, extractor=network)
    assert sum(map(len, network.seen)) == max(0, COUNT - 8 * blocks)
    whole = built(tmp_path / "whole", *metrics)
    for part in ("factor", "manifold"):
        if part == ("factor" if "fd" in metrics else "manifold"):
            for key, value in vars(getattr(whole, part)).items():
                assert torch.equal(torch.as_tensor(getattr(getattr(again, part), key)),
                                   torch.as_tensor(value))  # fmt: skip
    assert parts(tmp_path / "cut") == parts(tmp_path / "whole")  # nothing half-done is left


SLOW = """
import sys
from pathlib import Path
from ictsweep.evaluation import reading
from tests.evaluation.test_reference import Projection, built
reading.BLOCK = 8
built(Path(sys.argv[1]), "fd", "kd", extractor=Projection(wait_s=0.15))
"""


def test_a_killed_process_loses_little_and_changes_nothing(tmp_path: Path) -> None:
    cut, environment = tmp_path / "cut", {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(cut)], env=environment)
    deadline = time.monotonic() + 60
    while not [*cut.glob("*-block-000000016.json")]:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    network = Projection()
    found, whole = built(cut, "fd", "kd", extractor=network), built(tmp_path / "whole", "fd", "kd")
    assert 0 < sum(map(len, network.seen)) <= COUNT - 16
    assert torch.equal(found.factor.root, whole.factor.root)
    assert torch.equal(found.kernel.features, whole.kernel.features)
    assert found.kernel.term == whole.kernel.term


@pytest.mark.parametrize("half", ["*-state-000000024.json", "*-state-000000024.pt"])
def test_a_kill_between_the_two_files_of_a_state_leaves_the_one_before(
    half: str, tmp_path: Path
) -> None:
    begun: Any = reference(tmp_path, "fd").build()
    deque(islice(begun, 2), maxlen=0)
    (sidecar,), (tensors,) = tmp_path.glob("*-state-*.json"), tmp_path.glob("*-state-*.pt")
    kept = {path: path.read_bytes() for path in (sidecar, tensors)}
    (tmp_path / f".{tensors.name}.xyz").write_bytes(b"half-written")
    next(begun)
    begun.close()
    (torn,) = tmp_path.glob(half)
    torn.unlink()  # written, or not yet: without its other half
    for path, content in kept.items():
        path.write_bytes(content)  # the older state goes only when the new one is whole
    network = Projection()
    found = built(tmp_path, "fd", extractor=network)
    assert sum(map(len, network.seen)) == COUNT - 16
    assert torch.equal(found.factor.root, built(tmp_path / "whole", "fd").factor.root)
    left = {path.suffix for path in tmp_path.iterdir() if path.is_file()}
    assert left == {".json", ".pt", ".lock"}


def test_who_asks_at_once_waits_for_the_one_who_builds(tmp_path: Path) -> None:
    networks = [Projection(wait_s=0.01) for _ in range(4)]
    threads = [
        threading.Thread(target=built, args=(tmp_path, "fd"), kwargs={"extractor": network})
        for network in networks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sum(map(len, network.seen)) for network in networks) == [0, 0, 0, COUNT]


def test_data_that_changed_are_refused(tmp_path: Path) -> None:
    changed = pictures()
    changed[17, 0, 0, 0] += 1
    with pytest.raises(
        UserError, match=r"the data changed: their hash is .*, they were prepared as"
    ):
        built(tmp_path, "fd", pixels=changed)
    with pytest.raises(UserError, match="the data changed"):
        built(tmp_path, "fd", labels=torch.zeros(COUNT, dtype=torch.int64))
    assert parts(tmp_path) == set()


def test_a_pass_continued_over_changed_data_is_refused(tmp_path: Path) -> None:
    """The blocks that were read before are hashed again."""
    begun: Any = reference(tmp_path, "fd").build()
    next(begun)
    next(begun)
    begun.close()
    changed = pictures()
    changed[0, 0, 0, 0] += 1
    with pytest.raises(UserError, match="the data changed"):
        built(tmp_path, "fd", pixels=changed)


def test_features_without_variance_are_refused(tmp_path: Path) -> None:
    network = Projection()
    network.matrix = torch.zeros(12, 5)
    for metric in ("fd", "kd"):
        with pytest.raises(UserError, match="all 50 pictures of the data have the same features"):
            built(tmp_path, metric, extractor=network)
    assert parts(tmp_path) == set()


def test_features_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = Projection()
    network.matrix[:, 2] = torch.nan
    with pytest.raises(UserError, match=r"features of 8 of the 8 pictures from 0 .* not finite"):
        built(tmp_path, "fd", extractor=network)


def test_too_few_pictures_for_neighbourhoods(tmp_path: Path) -> None:
    few = pictures()[:3]
    with pytest.raises(UserError, match="need more than 3 pictures of the data, got 3"):
        built(tmp_path, "recall", pixels=few, labels=None, digest=digest_of(few, None))


def test_neighbours_and_kernels_are_computed_without_tf32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that allows it went before in the same process."""
    seen = []
    for name in ("manifold", "kernel_reference"):
        computed = getattr(module, name)

        def watched(*args: Any, computed: Any = computed) -> Any:
            seen.append(torch.backends.cuda.matmul.allow_tf32)
            return computed(*args)

        monkeypatch.setattr(module, name, watched)
    allowed = torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = True
        built(tmp_path, "kd", "recall")
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    assert seen == [False, False]


def test_samples_are_measured_without_tf32(tmp_path: Path) -> None:
    seen = []

    class Watched(Reference):
        @property
        def factor(self) -> Any:
            seen.append(torch.backends.cuda.matmul.allow_tf32)
            return super().factor

    found = built(tmp_path, "fd")
    watched = Watched(**{field.name: getattr(found, field.name) for field in fields(Reference)})
    features = torch.rand(100, found.extractor.dims)
    allowed = torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = True
        measure("fd", features, watched, None)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    assert seen == [False]


def test_the_parts_of_a_reference_that_was_not_built(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="factor was not built"):
        _ = replace(reference(tmp_path, "fd")).factor


def test_a_partial_of_other_parts_is_not_continued(tmp_path: Path) -> None:
    """Its features are missing: begun for the moments, wanted with the features."""
    begun: Any = reference(tmp_path, "fd").build()
    next(begun)
    begun.close()
    network = Projection()
    built(tmp_path, "fd", "kd", extractor=network)
    assert sum(map(len, network.seen)) == COUNT


def test_a_lost_block_starts_the_pass_again(tmp_path: Path) -> None:
    begun: Any = reference(tmp_path, "kd").build()
    next(begun)
    next(begun)
    begun.close()
    (block,) = tmp_path.glob("*-block-000000000.json")
    write_atomic(block, json.dumps({"sha256": "", "facts": {}}).encode())
    found = built(tmp_path, "kd")
    assert torch.equal(found.kernel.features, features())
