"""What a command line names, opened: a search space's file, a study's folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ictsweep.errors import StudyError, UserError
from ictsweep.problems import did_you_mean

if TYPE_CHECKING:
    from ictsweep.storage.place import BucketPlace
    from ictsweep.study.spec import StudySpec
    from ictsweep.study.store import StudyFolder

_SPEC = "study.yaml"  # what makes a folder a study's
_SHOWN = 8  # studies that are named where none is the one asked for
_OF_A_FILE = ("cifar_resnet", "torchscript")  # features that nobody ships


def read(space: Path) -> tuple["StudySpec", list[str]]:
    """The spec of a file, tried on the data and the first weights that it names, and what that
    showed, in lines.
    """
    from ictsweep.study.rehearsal import placed, rehearse_study
    from ictsweep.study.space import read_checked

    spec, document = read_checked(space)
    problems, facts, _ = rehearse_study(spec)
    if problems:
        raise document.errors(problems)
    return placed(spec), facts


def folder_of(study: str, storage: str) -> "StudyFolder":
    """A study by path or URL, or by name under the storage. A folder that merely has a study's name
    (as that of its data may) does not hide it.
    """
    from ictsweep.storage.place import bucket_place, within
    from ictsweep.study.store import StudyFolder

    named, elsewhere = within(storage, study), bucket_place(storage) is not None
    if bucket_place(study) is not None or (Path(study) / _SPEC).is_file():
        return StudyFolder.open(study)
    try:
        by_name = elsewhere or (Path(named) / _SPEC).is_file()
        return StudyFolder.open(named if by_name else study)
    except StudyError as error:
        raise StudyError(f"{error}{_known(study, storage)}") from None


def _known(study: str, storage: str) -> str:
    """The studies of a storage, ready to end a message."""
    from ictsweep.storage.place import bucket_place

    place = bucket_place(storage)
    names = _in_folder(Path(storage)) if place is None else _in_bucket(place)
    if not names:
        return ""
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    near = did_you_mean(Path(study).name, names)
    return f" Under {storage} there is {', '.join(names[:_SHOWN])}{rest}{near}"


def _in_folder(storage: Path) -> list[str]:
    return sorted(path.parent.name for path in storage.glob(f"[!.]*/{_SPEC}"))


def _in_bucket(storage: "BucketPlace") -> list[str]:
    from ictsweep.patience import ASKING
    from ictsweep.storage.bucket import Bucket

    return [name for name in Bucket(storage, ASKING).folders() if not name.startswith(".")]


def measured_by(features: str | None, weights: Path | None, mode: str | None) -> dict[str, Any]:
    """The plain values of the features that options name; empty for the run's own."""
    if features is None and (weights is not None or mode is not None):
        raise UserError("--weights and --mode belong to features: say which with --features")
    if features is None:
        return {}
    if features in _OF_A_FILE and weights is None:
        raise UserError(f"--features {features}: name the file of their weights by --weights FILE")
    given = {"mode": mode, "path": None if weights is None else str(weights)}
    return {"name": features, **{key: value for key, value in given.items() if value is not None}}
