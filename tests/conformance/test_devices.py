"""No part of the mathematics asks on which device it runs: what is tested on a CPU holds on a GPU.

The mistake behind it: a random state that is saved and put back for the CPU only, so that on a GPU
student and teacher lose different features.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ictsweep"
FILES = [
    *sorted((PACKAGE / "consistency").glob("*.py")),
    *sorted((PACKAGE / "networks").glob("*.py")),
    *(PACKAGE / "training" / name for name in ("feed.py", "objective.py", "step.py")),
]
GLOBAL_STATE = {"get_rng_state", "set_rng_state", "manual_seed_all", "fork_rng", "seed_all"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_knows_its_device_and_no_generator_is_global(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Attribute):
            continue
        assert node.attr not in {"is_cuda", "is_cpu", "cuda"} | GLOBAL_STATE, f"line {node.lineno}"
        of_device = isinstance(node.value, ast.Attribute | ast.Name) and (
            getattr(node.value, "attr", getattr(node.value, "id", None)) == "device"
        )
        assert not (node.attr == "type" and of_device), f"line {node.lineno}"
