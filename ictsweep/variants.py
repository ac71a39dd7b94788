"""What the fields of a configuration may hold: one dataclass, or one of several variants of it.

A variant is a dataclass whose field `name` is a literal of its own: `distance: PseudoHuber | L2`
is written `{name: l2}`. A field's annotation is the only register of its variants.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ictsweep.problems import KeyPath


@cache
def variants(hint: Any) -> Mapping[str, Any]:
    """The dataclasses that an annotation allows, by name; empty for the annotation of a value."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if not all(isinstance(kind, type) and is_dataclass(kind) for kind in kinds):
        return {}
    return {variant_name(kind): kind for kind in kinds}


def variant_name(cls: Any) -> str:
    """The name that chooses a dataclass among its union's others."""
    name = next((f.default for f in fields(cls) if f.name == "name"), MISSING)
    return name if isinstance(name, str) else cls.__name__


@cache
def inputs(cls: Any) -> tuple[tuple[Field[Any], Any], ...]:
    """The fields of a dataclass that can be written, each with its annotation."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple((field, hints[field.name]) for field in fields(cls) if field.init)


def keys(cls: Any) -> list[str]:
    """The names of the fields of a dataclass that can be written."""
    return [field.name for field, _ in inputs(cls)]


def leaves(hint: Any) -> dict[KeyPath, Any]:
    """The annotation of every value (not block) below an annotation, by path, in their order.

    All variants are covered; a path that several have is annotated as in the first, its literals
    joined.
    """
    found: dict[KeyPath, Any] = {}
    for cls in variants(hint).values():
        for field, inner in inputs(cls):
            below = leaves(inner) if variants(inner) else {(): inner}
            for path, leaf in below.items():
                place = (field.name, *path)
                found[place] = _joined(found[place], leaf) if place in found else leaf
    return found


def _joined(first: Any, second: Any) -> Any:
    if get_origin(first) is not Literal or get_origin(second) is not Literal:
        return first
    return Literal[tuple(dict.fromkeys([*get_args(first), *get_args(second)]))]
