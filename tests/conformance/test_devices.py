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
def test_no_branch_on_the_device_and_no_global_generator(path: Path) -> None:
    tree = ast.parse(path.read_text())
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp)]
    for node in (inner for test in tests for inner in ast.walk(test)):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"is_cuda", "device"}, f"line {node.lineno}"
            of_device = isinstance(node.value, ast.Attribute) and node.value.attr == "device"
            assert not (node.attr == "type" and of_device), f"line {node.lineno}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert node.attr not in GLOBAL_STATE, f"line {node.lineno}"
