"""What of a trial may be searched, and in which form."""

import difflib

from ictsweep.config import BLOCKS, TrialConfig
from ictsweep.problems import Problem, dotted, number_type, wanted
from ictsweep.study.axes import Axis
from ictsweep.variants import inputs, leaves

BATCH = "optimizer.batch"
PRESETS = tuple(f"{field.name}.preset" for field, hint in inputs(TrialConfig) if hint in BLOCKS)

# What makes trials comparable, by the path or block that must stay as it is.
_FIXED = {
    "budget_kimg": "trials of different lengths cannot be ranked; the rungs already stop weak ones",
    "evaluate": "every trial must be measured in the same way",
    "data": "every trial must learn, and be compared with, the same data",
    "post_hoc": "what is kept for after training changes no value",
}


def parameter_problems(axis: Axis) -> list[Problem]:
    """What is wrong with an axis whatever the trial block."""
    return path_problems(axis) or _kind_problems(axis)


def path_problems(axis: Axis) -> list[Problem]:
    """Whether the axis is over something that a trial has and a study may vary."""
    place, path = ("search", axis.path), axis.path
    known = [dotted(leaf) for leaf in leaves(TrialConfig)]
    fixed = _FIXED.get(path.split(".")[0])
    searchable = [leaf for leaf in known if leaf.split(".")[0] not in _FIXED]
    if fixed:
        message = f"cannot be searched: {fixed}"
    elif path in known or path in PRESETS:
        return []
    elif inside := [leaf for leaf in searchable if leaf.startswith(f"{path}.")]:
        message = f"a block, not a value; search values of it: {', '.join(inside[:6])}"
    elif path.endswith(".preset"):
        message = f"no block with presets; these have them: {', '.join(PRESETS)}"
    else:
        message = f"a trial has no such value{_nearest(path, searchable)}"
    return [Problem(place, message, at_key=True)]


def _nearest(path: str, known: list[str]) -> str:
    near = [leaf for leaf in known if leaf.endswith(f".{path}")]
    near = near or difflib.get_close_matches(path, known, n=3, cutoff=0.7)
    near = near or difflib.get_close_matches(path, known, n=1, cutoff=0.55)
    block = path.rpartition(".")[0]
    beside = [leaf for leaf in known if block and leaf.rpartition(".")[0] == block]
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; it has {', '.join((beside or known)[:6])}, ..."


def _kind_problems(axis: Axis) -> list[Problem]:
    """Whether the axis has the form that its parameter needs."""
    if axis.choices is not None:
        return []
    place, path = ("search", axis.path), axis.path
    if path in PRESETS:
        message = f"{path} is no number but a name; list presets as choices: [a, b]"
        return [Problem((*place, "range"), message)]
    hint = next(h for leaf, h in leaves(TrialConfig).items() if dotted(leaf) == path)
    kind = number_type(hint)
    if kind is None:
        message = f"{path} is no number but {wanted(hint)}; list values as choices: [a, b]"
        return [Problem((*place, "range"), message)]
    if path == BATCH:
        message = (
            "a batch must divide every evaluation interval, which a range cannot promise; "
            "list sizes as choices: [64, 128]"
        )
        return [Problem((*place, "range"), message)]
    if kind is int and isinstance(axis.step, float):
        return [Problem((*place, "step"), f"got {axis.step}; expected an integer, as {path} is")]
    return []
