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

from ictsweep.answers import Word
from ictsweep.files import append_line
from ictsweep.records import Measurement
from ictsweep.training.notice import Notice

_log = logging.getLogger(__name__)


class Runtime(Protocol):
    """What the trainer needs of the world. All ranks call its methods in the same order, except
    where a method says otherwise; `leaving` is each rank's own.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def leaving(self) -> bool:
        """Whether this rank was asked to leave: the run is to be kept as it is and left."""
        ...

    def report(self, measurement: Measurement) -> Word:
        """Record a measurement (rank 0's): GO_ON when it is safe, LEAVE when the run is to be left
        before. The same on all ranks.
        """
        ...

    def verdict(self, rung_kimg: int) -> Word:
        """Wait for the study's word at a rung. The same on all ranks."""
        ...

    def keep(self, folder: Path, *names: str) -> None:
        """Make durable what was just written or removed under some names of a run's folder; rank
        0 calls.
        """
        ...

    def fetch(self, folder: Path) -> bool:
        """Bring what is durable of a run's folder to this machine, before it is first read; whether
        that is elsewhere than the folder itself.
        """
        ...


class LocalRuntime:
    """One process, or the processes of torchrun: no study, no verdicts. Measurements go to a
    JSON-lines file and the log; SIGTERM or Ctrl-C asks the run to leave.
    """

    def __init__(self, folder: Path) -> None:
        self._notice = Notice()
        self.rank = int(os.environ.get("RANK", "0"))
        self.world_size = int(os.environ.get("WORLD_SIZE", "1"))
        self.device = local_device(int(os.environ.get("LOCAL_RANK", "0")))
        self._path = folder / "measurements.jsonl"
        if self.world_size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    @property
    def leaving(self) -> bool:
        """Whether a signal asked this process to leave."""
        return self._notice.given

    def report(self, measurement: Measurement) -> Word:
        """Append to measurements.jsonl in the run's folder, and log one line."""
        if self.rank:
            return Word.GO_ON
        append_line(self._path, json.dumps(asdict(measurement)))
        scores = "  ".join(
            f"{name} {value:.4g} ± {measurement.errors[name]:.2g}"
            for name, value in measurement.values.items()
        )
        if measurement.grad_cosine is not None:
            scores += f"  gradient's cosine with float32 {measurement.grad_cosine:.3f}"
        _log.info("%d/%d kimg  N %d  loss %.4g  %s", measurement.kimg, measurement.run_kimg,
                  measurement.levels, measurement.loss, scores)  # fmt: skip
        return Word.GO_ON

    def say(self, line: str) -> None:
        """Log a line, once."""
        if not self.rank:
            _log.info(line)

    def verdict(self, rung_kimg: int) -> Word:
        """Always go on: there is no study to stop the run."""
        return Word.GO_ON

    def keep(self, folder: Path, *names: str) -> None:
        """Nothing: the folder is where it stays."""

    def fetch(self, folder: Path) -> bool:
        """Nothing: the folder is where it stays."""
        return False

    def close(self) -> None:
        """Leave the process group, if there is one."""
        self._notice.close()
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


def is_disconnection(error: BaseException) -> bool:
    """Whether an exception says that contact with the run's other processes was lost, or that an
    exchange with them took too long. (gloo has no type for it: its messages begin with the place in
    its own source.)
    """
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and "/gloo/" in str(error).partition("]")[0]


def gather(tensor: Tensor) -> Tensor:
    """The ranks' tensors (equal shapes) concatenated along the first axis, on every rank."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return tensor
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    mine = tensor.contiguous().to(device)
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    return torch.cat(parts).to(tensor.device)


def over_ranks(found: Tensor, leaving: bool) -> Tensor:
    """[how many ranks are leaving, the mean of the ranks' first numbers, the sums of their others],
    on every rank, in one exchange and without waiting for the device.
    """
    mine = torch.cat([found.new_full((1,), float(leaving)), found])
    rows = gather(mine[None]).T.contiguous()
    return torch.cat([rows[:1].sum(dim=1), rows[1:2].mean(dim=1), rows[2:].sum(dim=1)])


def first_rank_s(text: str) -> str:
    """The text that rank 0 has, on every rank."""
    if not dist.is_initialized():
        return text
    said = [text]
    dist.broadcast_object_list(said, src=0)
    return said[0]
