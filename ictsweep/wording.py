"""What is said of blocks and their variants: which there are, which has the key that was meant."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ictsweep.problems import KeyPath, did_you_mean, shown
from ictsweep.variants import inputs, keys, variant_name, variants


@dataclass(frozen=True)
class Block:
    """A block being read: its annotation, the variant it chose (None: no such), where it is, and
    the block around it.
    """

    hint: Any
    cls: Any
    path: KeyPath
    around: "Block | None" = None

    @property
    def key(self) -> str:
        """What the block is called."""
        return str(self.path[-1]) if self.path else "the block"

    @property
    def label(self) -> str:
        """What the block is called, and its variant where there are several."""
        several = self.cls is not None and len(variants(self.hint)) > 1
        return f"{self.key} {variant_name(self.cls)}" if several else self.key

    def keys(self) -> list[str]:
        """The keys that the block may have: those of any variant while its own is unknown."""
        known = variants(self.hint).values() if self.cls is None else [self.cls]
        return list(dict.fromkeys(key for cls in known for key in keys(cls)))

    def owner(self, holds: Callable[[Any], bool]) -> str:
        """Where the block around this one were another variant and `holds` then: both variants, as
        "pairs grid; pairs continuous". Empty if there is none.
        """
        around = self.around
        if around is None or around.cls is None:
            return ""
        others = [
            name
            for name, cls in variants(around.hint).items()
            if cls is not around.cls
            and any(field.name == self.key and holds(hint) for field, hint in inputs(cls))
        ]
        return f"{around.key} {', '.join(others)}; {around.label}" if others else ""


def block_form(hint: Any, *, presets: bool) -> str:
    """What is expected where a block is missing."""
    known = variants(hint)
    first = ["preset"] if presets else []
    if len(known) == 1:
        return f"a block of keys: {', '.join([*first, *keys(*known.values())]) or 'none'}"
    return f"a block with {' or '.join([*first, 'name'])}, which is one of {', '.join(known)}"


def no_block(given: Any, hint: Any, presets: Collection[str]) -> str:
    """Why `given` is no block: the name of a preset or variant alone is not enough."""
    known = {"preset": presets, "name": variants(hint) if len(variants(hint)) > 1 else ()}
    short = [key for key, names in known.items() if isinstance(given, str) and given in names]
    advice = f"; write {{{short[0]}: {given}}}" if short else ""
    return f"got {shown(given)}; expected {block_form(hint, presets=bool(presets))}{advice}"


def no_variant(name: Any, here: Block) -> str:
    """Why `name` chooses no variant of a block: a variant elsewhere has it, or none."""
    known = variants(here.hint)
    got, options = f"got {shown(name)}", ", ".join(known)
    if owner := here.owner(lambda hint: isinstance(name, str) and name in variants(hint)):
        return f"{got}; {name} belongs to {owner} takes {options}"
    return f"{got}; expected one of {options}{did_you_mean(name, known)}"


def unknown_key(key: str, allowed: list[str], given: Mapping[str, Any], here: Block) -> str:
    """Why a block cannot have `key`, when `allowed` are those it can have: another variant has it,
    or none.
    """
    having = [name for name, cls in variants(here.hint).items() if key in keys(cls)]
    takes = f"{here.label} takes {', '.join(allowed) if len(allowed) > 1 else 'no key but name'}"
    if having:
        fixed = "name" in given or "preset" in given
        advice = "" if fixed else f"; add name: {having[0]} to choose it"
        return f"unknown key; {key} belongs to {here.key} {', '.join(having)}; {takes}{advice}"
    if owner := here.owner(lambda hint: any(key in keys(cls) for cls in variants(hint).values())):
        return f"unknown key; {key} belongs to {owner}: its {takes}"
    return f"unknown key; allowed: {', '.join(allowed)}{did_you_mean(key, allowed)}"
