"""The layers as design: imports point one way, the trainer needs no Ray, the report needs no
torch.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ictsweep"

BASE = {
    "records",
    "interruption",
    "states",
    "answers",
    "errors",
    "seeds",
    "files",
    "progress",
    "shell",
    "disk",
    "patience",
}
FORMS = {
    "problems",
    "variants",
    "wording",
    "schema",
    "pruning",
}  # plain values read into dataclasses
CHOICES = {"optimizers", "starts"}  # parts of a trial that are values of their own
TRIAL = {"config", "study.configurations", "study.parameters", "study.domains", "study.facts"}
PURE = {"consistency", "networks", "data", "evaluation"}
READING = {
    "storage",
    "study.spec",
    "study.axes",
    "study.conditions",
    "study.branches",
    "study.source",
    "study.store",
    "study.forms",
    "study.tail",
    "study.noise",
    "study.retention",
    "study.requests",
    "study.changes",
}
TRANSFER = ("study.priors", "study.promotion")  # from one study to another
DECIDING = {
    "study.rungs",
    "study.retries",
    "study.spending",
    "study.engine",
    "study.clock",
    "study.conductor",
    "study.order",
    "study.orders",
    "study.forecast",
    "study.memory",
}
AHEAD = {  # what a study will take, before it runs
    "study.spans",
    "study.outlook",
    "study.work",
    "study.speeds",
    "study.sizes",
    "study.plan",
}

ALLOWED: dict[str, set[str]] = {
    **{name: BASE for name in BASE | PURE | CHOICES},
    "data": BASE | {""},  # "" is the version
    **{name: BASE | FORMS for name in FORMS},
    "config": BASE | FORMS | PURE | CHOICES,
    "training": BASE | FORMS | PURE | CHOICES | {"config"},
    "launch": BASE | PURE | {"config", "training", "storage", "doctor"},
    **{name: BASE | FORMS | READING for name in READING},
    "storage": BASE,
    "doctor": BASE | {"storage"},
    **{name: BASE | READING | DECIDING for name in DECIDING},
    **{name: BASE | FORMS | READING | DECIDING | AHEAD for name in AHEAD},
    **{
        name: BASE | FORMS | PURE | CHOICES | READING | TRIAL
        for name in (*sorted(TRIAL - {"config"}), "study.soundness", *TRANSFER)
    },
    "study.space": BASE | FORMS | PURE | READING | TRIAL | {"study.soundness"},
    "study.rehearsal": BASE | FORMS | PURE | READING | TRIAL | {"training", "study.priors"},
    "study.carrying": BASE | READING | {"config", "training"},
    "study.counting": BASE | PURE | CHOICES | TRIAL | {"training", "study.work"},
    "study.taken_out": READING | TRIAL,
    "study.draws": BASE | READING | DECIDING | TRIAL | {"study.space"},
    "study.preview": BASE | FORMS | PURE | READING | DECIDING | AHEAD | TRIAL
    | {"study.space", "study.counting", "study.draws"},
    "study.tune": BASE | READING | DECIDING | {"launch"},
    "study.session": BASE | PURE | READING | DECIDING
    | {"mirror", "config", "training", "launch", "study.space", "study.tune", "study.priors"}
    | {"study.carrying"},
    "report": BASE | READING | {"", "report", "study.spending"},
    "live": BASE | READING | DECIDING,
    "notebook": BASE | READING,
    "tables": BASE,
    "scoring": BASE | FORMS | PURE | CHOICES | READING | {"config", "training", "study.space"},
    "clusters": BASE | FORMS | {"study.source"},
    "mirror": BASE | FORMS | READING | {"study.space"},
    "cli": BASE | FORMS | PURE | READING | DECIDING | AHEAD
    | {"", "mirror", "live", "notebook", "tables", "report", "training", "scoring", "clusters"}
    | {"study.rehearsal", "study.preview", "study.taken_out", "study.space", "study.session"}
    | {"study.carrying", "study.promotion", "config", "doctor", "launch"},
}  # fmt: skip

MIRROR = {"mirror.mirror", "mirror.database", "mirror.picture"}
OUTSIDE: dict[str, set[str]] = {  # library -> the layers that may import it
    "ray": {"launch", "study.tune", "clusters.schema", "mirror.loggers", "mirror.tools"},
    "boto3": {"clusters.aws", "storage.bucket"},
    "botocore": {"clusters.aws", "clusters.ec2", "storage.bucket"},
    "optuna": {"study.space", "study.memory", "report.figures.importance"} | MIRROR,
    "sqlalchemy": MIRROR,
    "plotly": {"report"},
    "torch.distributed": {"training.runtime", "doctor.collectives"},
}


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.append((".".join(p for p in parts if p != "__init__"), path))
    return found


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer(module: str) -> str:
    """The layer of a module (its longest prefix that has a rule)."""
    parts = module.split(".")
    for n in range(len(parts), 0, -1):
        if ".".join(parts[:n]) in ALLOWED:
            return ".".join(parts[:n])
    return module if module in ("", "__main__", "study") else f"no layer: {module}"


def own(name: str) -> str | None:
    """The project's module that an import names, None for others."""
    if not name.startswith("ictsweep"):
        return None
    known = {module for module, _ in modules()}
    inside = name.removeprefix("ictsweep").removeprefix(".")
    while inside and inside not in known:
        inside = inside.rpartition(".")[0]
    return inside


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda v: str(v))
def test_imports_point_one_way(module: str, path: Path) -> None:
    if module in ("", "__main__", "study"):
        return
    mine = layer(module)
    assert mine in ALLOWED, f"{module} belongs to no layer"
    for name in imports(path):
        target = own(name)
        if target is None:
            continue
        there = layer(target) if target else ""
        assert there == mine or there in ALLOWED[mine], f"{module} imports {name}"


