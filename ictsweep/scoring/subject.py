"""A trained model on its device, with what identifies it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ictsweep.config import TrialConfig
from ictsweep.consistency import Denoiser
from ictsweep.evaluation import Route, Sampler, Steps
from ictsweep.scoring.opening import open_model
from ictsweep.training.checkpoints import Meta, digest_of
from ictsweep.training.loading import run_folder
from ictsweep.training.runtime import local_device
from ictsweep.training.samplers import routes, samplers


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A checkpoint that is judged: `place` its folder, `run` the folder of its run, `digest` the
    SHA-256 of its tensors; `config` as trained, or with another way of sampling.
    """

    place: Path
    run: Path
    digest: str
    config: TrialConfig
    denoiser: Denoiser
    meta: Meta
    device: torch.device

    @staticmethod
    def of(path: Path) -> "Subject":
        """The subject at the folder of a run (its newest whole checkpoint, of the longest run) or
        of a checkpoint. UserError if there is none.
        """
        model, device = open_model(path), local_device(0)
        return Subject(
            place=model.place,
            run=run_folder(model.place),
            digest=digest_of(model.place),
            config=model.config,
            denoiser=model.denoiser.to(device),
            meta=model.meta,
            device=device,
        )

    @property
    def side(self) -> int:
        """The pictures' larger side in pixels."""
        return max(self.meta.image_shape[1:])

    def routes(self) -> Mapping[Steps, Route]:
        """The ways of sampling, by number of steps, fewest first."""
        return routes(self.config, self.side)

    def samplers(self) -> Mapping[Steps, Sampler]:
        """The samplers of `routes`."""
        return samplers(self.config, self.denoiser, self.side, self.device)
