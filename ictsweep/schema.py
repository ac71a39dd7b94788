"""Plain mappings read into frozen dataclasses: a component is its own schema.

Every problem is found, not only the first. Values are checked strictly against their field's
annotation and its `annotated_types` bounds (pydantic): no text as a number, no `true` as 1; an
integer is welcome where a number is asked. Blocks are walked here, so that unknown keys get a
suggestion and every problem keeps its path, which `study.source` turns into a place in a file.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ictsweep.problems import KeyPath, Problem, bare, did_you_mean, mismatch, shown, wanted

T = TypeVar("T")
Presets = Mapping[type, Mapping[str, Any]]


@dataclass(frozen=True)
class ReadBy:
    """Metadata of a field written in a form of its own: `reader(value) -> (field, problems)`.

    `form` says what is expected when it is missing.
    """

    reader: Callable[[Any], tuple[Any, list[Problem]]]
    form: str


def read(
    cls: type[T], given: Any, *, presets: Presets = MappingProxyType({})
) -> tuple[T | None, list[Problem]]:
    """`given` as an instance of dataclass `cls`, or None and everything that is wrong with it.

    A block whose class is in `presets` starts from the preset that it names and overrides values
    of it; without a name it must be complete. ValueErrors of the dataclasses' own checks become
    problems of their block; other exceptions pass.
    """
    reader = _Reader(presets, [])
    value = reader.block(cls, given, MISSING, ())
    return (None if reader.problems else value), reader.problems


def plain(value: Any) -> Any:
    """`value` in JSON and YAML types: dataclasses and mappings as dicts, tuples as lists."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def leaves(cls: type) -> dict[KeyPath, Any]:
    """The annotation of every value (not block) below dataclass `cls`, by path, in their order."""
    hints = get_type_hints(cls, include_extras=True)
    found: dict[KeyPath, Any] = {}
    for field in _inputs(cls):
        hint = hints[field.name]
        below = leaves(hint) if is_dataclass(hint) else {(): hint}  # type: ignore[arg-type]
        found |= {(field.name, *path): leaf for path, leaf in below.items()}
    return found


class _Reader:
    """One reading: collects problems on the way down."""

    def __init__(self, presets: Presets, problems: list[Problem]) -> None:
        self.presets = presets
        self.problems = problems

    def block(self, cls: Any, given: Any, base: Any, path: KeyPath) -> Any:
        """An instance of `cls`, missing values from `base`; meaningless once there are problems."""
        if not isinstance(given, Mapping):
            self._add(path, f"got {shown(given)}; expected {self._form(cls)}")
            return base
        before = len(self.problems)
        self._unknown_keys(given, self._keys(cls), path)
        if cls in self.presets:
            base = self._preset(cls, given, path)
        hints = get_type_hints(cls, include_extras=True)
        values = {f.name: self._field(f, hints[f.name], given, base, path) for f in _inputs(cls)}
        return base if len(self.problems) > before else self._build(cls, values, path)

    def _build(self, cls: Any, values: dict[str, Any], path: KeyPath) -> Any:
        try:
            return cls(**values)
        except ValueError as error:
            self._add(path, str(error), at_key=True)
            return MISSING

    def _unknown_keys(self, given: Mapping[str, Any], keys: list[str], path: KeyPath) -> None:
        for key in given:
            if key not in keys:
                message = f"unknown key; allowed: {', '.join(keys)}{did_you_mean(key, keys)}"
                self._add((*path, key), message, at_key=True)

    def _preset(self, cls: Any, given: Mapping[str, Any], path: KeyPath) -> Any:
        table = self.presets[cls]
        known = f"one of {', '.join(table)}"
        name = given.get("preset", MISSING)
        if isinstance(name, str) and name in table:
            return table[name]
        if name is not MISSING:
            message = f"got {shown(name)}; expected {known}{did_you_mean(name, table)}"
            self._add((*path, "preset"), message)
        elif any(not _holds(given, leaf) for leaf in leaves(cls)):
            self._add(path, f"no preset; add preset: {known}", at_key=True)
        else:
            return MISSING
        return next(iter(table.values()))  # stands in, so that the block's other values are checked

    def _field(
        self, field: Field[Any], hint: Any, given: Mapping[str, Any], base: Any, path: KeyPath
    ) -> Any:
        default = _default(field) if base is MISSING else getattr(base, field.name)
        path = (*path, field.name)
        if field.name not in given:
            if default is MISSING:
                self._add(path, f"missing; expected {self._form(hint)}", at_key=True)
            return default
        value = given[field.name]
        if is_dataclass(hint):
            return self.block(hint, value, default, path)
        if custom := _custom(hint):
            result, problems = custom.reader(value)
            self.problems += [problem.under(*path) for problem in problems]
            return result
        return self._leaf(hint, value, path)

    def _leaf(self, hint: Any, value: Any, path: KeyPath) -> Any:
        items = _tuples(value)
        try:
            return _adapter(hint).validate_python(items)
        except ValidationError as error:
            self.problems += _leaf_problems(hint, items, path, error)
            return value

    def _keys(self, cls: Any) -> list[str]:
        names = [field.name for field in _inputs(cls)]
        return ["preset", *names] if cls in self.presets else names

    def _form(self, hint: Any) -> str:
        if is_dataclass(hint):
            return f"a block of keys: {', '.join(self._keys(hint)) or 'none'}"
        custom = _custom(hint)
        return custom.form if custom else wanted(hint)

    def _add(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        self.problems.append(Problem(path, message, at_key))


def _inputs(cls: Any) -> list[Field[Any]]:
    return [field for field in fields(cls) if field.init]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _custom(hint: Any) -> ReadBy | None:
    return next((data for data in bare(hint)[1] if isinstance(data, ReadBy)), None)


def _holds(given: Any, path: KeyPath) -> bool:
    for key in path:
        if not isinstance(given, Mapping) or key not in given:
            return False
        given = given[key]
    return True


@cache  # making a validator costs more than using it, and a search space uses each many times
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))


def _tuples(value: Any) -> Any:
    """Lists as tuples, the form that strict validation takes; mappings stay as they are."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _leaf_problems(hint: Any, value: Any, path: KeyPath, error: ValidationError) -> list[Problem]:
    """One problem per wrong element of a list, or one for the whole value."""
    found: dict[KeyPath, Problem] = {}
    for detail in error.errors():
        where, part, allowed = path, value, hint
        index = detail["loc"][0] if detail["loc"] else None
        if isinstance(index, int) and isinstance(value, tuple) and index < len(value):
            where, part, allowed = (*path, index), value[index], _element(hint, index)
        found.setdefault(where, Problem(where, mismatch(allowed, part)))
    whole = found.pop(path, None)  # often a consequence of its elements
    return list(found.values()) or [p for p in [whole] if p]


def _element(hint: Any, index: int) -> Any:
    """The annotation of a list's element."""
    base, _ = bare(hint)
    if get_origin(base) in (Union, UnionType):
        return next(_element(o, index) for o in get_args(base) if o is not NoneType)
    items = get_args(base)
    return items[0] if items[-1] is ... else items[index]
