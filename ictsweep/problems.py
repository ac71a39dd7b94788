"""What is wrong with an input, where, and how it is said: value, what is allowed, did you mean."""

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen, MultipleOf

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """Something wrong at a path.

    `at_key`: not the value is to blame but the key (it is unknown, or its block is incomplete).
    """

    path: KeyPath
    message: str
    at_key: bool = False

    def under(self, *prefix: str | int) -> "Problem":
        """The same problem seen from further outside."""
        return replace(self, path=prefix + self.path)

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message


def dotted(path: KeyPath) -> str:
    """`("a", "b", 1)` as a.b[1]."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def shown(value: Any) -> str:
    """`value` as a message shows it: text in quotes, the rest as in YAML, cut at 60 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        text = f"text {value!r}"
    elif isinstance(value, float) and not math.isfinite(value):
        text = f"{value} (not a finite number)"
    elif isinstance(value, Mapping):
        text = f"a block ({', '.join(map(str, value)) or 'empty'})"
    else:
        text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def did_you_mean(word: Any, options: Iterable[str]) -> str:
    """A question for the option most like `word`, ignoring case, ready to end a message.

    Empty if no option is near or `word` is no text.
    """
    by_lower = {option.lower(): option for option in options}
    if not isinstance(word, str):
        return ""
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    if len(word) > 2:
        near = near or [option for option in by_lower if word.lower() in option]
        near = near or [option for option in by_lower if _like_a_part(word.lower(), option)]
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


def _like_a_part(word: str, option: str) -> bool:
    return bool(difflib.get_close_matches(word, option.split("_"), n=1, cutoff=0.8))


def mismatch(hint: Any, value: Any) -> str:
    """Why `value` is refused by annotation `hint`."""
    options = [option for option in _options(hint) if isinstance(option, str)]
    near = did_you_mean(value, options) if len(options) > 1 else ""
    advice = _advice(hint, value) or near
    return f"got {shown(value)}; expected {wanted(hint)}{advice}"


def wanted(hint: Any, *, plural: bool = False) -> str:
    """What an annotation allows: "a number > 0 and < 1", "one of tf32, fp32", "a list of texts"."""
    base, bounds = bare(hint)
    origin = get_origin(base)
    if origin in (Union, UnionType):
        kinds = dict.fromkeys(wanted(option, plural=plural) for option in _options(hint))
        words = " or ".join(kinds)
    elif origin is Literal:
        options = [str(option) for option in _options(hint)]
        words = options[0] if len(options) == 1 else f"one of {', '.join(options)}"
    elif origin is tuple:
        items = get_args(base)
        count = "a list of" if items[-1] is ... else f"a list of {len(items)}"
        words = f"{count} {wanted(items[0], plural=True)}"
    else:
        words = _NAMES.get(base, _NAMES[dict] if _is_block(base) else str(base))[plural]
    limits = [template.format(value) for bound in bounds for template, value in _limits(bound)]
    least = [f"(at least {bound.min_length})" for bound in bounds if isinstance(bound, MinLen)]
    return " ".join([words, *[" and ".join(limits)][: len(limits)], *least])


def bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """An annotation's type and its metadata."""
    if get_origin(hint) is Annotated:
        return get_args(hint)[0], get_args(hint)[1:]
    return hint, ()


def number_type(hint: Any) -> type | None:
    """int or float if the annotation is that of a number, else None."""
    base, _ = bare(hint)
    options = _options(base)  # a number that may be left out is one all the same
    if len(options) == 1 and get_origin(base) in (Union, UnionType):
        base, _ = bare(options[0])
    return base if base in (int, float) else None


_NAMES = {
    bool: ("true or false", "true or false"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    NoneType: ("nothing", "nothing"),
    dict: ("a block of keys", "blocks of keys"),
}


_SPOKEN = {
    "yes": "true",
    "on": "true",
    "true": "true",
    "no": "false",
    "off": "false",
    "false": "false",
}

_BOUNDS = (
    (Gt, "> {}", "gt"),
    (Ge, ">= {}", "ge"),
    (Lt, "< {}", "lt"),
    (Le, "<= {}", "le"),
    (MultipleOf, "a multiple of {}", "multiple_of"),
)


def _is_block(base: Any) -> bool:
    return is_dataclass(base) or get_origin(base) is dict


def _options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union or literal."""
    base, _ = bare(hint)
    options = get_args(base) if get_origin(base) in (Literal, Union, UnionType) else ()
    # a number that may be written as an integer is just a number; "or nothing" is rarely meant
    return tuple(o for o in options if not (o is int and float in options) and o is not NoneType)


def _limits(bound: Any) -> list[tuple[str, Any]]:
    return [
        (template, getattr(bound, name))
        for kind, template, name in _BOUNDS
        if isinstance(bound, kind)
    ]


def _advice(hint: Any, value: Any) -> str:
    kind = number_type(hint)
    if kind and isinstance(value, str) and _is_number(value):
        return "; remove the quotes"
    if kind is int and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    if bare(hint)[0] in (str, str | None) and isinstance(value, bool | int | float):
        return "; put it in quotes"
    if bare(hint)[0] is bool and isinstance(value, str) and value.lower() in _SPOKEN:
        return f"; write {_SPOKEN[value.lower()]}"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
