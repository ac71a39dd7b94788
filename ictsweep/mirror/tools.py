"""The tools that a study can be logged to: how Ray's callback of each is made, and how a trial's
earlier record is taken away.
"""

import importlib.util
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ictsweep.errors import UserError
from ictsweep.problems import did_you_mean

UPLOAD_S = 60  # how long W&B's processes may take to finish when the study ends


def _fresh_folder(callback: Any, shown: Any) -> None:
    shutil.rmtree(shown.local_path, ignore_errors=True)
    shown.init_local_path()


@dataclass(frozen=True, kw_only=True)
class Tool:
    """`begin(study, identity, place)` makes the callback, ready to be told of trials, its files
    below `place`; `clear(callback, shown)` makes room for a trial's record, where an earlier one
    may be. `package` is what must be importable, `name` also the extra that brings it.
    """

    name: str
    package: str
    begin: Callable[[str, str, Path], Any]
    clear: Callable[[Any, Any], None] = _fresh_folder


def _tensorboard(study: str, identity: str, place: Path) -> Any:
    from ray.tune.logger import TBXLoggerCallback

    return TBXLoggerCallback()


def _wandb(study: str, identity: str, place: Path) -> Any:
    from ray.air.integrations.wandb import WandbLoggerCallback

    mode = os.environ.setdefault("WANDB_MODE", "offline")  # `wandb sync` uploads
    project = re.sub(r"[/\\#?%:]", "-", study)  # what W&B's names cannot have
    callback = WandbLoggerCallback(
        project=project, group=project, upload_timeout=UPLOAD_S, mode=mode, resume="allow"
    )
    callback.setup()
    return callback


def _mlflow(study: str, identity: str, place: Path) -> Any:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    # Its files stay supported when asked for; its SQLite takes seconds for a trial's parameters.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    callback = MLflowLoggerCallback(
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", place.as_uri()),
        experiment_name=study,
        tags={"ictsweep_study": identity},
    )
    callback.setup()
    return callback


def _delete_run(callback: Any, shown: Any) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(callback.tracking_uri)
    mine = f"tags.ictsweep_study = '{callback.tags['ictsweep_study']}'"
    for run in client.search_runs(
        [callback.mlflow_util.experiment_id], f"{mine} and tags.trial_name = '{shown}'"
    ):
        client.delete_run(run.info.run_id)


_ALL = (
    Tool(name="tensorboard", package="tensorboardX", begin=_tensorboard),
    Tool(name="wandb", package="wandb", begin=_wandb),
    Tool(name="mlflow", package="mlflow", begin=_mlflow, clear=_delete_run),
)
TOOLS = {tool.name: tool for tool in _ALL}


def tools(names: str) -> tuple[Tool, ...]:
    """The tools of a list "tensorboard,wandb"; UserError for one that is unknown or not
    installed.
    """
    chosen = dict.fromkeys(name.strip() for name in names.split(",") if name.strip())
    for name in chosen:
        if name not in TOOLS:
            raise UserError(
                f"--log {name}: expected {', '.join(TOOLS)}, or several of them with commas "
                f"between{did_you_mean(name, TOOLS)}"
            )
        if importlib.util.find_spec(TOOLS[name].package) is None:
            raise UserError(
                f"--log {name}: the package {TOOLS[name].package} is not installed; "
                f"`pip install 'ictsweep[{name}]'` brings it"
            )
    return tuple(TOOLS[name] for name in chosen)
