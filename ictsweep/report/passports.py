"""Which values may be ranked together: those whose passports agree."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ictsweep.records import TrialRecord

Passport = Mapping[str, Any]

# What a passport says of the model rather than of the instrument: it may differ where the study
# searches that very thing.
_SEARCHABLE = {
    "ema": ("ema.",),
    "labels": ("network.",),
    "levels": ("evaluate.mid_sigma", "method.preset", "method.pairs."),
}


def reference(records: Iterable[TrialRecord], key: str) -> Passport:
    """The passport that most values of metric `key` carry, the first seen among equals; empty if
    there is none.
    """
    passports = [p for record in records for k, p in _passports(record) if k == key]
    texts = [json.dumps(p, sort_keys=True) for p in passports]
    counts = Counter(texts)
    common = max(range(len(texts)), key=lambda i: counts[texts[i]], default=None)
    return {} if common is None else passports[common]


def unlike(records: Collection[TrialRecord], searched: Collection[str]) -> dict[int, str]:
    """By trial, what keeps its values from being ranked with the others: "images 2000 where the
    study has 1000".
    """
    keys = {key for record in records for key, _ in _passports(record)}
    study = {key: reference(records, key) for key in keys}
    found = {
        record.number: {
            text
            for key, passport in _passports(record)
            for text in differences(passport, study[key], searched)
        }
        for record in records
    }
    return {number: "; ".join(sorted(texts)) for number, texts in found.items() if texts}


def differences(passport: Passport, study: Passport, searched: Iterable[str]) -> list[str]:
    """One text per key in which a passport differs from the study's, searched properties of the
    model apart.
    """
    paths = tuple(searched)
    return [
        f"{key} {_text(passport, key)} where the study has {_text(study, key)}"
        for key in {**study, **passport}
        if passport.get(key) != study.get(key)
        and not any(path.startswith(_SEARCHABLE.get(key, ())) for path in paths)
    ]


def _passports(record: TrialRecord) -> Iterator[tuple[str, Passport]]:
    return (pair for m in record.measurements for pair in m.passports.items())


def _text(passport: Passport, key: str) -> str:
    return str(passport[key]) if key in passport else "not given"
