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
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ictsweep.problems import KeyPath, Problem, bare, did_you_mean, mismatch, shown, wanted
from ictsweep.variants import inputs, variant_name, variants
from ictsweep.wording import Block, block_form, no_block, no_variant, unknown_key

T = TypeVar("T")
Presets = Mapping[Any, Mapping[str, Any]]


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

    A field annotated with a union of dataclasses is a block whose `name` chooses one of them;
    without it the block continues the variant it would have had if left out, or the first. Another
    variant starts from its own defaults. A block whose annotation is in `presets` starts from the
    preset that it names and overrides values of it; without a preset it must be complete.
    ValueErrors of the dataclasses' own checks become problems of their block; other exceptions
    pass.
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


class _Reader:
    """One reading: collects problems on the way down."""

    def __init__(self, presets: Presets, problems: list[Problem]) -> None:
        self.presets = presets
        self.problems = problems

    def block(
        self, hint: Any, given: Any, base: Any, path: KeyPath, around: Block | None = None
    ) -> Any:
        """An instance of one of `hint`'s dataclasses, missing values from `base`; meaningless once
        there are problems.
        """
        if not isinstance(given, Mapping):
            self._add(path, no_block(given, hint, self.presets.get(hint, {})))
            return base
        before = len(self.problems)
        if hint in self.presets:
            base = self._preset(hint, given, path)
        cls = self._variant(hint, given, base, path, around)
        self._unknown_keys(given, Block(hint, cls, path, around))
        if cls is None:  # nothing can be said of values
            return base
        base, here = base if type(base) is cls else MISSING, Block(hint, cls, path, around)
        values = {f.name: self._field(f, inner, given, base, here) for f, inner in inputs(cls)}
        return base if len(self.problems) > before else self._build(cls, values, path)

    def _build(self, cls: Any, values: dict[str, Any], path: KeyPath) -> Any:
        try:
            return cls(**values)
        except ValueError as error:
            self._add(path, str(error), at_key=True)
            return MISSING

    def _variant(
        self, hint: Any, given: Mapping[str, Any], base: Any, path: KeyPath, around: Block | None
    ) -> Any:
        """The dataclass that a block chooses; None when its name is none of them."""
        known = variants(hint)
        name = given.get("name", MISSING)
        own = type(base) if base is not MISSING else next(iter(known.values()))
        if len(known) == 1 or name is MISSING:
            return own
        if not isinstance(name, str) or name not in known:
            self._add((*path, "name"), no_variant(name, Block(hint, None, path, around)))
            return None
        if isinstance(preset := given.get("preset"), str) and known[name] is not own:
            table = self.presets.get(hint, {})
            if preset in table:
                message = f"got {shown(name)}; preset {preset} is {variant_name(own)}; remove one"
                self._add((*path, "name"), message)
        return known[name]

    def _unknown_keys(self, given: Mapping[str, Any], here: Block) -> None:
        allowed = ["preset"] * (here.hint in self.presets) + here.keys()
        for key in given:
            if key not in allowed:
                message = unknown_key(key, allowed, given, here)
                self._add((*here.path, key), message, at_key=True)

    def _preset(self, hint: Any, given: Mapping[str, Any], path: KeyPath) -> Any:
        table = self.presets[hint]
        known = f"one of {', '.join(table)}"
        name = given.get("preset", MISSING)
        if isinstance(name, str) and name in table:
            return table[name]
        if name is not MISSING:
            message = f"got {shown(name)}; expected {known}{did_you_mean(name, table)}"
            self._add((*path, "preset"), message)
        elif not _complete(hint, given):
            self._add(path, f"no preset; add preset: {known}", at_key=True)
        else:
            return MISSING
        return _stand_in(hint, given, table)  # so that the block's other values are checked

    def _field(
        self, field: Field[Any], hint: Any, given: Mapping[str, Any], base: Any, here: Block
    ) -> Any:
        default = default_of(field) if base is MISSING else getattr(base, field.name)
        path = (*here.path, field.name)
        if field.name not in given:
            if default is MISSING:
                self._add(path, f"missing; expected {self._form(hint)}", at_key=True)
            return default
        value = given[field.name]
        if variants(hint):
            return self.block(hint, value, default, path, here)
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

    def _form(self, hint: Any) -> str:
        if variants(hint):
            return block_form(hint, presets=hint in self.presets)
        custom = _custom(hint)
        return custom.form if custom else wanted(hint)

    def _add(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        self.problems.append(Problem(path, message, at_key))


def default_of(field: Field[Any]) -> Any:
    """What a field holds when it is left out; MISSING if it must be given."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _custom(hint: Any) -> ReadBy | None:
    return next((data for data in bare(hint)[1] if isinstance(data, ReadBy)), None)


def _complete(hint: Any, given: Any) -> bool:
    """Whether a block gives every value of the variant that it chooses."""
    if not isinstance(given, Mapping):
        return False
    known = variants(hint)
    cls = known.get(str(given.get("name"))) or next(iter(known.values()))
    asked = [(f.name, inner) for f, inner in inputs(cls) if f.name != "name"]
    return all(
        name in given and (not variants(inner) or _complete(inner, given[name]))
        for name, inner in asked
    )


def _stand_in(hint: Any, given: Mapping[str, Any], table: Mapping[str, Any]) -> Any:
    """A preset of the variant that a block names, or the first."""
    named = variants(hint).get(str(given.get("name")))
    return next((p for p in table.values() if type(p) is named), next(iter(table.values())))


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
        for index in detail["loc"]:
            if not (isinstance(index, int) and isinstance(part, tuple) and index < len(part)):
                break
            where, part, allowed = (*where, index), part[index], _element(allowed, index)
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
