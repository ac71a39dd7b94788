"""A cluster file: the values as Ray or Kubernetes will read them, and where each stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ictsweep.errors import SpecError
from ictsweep.problems import KeyPath, Problem
from ictsweep.study.source import Document, read_document


@dataclass(frozen=True)
class ClusterFile:
    """The file at `path`. `data` has merges (`<<`) carried out; `document` knows the lines."""

    path: Path
    data: Mapping[str, Any]
    document: Document

    def line(self, problem: Problem) -> str:
        """`file:line:column: dotted.path: message`, at the place where the value was written."""
        place = Problem(written(self.document, problem.path), problem.message, problem.at_key)
        line, column = self.document.spot(place)
        return f"{self.path}:{line}:{column}: {problem}"

    def lines(self, problems: Iterable[Problem]) -> list[str]:
        """A line for each problem, in the order in which they were found."""
        return list(map(self.line, problems))


def read_cluster(path: Path) -> ClusterFile:
    """The cluster file at `path`; SpecError if it is not a YAML block."""
    document = read_document(path)
    data = yaml.safe_load(path.read_text("utf-8-sig"))
    if not isinstance(data, Mapping):
        raise SpecError(f"{path}:1:1: not a block of keys: see clusters/ for complete files")
    return ClusterFile(path, data, document)


def written(document: Document, path: KeyPath) -> KeyPath:
    """Where the value at `path` was written: its block's own key, or one that it merges in."""
    found: KeyPath = ()
    for key in path:
        if (*found, key) not in document.places and (*found, "<<") in document.places:
            found = (*found, "<<")
        found = (*found, key)
    return found
