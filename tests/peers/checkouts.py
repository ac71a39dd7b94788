"""Other projects' code, imported from checkouts of theirs.

The environment variable ICTSWEEP_PEERS names a folder with one checkout each of
`consistency_GC` (thibautissenhuth/consistency_GC), `ect` (locuslab/ect), `consistency_models` and
`consistency_models_cifar10` (openai), `edm` (NVlabs/edm); `git clone` makes them. None of their
code is kept in this repository. Without the folder, or a checkout in it, the tests that need it are
skipped.
"""

import ast
import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def checkout(peer: str) -> Path:
    """The folder of a peer's checkout; skips the test if there is none."""
    root = os.environ.get("ICTSWEEP_PEERS")
    if root is None:
        pytest.skip("ICTSWEEP_PEERS is not set: it names the folder of the peers' checkouts")
    folder = Path(root) / peer
    if not folder.is_dir():
        pytest.skip(f"ICTSWEEP_PEERS has no {peer}: {folder} is not a folder")
    return folder


def load(peer: str, module: str, stubs: Mapping[str, Any] | None = None) -> ModuleType:
    """A peer's module by its dotted name, imported from its checkout alone.

    `stubs` stand in for what it imports and its functions under test do not use, by dotted name.
    Afterwards neither the peer's modules nor the stubs can be imported by anybody else.
    """
    folder = checkout(peer)
    with _importing_from(folder, stubs or {}):
        return importlib.import_module(module)


def run_lines(peer: str, path: str, first: str, last: str, names: dict[str, Any]) -> dict[str, Any]:
    """The variables after a piece of a peer's file, run as it stands with `names` defined.

    For code that no function holds: the piece goes from the statement that assigns `first` to the
    next one in the same block that assigns `last`.
    """
    file = checkout(peer) / path
    for node in ast.walk(ast.parse(file.read_text())):
        body = getattr(node, "body", None)
        targets = [_assigned(s) for s in body] if isinstance(body, list) else []
        if first in targets and last in targets[targets.index(first) :]:
            begin = targets.index(first)
            piece = body[begin : targets.index(last, begin) + 1]
            variables = dict(names)
            exec(compile(ast.Module(piece, []), str(file), "exec"), variables)
            return variables
    raise LookupError(f"{file} assigns {first} and then {last} in no block")


def _assigned(statement: ast.stmt) -> str:
    return ast.unparse(statement.targets[0]) if isinstance(statement, ast.Assign) else ""


def edm_stubs() -> dict[str, Any]:
    """Stand-ins for the training tools of NVIDIA's projects (and those that build on them): classes
    are not made persistent, nothing is printed, no process group is asked."""
    persistence = SimpleNamespace(persistent_class=lambda cls: cls)
    misc = SimpleNamespace(
        profiled_function=lambda function: function,
        const_like=lambda like, value, **_: like.new_tensor(value),
    )
    distributed = SimpleNamespace(
        print0=lambda *_, **__: None, get_rank=lambda: 0, get_world_size=lambda: 1
    )
    stats = SimpleNamespace(report=lambda *_: None)
    tools = SimpleNamespace(
        persistence=persistence, distributed=distributed, misc=misc, training_stats=stats
    )
    return {
        "dnnlib": SimpleNamespace(util=SimpleNamespace(), EasyDict=dict),
        "persistence": persistence,
        "torch_utils": tools,
        "torch_utils.persistence": persistence,
        "torch_utils.distributed": distributed,
        "torch_utils.misc": misc,
        "torch_utils.training_stats": stats,
    }


@contextlib.contextmanager
def _importing_from(folder: Path, stubs: Mapping[str, Any]) -> Iterator[None]:
    own = {p.stem for p in folder.iterdir() if p.suffix == ".py" or p.is_dir()}
    own |= {_top(name) for name in stubs}
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _top(name) in own}
    sys.modules.update(stubs)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in list(sys.modules):
            if _top(name) in own:
                del sys.modules[name]
        sys.modules.update(hidden)


def _top(name: str) -> str:
    return name.partition(".")[0]
