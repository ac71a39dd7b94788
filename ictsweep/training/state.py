"""The live objects whose state is a run's state."""

from dataclasses import dataclass
from typing import Any

import torch

from ictsweep.consistency import Denoiser
from ictsweep.training.ema import Averaged
from ictsweep.training.post_hoc import PostHocAverages


@dataclass(frozen=True, kw_only=True)
class TrainState:
    """Weights, optimiser, and what the configuration needs besides (None otherwise): the average
    that teaches, the average that generates endpoints, the loss scaler, averages for later.

    `ema` is the average that is evaluated.
    """

    model: Denoiser
    ema: Averaged[Denoiser]
    optimizer: torch.optim.Optimizer
    teacher: Averaged[Denoiser] | None = None
    generator: Averaged[Denoiser] | None = None
    post_hoc: PostHocAverages | None = None
    scaler: Any = None

    def update_averages(self) -> None:
        """Take the weights that an optimiser step left into every average. (A step that was skipped
        left none.)
        """
        for average in (self.ema, self.teacher, self.generator, self.post_hoc):
            if average is not None:
                average.update(self.model)

    def state_dict(self) -> dict[str, Any]:
        """Their states, by name: tensors and plain numbers."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore all of them."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        parts = {
            "model": self.model,
            "ema": self.ema,
            "optimizer": self.optimizer,
            "teacher": self.teacher,
            "generator": self.generator,
            "post_hoc": self.post_hoc,
            "scaler": self.scaler,
        }
        return {name: part for name, part in parts.items() if part is not None}
