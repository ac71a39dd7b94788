"""Where a run happens: its processes, device, and its one way out (the only module that knows
torch.distributed).
"""

import json
import logging
import os
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ictsweep.files import append_line
from ictsweep.records import Measurement

_log = logging.getLogger(__name__)


class Runtime(Protocol):
    """What the trainer needs of the world. All ranks call every method, in the same order."""

    rank: int
    world_size: int
    device: torch.device

    def report(self, measurement: Measurement) -> None:
        """Record a measurement (rank 0's); returns when it is safe."""
        ...

    def verdict(self, rung_kimg: int) -> bool:
        """Wait for the study's word at a rung: whether to go on. The same on all ranks."""
        ...


class LocalRuntime:
    """One process, or the processes of torchrun: no study, no verdicts. Measurements go to a
    JSON-lines file and the log.
    """

    def __init__(self, folder: Path) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.world_size = int(os.environ.get("WORLD_SIZE", "1"))
        self.device = local_device(int(os.environ.get("LOCAL_RANK", "0")))
        self._path = folder / "measurements.jsonl"
        if self.world_size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def report(self, measurement: Measurement) -> None:
        """Append to measurements.jsonl in the run's folder, and log one line."""
        if self.rank:
            return
        append_line(self._path, json.dumps(asdict(measurement)))
        scores = "  ".join(
            f"{name} {value:.4g} ± {measurement.errors[name]:.2g}"
            for name, value in measurement.values.items()
        )
        if measurement.grad_cosine is not None:
            scores += f"  gradient's cosine with float32 {measurement.grad_cosine:.3f}"
        _log.info("%d/%d kimg  N %d  loss %.4g  %s", measurement.kimg, measurement.run_kimg,
                  measurement.levels, measurement.loss, scores)  # fmt: skip

    def say(self, line: str) -> None:
        """Log a line, once."""
        if not self.rank:
            _log.info(line)

    def verdict(self, rung_kimg: int) -> bool:
        """Always go on: there is no study to stop the run."""
        return True

    def close(self) -> None:
        """Leave the process group, if there is one."""
        if dist.is_initialized():
            dist.destroy_process_group()


def local_device(local_rank: int) -> torch.device:
    """The process's own GPU where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def distribute(model: nn.Module, runtime: Runtime) -> nn.Module:
    """`model` with gradients averaged over the runtime's processes; itself when there is one."""
    if runtime.world_size == 1:
        return model
    with warnings.catch_warnings():  # PyTorch 2.15 renames the option; 2.11 has no other
        warnings.simplefilter("ignore", FutureWarning)
        # Buffers are constants: sending them before every step would be for nothing.
        return DistributedDataParallel(model, gradient_as_bucket_view=True, broadcast_buffers=False)


def gather(tensor: Tensor) -> Tensor:
    """The ranks' tensors (equal shapes) concatenated along the first axis, on every rank."""
    if not dist.is_initialized():
        return tensor
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    mine = tensor.contiguous().to(device)
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    return torch.cat(parts).to(tensor.device)


def mean_over_ranks(tensor: Tensor) -> Tensor:
    """The mean of the ranks' tensors, on every rank."""
    return gather(tensor[None]).mean(dim=0)


def first_rank_s(text: str) -> str:
    """The text that rank 0 has, on every rank."""
    if not dist.is_initialized():
        return text
    said = [text]
    dist.broadcast_object_list(said, src=0)
    return said[0]


def barrier() -> None:
    """Wait for all ranks."""
    if dist.is_initialized():
        dist.barrier()
