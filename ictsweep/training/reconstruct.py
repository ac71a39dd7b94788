"""An average of a width that nobody chose before training, made from a run's snapshots.

Karras et al. 2024 (arXiv:2312.02696), section 3.2.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.training.checkpoints import read_meta, write_checkpoint
from ictsweep.training.loading import checkpoint_at, ema_state, run_folder
from ictsweep.training.post_hoc import snapshots
from ictsweep.training.profiles import Profile, mix

_WIDEST = 0.28  # a power function with a positive exponent is narrower
_MOST_ERROR = 0.1  # of a profile: beyond it the average is another one than was asked for


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstruction:
    """An average made after training. `weights` is a state dict of the denoiser; `error` the
    distance of its profile from the wanted one, relative to that one's size (`profiles.Mixture`);
    `images` the training that it averages over.
    """

    weights: dict[str, Tensor]
    error: float
    images: int
    snapshots: int


def reconstruct(
    folder: Path, sigma_rel: float, run_kimg: int, until: float = math.inf
) -> Reconstruction:
    """The average of relative width `sigma_rel` in (0, 0.28) at the last snapshot of a run that was
    taken by `until` images, from all those in `folder`. UserError if there are none.
    """
    if not 0 < sigma_rel < _WIDEST:
        raise UserError(f"sigma_rel {sigma_rel:g}: expected a number > 0 and < {_WIDEST}")
    found = snapshots(folder, run_kimg)
    kept = {path: profile for path, profile in found.items() if profile.end <= until}
    if not kept:
        by_then = f" by {until / 1000:g} kimg" if found else ""
        raise UserError(
            f"{folder}: no snapshots of averages{by_then}; train with post_hoc.snapshots above 0 "
            "to choose the width of the average afterwards"
        )
    end = max(profile.end for profile in kept.values())
    mixture = mix(list(kept.values()), Profile(sigma_rel, end))
    weights = _sum(dict(zip(kept, mixture.shares.tolist(), strict=True)))
    return Reconstruction(
        weights=weights, error=mixture.error, images=int(end), snapshots=len(kept)
    )


def write_average(run: Path, sigma_rel: float, out: Path) -> Reconstruction:
    """Write the folder `out`: a checkpoint of averaged weights alone, for `load_model` or as the
    start of another run. `run` is the folder of a run, or of the checkpoint where the average ends.
    UserError if there is something already, or if the snapshots cannot make that width.
    """
    if out.exists():
        raise UserError(f"{out}: exists already; choose another place with --out")
    meta = read_meta(checkpoint_at(run))
    folder = run_folder(run)
    until = math.inf if folder == run else meta.images
    made = reconstruct(folder / "snapshots", sigma_rel, meta.run_kimg, until)
    if made.error > _MOST_ERROR:
        raise UserError(
            f"sigma_rel {sigma_rel:g}: the best that {made.snapshots} snapshots of widths "
            f"{meta.config['post_hoc']['sigma_rel']} can make is {made.error:.0%} off its profile; "
            "choose a width nearer to these, or train with more snapshots"
        )
    config = {**meta.config, "ema": {"name": "power", "sigma_rel": sigma_rel}}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(
        out, {"ema": ema_state(made.weights)}, replace(meta, config=config, images=made.images)
    )
    return made


def _sum(shares: Mapping[Path, float]) -> dict[str, Tensor]:
    """The weighted sum of snapshots, in float64: shares of both signs would cost float32 digits."""
    total: dict[str, Tensor] = {}
    for path, share in shares.items():
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        for name, value in weights.items():
            part = value.double() * share
            total[name] = total[name] + part if name in total else part
    return {name: value.float() for name, value in total.items()}
