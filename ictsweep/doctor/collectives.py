"""Whether processes can add numbers together: a real all-reduce, in processes of their own.

`python -m ictsweep.doctor.collectives BACKEND RANK WORLD_SIZE FILE` is one of them.
"""

import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from ictsweep.doctor.findings import Finding, fail, ok, warn

_WAIT_S = 60


def collectives() -> list[Finding]:
    """gloo in two processes; NCCL on two GPUs, or on the one there is."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [_tried("gloo", 2)]
    if not gpus:
        return [*found, ok("nccl", "no GPU on this machine: workers on CPUs use gloo")]
    if not dist.is_nccl_available():
        return [*found, fail("nccl", "this PyTorch has none", "install a PyTorch with CUDA")]
    alone = gpus == 1
    nccl = _tried("nccl", min(gpus, 2))
    if alone and nccl == ok("nccl", _said(1)):
        return [*found, warn("nccl", _said(1), "one GPU: trials of two workers cannot be tried")]
    return [*found, nccl]


def _said(world_size: int) -> str:
    return f"an all-reduce in {world_size} process{'es' if world_size > 1 else ''}"


def _tried(backend: str, world_size: int) -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ictsweep.doctor.collectives", backend]
        ranks = [
            subprocess.Popen(
                [*command, str(rank), str(world_size), str(Path(folder) / "meeting")],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
            for rank in range(world_size)
        ]  # fmt: skip
        said = [_ended(rank) for rank in ranks]
    wrong = next((text for text in said if text), "")
    if wrong:
        advice = f"trials of several workers would hang or fail; the last word was: {wrong}"
        return fail(backend, f"{_said(world_size)} did not work", advice)
    return ok(backend, _said(world_size))


def _ended(rank: subprocess.Popen[str]) -> str:
    """The last word of a rank that failed; "" of one that did not."""
    try:
        _, errors = rank.communicate(timeout=_WAIT_S)
    except subprocess.TimeoutExpired:
        rank.kill()
        rank.communicate()
        return f"no answer in {_WAIT_S} s"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return "" if rank.returncode == 0 else (lines or ["it was killed"])[-1]


def reduce(backend: str, rank: int, world_size: int, meeting: str) -> None:
    """Be one rank of an all-reduce; AssertionError if the sum is wrong."""
    dist.init_process_group(
        backend, init_method=f"file://{meeting}", rank=rank, world_size=world_size,
        timeout=timedelta(seconds=_WAIT_S),
    )  # fmt: skip
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    total = torch.tensor([float(rank + 1)], device=device)
    dist.all_reduce(total)
    assert total.item() == world_size * (world_size + 1) / 2
    dist.destroy_process_group()


if __name__ == "__main__":
    reduce(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
