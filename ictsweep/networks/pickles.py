"""Pickles read as data: a machine for their instructions that can call nothing of the file's.

A pickle is a program. Here the names it wants to import stay names; the only functions that run are
those of the caller's closed list, by their full name, and whatever else is named is refused.

What is read can be nested without end, contain itself, or be huge to print, and all that from a few
bytes. So nothing recurses into it: keys are texts and numbers, and messages quote it by `shown`.
"""

import pickletools
from collections.abc import Callable, Mapping
from mmap import mmap
from typing import IO, Any, cast

__all__ = ["Name", "Record", "Refused", "read_pickle", "shown"]

_MOST = 1 << 19  # instructions: several times those of a network with a thousand tensors
_CODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}


class Refused(ValueError):
    """A file holds something that does not belong there; the message names it."""


class Name(str):
    """A function or class that a pickle names, as "module.name". It is not imported."""

    __slots__ = ()


class Record:
    """An object of class `kind` that is not made: its arguments and its state."""

    def __init__(self, kind: str, *arguments: Any) -> None:
        self.kind = kind
        self.arguments = arguments
        self.state: Any = None


def read_pickle(
    file: IO[bytes] | mmap,
    known: Mapping[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The value of the pickle at the position of `file`, which ends up behind it.

    `known` maps the full names that may occur to the function that stands in for them; `persistent`
    does so for references to outside (persistent ids). Refused for any other name, for what is no
    pickle, and for one of more than half a million instructions.
    """
    machine = _Machine(known, persistent)
    try:
        for _ in range(_MOST):
            opcode = _CODES.get(file.read(1))
            if opcode is None:
                raise Refused("it is no pickle, or it ends early")
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode, cast(IO[bytes], file))
    except Refused:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise Refused(f"it is no pickle, or a damaged one ({reason})") from None
    raise Refused(f"it has more than {_MOST} instructions")


def shown(value: Any, depth: int = 1) -> str:
    """`value` for a message: short, whatever it is."""
    if isinstance(value, str):
        return value[:100]
    if isinstance(value, list | tuple) and depth:
        return f"[{', '.join(shown(item, depth - 1) for item in value[:8])}]"
    if value is None or isinstance(value, float) or _is_short(value):
        return str(value)
    return f"a {type(value).__name__}"


def _is_short(value: Any) -> bool:
    return isinstance(value, int) and value.bit_length() < 64


class _Machine:
    """The stack, marks and memo of one reading."""

    def __init__(
        self,
        known: Mapping[str, Callable[..., Any]],
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        self.known = known
        self.persistent = persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under the marks
        self.memo: dict[int, Any] = {}

    def step(self, opcode: pickletools.OpcodeInfo, file: IO[bytes]) -> None:
        """Carry out one instruction, whose argument is next in `file`."""
        name = opcode.name
        if name not in _INSTRUCTIONS:
            raise Refused(f"instruction {name} does not belong in it")
        argument = _argument(opcode, file)
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)

    def marked(self) -> list[Any]:
        """What lies above the last mark; removes it and the mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop(self, _: Any) -> None:
        self.stack.pop()

    def put(self, index: int | None) -> None:
        place = len(self.memo) if index is None else _key(index)
        self.memo[place] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def take(self, count: int) -> None:
        start = len(self.stack) - count
        if start < 0:
            raise Refused("its stack runs empty")
        self.stack[start:] = [tuple(self.stack[start:])]

    def tuple(self, _: Any) -> None:
        items = self.marked()
        self.stack.append(tuple(items))

    def extend(self, _: Any) -> None:
        items = self.marked()
        _expect(self.stack[-1], list).extend(items)

    def append(self, _: Any) -> None:
        item = self.stack.pop()
        _expect(self.stack[-1], list).append(item)

    def update(self, _: Any) -> None:
        items = self.marked()
        _expect(self.stack[-1], dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), _key(self.stack.pop())
        _expect(self.stack[-1], dict)[key] = value

    def add(self, _: Any) -> None:
        items = self.marked()
        _expect(self.stack[-1], set).update(map(_key, items))

    def name(self, module_and_name: list[str]) -> None:
        self.named(*module_and_name)

    def stack_name(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.named(_expect(module, str), _expect(name, str))

    def named(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full not in self.known:
            raise Refused(f"it names {full[:200]!r}, which does not belong in it")
        self.stack.append(Name(full))

    def call(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(self.known[_expect(function, Name)](*_expect(arguments, tuple)))

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        _expect(self.stack[-1], Record).state = state

    def outside(self, _: Any) -> None:
        if self.persistent is None:
            raise Refused("it refers to something outside (a persistent id)")
        self.stack.append(self.persistent(self.stack.pop()))


def _argument(opcode: pickletools.OpcodeInfo, file: IO[bytes]) -> Any:
    if opcode.name == "GLOBAL":  # two lines, in which pickletools would interpret backslashes
        return [file.readline().decode().removesuffix("\n") for _ in range(2)]
    return opcode.arg.reader(file) if opcode.arg else None


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise Refused(f"a {type(value).__name__} stands where a {kind.__name__} belongs")
    return value


def _key(value: Any) -> Any:
    """`value` if it may be a key: others' hashes recurse, and huge numbers' can all be equal."""
    if isinstance(value, str) or _is_short(value):
        return value
    raise Refused(f"a {type(value).__name__} stands where a key belongs")


_NOTHING = {"PROTO", "FRAME"}
_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "TUPLE": _Machine.tuple,
    "TUPLE1": lambda machine, _: machine.take(1),
    "TUPLE2": lambda machine, _: machine.take(2),
    "TUPLE3": lambda machine, _: machine.take(3),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.update,
    "ADDITEMS": _Machine.add,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.outside,
}
_INSTRUCTIONS = {*_NOTHING, *_VALUES, *_CONSTANTS, *_ACTIONS}
