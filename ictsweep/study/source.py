"""A YAML file as plain values that remember where they stand: file, line and column.

The file is read with PyYAML's composer; scalars are resolved here by the rules of YAML 1.2 that
people expect: 1e-4 and 51_200 are numbers, only true and false are booleans ("on" and "yes" are
text), nothing becomes a date. No tags, no merges, no includes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yaml import MarkedYAMLError, Node, ScalarNode, SequenceNode, YAMLError
from yaml.composer import Composer, ComposerError
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from ictsweep.errors import SpecError
from ictsweep.problems import KeyPath, Problem, did_you_mean

MAX_LINES = 10  # problems told at once; more would scroll the first, often their common cause, away
MAX_VALUES = 10_000  # a search space has a hundred; aliases of aliases can make billions
MAX_DIGITS = 64  # longer runs of digits are not numbers that anyone means

Spot = tuple[int, int]  # line and column, from 1

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)")
_FLOAT = re.compile(
    r"[-+]?([0-9]+(_[0-9]+)*(\.([0-9]+(_[0-9]+)*)?)?|\.[0-9]+(_[0-9]+)*)([eE][-+]?[0-9]+)?"
)
_CONSTANTS: Mapping[str, Any] = {
    "": None, "~": None, "null": None, "true": True, "false": False,
    ".nan": float("nan"), ".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a value stands, and its key (the value again where it has none, as in a list)."""

    key: Spot
    value: Spot


@dataclass(frozen=True)
class Document:
    """A file's values in plain types, and the place of each by its path."""

    file: str
    data: Any
    places: Mapping[KeyPath, Place]

    def error(self, path: KeyPath, message: str) -> SpecError:
        """The error of one wrong value: `file:line:col: dotted.path: message`."""
        return self.errors([Problem(path, message)])

    def errors(self, problems: Iterable[Problem]) -> SpecError:
        """One error for all problems: a line each, in file order, the first MAX_LINES of them."""
        found = dict.fromkeys(sorted(problems, key=self.spot))
        lines = [self._line(problem) for problem in found]
        rest = len(lines) - MAX_LINES
        more = [f"... and {rest} more"] if rest > 0 else []
        return SpecError("\n".join(lines[:MAX_LINES] + more))

    def spot(self, problem: Problem) -> Spot:
        """Where a problem stands; what is not in the file stands at the nearest block that is."""
        path, at_key = problem.path, problem.at_key
        while path and path not in self.places:
            path, at_key = path[:-1], True
        place = self.places[path]
        return place.key if at_key else place.value

    def _line(self, problem: Problem) -> str:
        line, column = self.spot(problem)
        return f"{self.file}:{line}:{column}: {problem}"


def read_document(path: Path) -> Document:
    """The YAML file at `path`; SpecError, naming place and cause, if it cannot be read as one."""
    document = _parse(str(path), _text(path))
    if document.data is None:
        raise SpecError(f"{path}:1:1: the file is empty; see search_spaces/ for complete examples")
    return document


def read_value(text: str) -> Any:
    """One value as it would be written in a file; SpecError if it is not YAML."""
    return _parse(repr(text), text).data


def _parse(name: str, text: str) -> Document:
    builder = _Builder()
    try:
        node = _Loader(text).get_single_node()
        data = None if node is None else builder.value(node, (), _spot(node))
    except (YAMLError, RecursionError) as error:
        raise SpecError(f"{name}:{_syntax_error(text, error)}") from None
    document = Document(name, data, builder.places)
    if builder.problems:
        raise document.errors(builder.problems)
    return document


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file{_neighbour(path)}") from None
    except IsADirectoryError:
        inside = ", ".join(sorted(p.name for p in path.glob("*.yaml"))[:5])
        hint = f"; it has {inside}" if inside else ""
        raise SpecError(f"{path}: a directory, expected a YAML file{hint}") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _count(content[: error.start].decode("utf-8", "replace"))
        byte = content[error.start]
        message = f"not UTF-8 text (byte 0x{byte:02x}); save the file as UTF-8"
        raise SpecError(f"{path}:{line}:{column}: {message}") from None


def _neighbour(path: Path) -> str:
    siblings = path.parent.glob("*.yaml") if path.parent.is_dir() else ()
    return did_you_mean(str(path), map(str, siblings))


def _count(before: str) -> Spot:
    """Line and column of what follows `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_error(text: str, error: Exception) -> str:
    if isinstance(error, ReaderError):
        line, column = _count(text[: error.position])
        return f"{line}:{column}: character {chr(int(error.character))!r} is not allowed in YAML"
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return "1:1: blocks are nested too deeply"
    mark, problem = error.problem_mark, error.problem or "it cannot be parsed"
    where = f"{mark.line + 1}:{mark.column + 1}"
    if "'\\t'" in problem:
        return f"{where}: a tab character; YAML is indented with spaces"
    if isinstance(error, _TagError):
        return f"{where}: {problem}"
    begun = error.context_mark
    context = f"{error.context}, begun at {begun.line + 1}:{begun.column + 1}: " if begun else ""
    return f"{where}: not valid YAML: {context}{problem.removeprefix('but ')}"


class _TagError(ComposerError):
    """A tag such as !!python/name, which could run code; values are written plainly instead."""


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """Text to nodes; nothing is constructed, so nothing in a file can run."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """The next node; explicit tags are refused."""
        event = self.peek_event()
        if tag := getattr(event, "tag", None):
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            message = f"tag {shown} is not allowed; write the value itself"
            raise _TagError(None, None, message, event.start_mark)
        return super().compose_node(parent, index)


class _Builder:
    """Nodes to plain values, noting places and problems on the way."""

    def __init__(self) -> None:
        self.places: dict[KeyPath, Place] = {}
        self.problems: list[Problem] = []
        self._open: list[Node] = []

    def value(self, node: Node, path: KeyPath, key: Spot) -> Any:
        """The plain value of `node` standing at `path`."""
        self.places[path] = Place(key, _spot(node))
        if isinstance(node, ScalarNode):
            return node.value if node.style else resolve_scalar(node.value)
        if any(node is outer for outer in self._open) or len(self.places) > MAX_VALUES:
            self.problems.append(Problem(path, "aliases that contain themselves or grow too large"))
            return None
        self._open.append(node)
        items = (
            self._list(node, path) if isinstance(node, SequenceNode) else self._block(node, path)
        )
        self._open.pop()
        return items

    def _list(self, node: Node, path: KeyPath) -> list[Any]:
        return [self.value(item, (*path, i), _spot(item)) for i, item in enumerate(node.value)]

    def _block(self, node: Node, path: KeyPath) -> dict[str, Any]:
        block: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, spot = key_node.value, _spot(key_node)
            if not isinstance(key_node, ScalarNode):
                message = f"a key that is no plain text, at {spot[0]}:{spot[1]}"
                self.problems.append(Problem(path, message))
            elif key in block:
                first = "{}:{}".format(*self.places[(*path, key)].key)
                message = f"given twice, here and at {first}; keep one"
                self.places[(*path, key)] = Place(spot, _spot(value_node))
                self.problems.append(Problem((*path, key), message, at_key=True))
            else:
                block[key] = self.value(value_node, (*path, key), spot)
        return block


def resolve_scalar(text: str) -> Any:
    """The value of a scalar written without quotes."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) > MAX_DIGITS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text) and not re.fullmatch(r"[-+]?0[0-9_]+", text):
        return float(text.replace("_", ""))
    return text


def _spot(node: Node) -> Spot:
    return node.start_mark.line + 1, node.start_mark.column + 1
