"""A study's first minute before it starts: the data is read and the network built, so that what
cannot work is said with its place in the file.
"""

from dataclasses import replace
from pathlib import Path

import torch

from ictsweep.config import TrialConfig
from ictsweep.data import load
from ictsweep.errors import UserError
from ictsweep.networks import UNet
from ictsweep.problems import Problem
from ictsweep.study.spec import StudySpec


def rehearse(config: TrialConfig) -> list[Problem]:
    """What is wrong with a configuration's data, or with its network for images of their size."""
    key = ("data", "path") if config.data.path else ("data",)
    try:
        images = load(config.data)
    except UserError as error:
        return [Problem(key, str(error))]
    try:
        with torch.device("meta"):
            UNet(config.network, images.shape)
    except (ValueError, RuntimeError) as error:  # torch refuses sizes that no memory could hold
        return [Problem(("network",), str(error))]
    return []


def placed(spec: StudySpec) -> StudySpec:
    """The spec with its data's path made absolute: workers start in folders of their own."""
    data = spec.trial["data"]
    if not data.get("path"):
        return spec
    absolute = str(Path(data["path"]).absolute())
    return replace(spec, trial={**spec.trial, "data": {**data, "path": absolute}})
