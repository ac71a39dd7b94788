"""What a study's folder was said to take, and what it takes."""

from pathlib import Path

from ictsweep.data import load
from ictsweep.study.preview import Source, preview
from ictsweep.study.sizes import Sizes
from ictsweep.study.space import resolve
from ictsweep.study.store import StudyFolder


def forecast_of(folder: StudyFolder, slots: int) -> Sizes:
    """The bytes that `check` forecasts of a study, before it runs."""
    spec = folder.spec()
    return preview(spec, load(resolve(spec, {}).data), slots, Source()).plan.sizes


def bytes_by_kind(folder: StudyFolder) -> dict[str, int]:
    """The bytes of a study's folder, by the same kinds."""
    kinds = dict.fromkeys(("checkpoints", "samples", "log", "Ray's files"), 0)
    for path in folder.path.rglob("*"):
        if path.is_file():
            kinds[_kind(path.relative_to(folder.path))] += path.stat().st_size
    return kinds


def _kind(path: Path) -> str:
    if path.parts[0] == "ray":
        return "Ray's files"
    return next((kind for kind in ("checkpoints", "samples") if kind in path.parts), "log")