@pytest.mark.parametrize(("library", "layers"), OUTSIDE.items())
def test_libraries_stay_in_their_layers(library: str, layers: set[str]) -> None:
    for module, path in modules():
        for name in imports(path):
            if name == library or name.startswith(f"{library}."):
                assert any(module == a or module.startswith(f"{a}.") for a in layers), (
                    f"{module} imports {name}"
                )


def _import_without(blocked: str, module: str) -> None:
    code = f"""
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {blocked.split()!r}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocked())
import {module}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_trainer_runs_without_ray_and_optuna() -> None:
    _import_without("ray optuna plotly", "ictsweep.training")


def test_the_report_reads_without_torch_and_ray() -> None:
    _import_without("torch ray", "ictsweep.report")


def test_a_notebook_opens_studies_without_torch_ray_and_optuna() -> None:
    _import_without("torch ray optuna plotly", "ictsweep.notebook, ictsweep.tables")


def test_help_needs_neither() -> None:
    _import_without("torch ray optuna plotly", "ictsweep.cli")


def test_a_node_stops_itself_without_any_library() -> None:
    _import_without("torch ray optuna plotly boto3 yaml", "ictsweep.clusters.autostop")


def test_functions_and_files_stay_small() -> None:
    """At most 50 lines a function and 300 a file; half of all functions under 12."""
    sizes = []
    for module, path in modules():
        text = path.read_text()
        assert len(text.splitlines()) <= 300, f"{module} has {len(text.splitlines())} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                size = node.end_lineno - node.lineno + 1
                assert size <= 50, f"{module}.{node.name} has {size} lines"
                sizes.append(size)
    assert sorted(sizes)[len(sizes) // 2] < 12


def test_public_names_are_documented() -> None:
    for module, path in modules():
        tree = ast.parse(path.read_text())
        for node in [tree, *tree.body]:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.startswith("_"):
                continue
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and module:
                name = getattr(node, "name", "module")
                assert ast.get_docstring(node) is not None, f"{module}: {name} has no docstring"
