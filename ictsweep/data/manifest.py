"""What a folder of prepared pictures holds: its manifest, written last, found again by its name."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ictsweep.data.sources import Skipped
from ictsweep.errors import UserError
from ictsweep.files import write_atomic

__all__ = ["MANIFEST", "MANIFEST_VERSION", "Manifest", "read_manifest", "write_manifest"]

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Manifest:
    """What prepared pictures are and how they came about.

    `count` pictures of `shape` (c, h, w); `labelled` says whether labels lie beside them, `classes`
    what they are called, where known; `digest` is `digest_of` the pictures and labels; `source`,
    `resize` and `fingerprint` are those of the plan they were read by; `converted` counts pictures
    stored in another mode than they had, by that mode; `skipped` names what was left out;
    `created_by` is the version that wrote them, `version` that of this form.
    """

    version: int
    name: str
    kind: str
    count: int
    shape: tuple[int, int, int]
    labelled: bool
    classes: tuple[str, ...] | None
    digest: str
    fingerprint: str
    source: Mapping[str, Any]
    resize: str
    converted: Mapping[str, int]
    skipped: tuple[Skipped, ...]
    created_by: str


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it into `folder`, whole or not at all."""
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
    # A file system's names may be no text: they stay readable, but need not be exact here.
    write_atomic(folder / MANIFEST, text.encode(errors="replace") + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a prepared folder; UserError when there is none that this version reads."""
    path = folder / MANIFEST
    try:
        return _manifest(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: no prepared pictures here (no {MANIFEST})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(
            f"{path}: not a manifest that this version reads ({error}); "
            f"delete {folder} and prepare the pictures again"
        ) from None


def _manifest(value: Any) -> Manifest:
    """ValueError, TypeError or KeyError for what is no manifest of this version."""
    if not isinstance(value, dict) or value.get("version") != MANIFEST_VERSION:
        raise ValueError(f"version {MANIFEST_VERSION} is expected")
    found = {field.name: value[field.name] for field in fields(Manifest)}
    found["shape"] = _sizes(found["shape"], 3)
    found["count"] = _sizes([found["count"]], 1)[0]
    if found["classes"] is not None:
        found["classes"] = tuple(map(str, found["classes"]))
    found["skipped"] = tuple(Skipped(**item) for item in found["skipped"])
    texts = ("name", "kind", "digest", "fingerprint", "resize", "created_by")
    if not all(isinstance(found[key], str) for key in texts):
        raise ValueError(f"{', '.join(texts)} must be texts")
    return Manifest(**found)


def _sizes(values: Any, count: int) -> tuple[int, ...]:
    if (
        not isinstance(values, list)
        or len(values) != count
        or not all(type(value) is int and value > 0 for value in values)
    ):
        raise ValueError(f"{values!r} is not {count} positive numbers")
    return tuple(values)
