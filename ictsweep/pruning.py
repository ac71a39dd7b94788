"""A configuration's block under another choice of its variants or preset."""

from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

from ictsweep.schema import Presets, default_of
from ictsweep.variants import inputs, variants


def pruned(hint: Any, given: Any, presets: Presets, base: Any = MISSING) -> Any:
    """`given` without the keys, and names, that the variants it chooses do not have.

    A block is written for one choice of its parts. Where a search chooses others, what these have
    no place for does not apply to them. `base` is what the block overrides, as in `schema.read`.
    """
    if not isinstance(given, Mapping) or not variants(hint):
        return given
    preset = given.get("preset")
    table = presets.get(hint, {})
    base = table.get(preset, base) if isinstance(preset, str) else base
    known, name = variants(hint), given.get("name")
    own = next(iter(known.values())) if base is MISSING else type(base)
    several = len(known) > 1
    cls = known.get(name, own) if several and isinstance(name, str) else own
    foreign = {"name"} if several and name is not None and known.get(str(name)) is None else set()
    inner = {
        field.name: (
            hint,
            default_of(field) if type(base) is not cls else getattr(base, field.name),
        )
        for field, hint in inputs(cls)
    }
    kept = {key: value for key, value in given.items() if key in inner and key not in foreign}
    first = {"preset": preset} if table and "preset" in given else {}
    return first | {
        key: pruned(inner[key][0], v, presets, inner[key][1]) for key, v in kept.items()
    }
