"""Which values may be ranked together: those whose passports agree."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ictsweep.records import TrialRecord

Passport = Mapping[str, Any]

# The mark of a value of no more samples than features (evaluation.passport's; torch stays outside).
BELOW = "below dimension"

# What a passport says of the model rather than of the instrument: it may differ where the study
# searches that very thing.
_SEARCHABLE = {
    "ema": ("ema.",),
    "labels": ("network.",),
    "levels": ("evaluate.mid_sigma", "method.preset", "method.pairs."),
}


@dataclass(frozen=True)
class Survey:
    """The passports of a study: by metric the one that most values carry (the first seen among
    equals), and by trial what keeps its values from being ranked with the others: "images 2000
    where the study has 1000".
    """

    study: Mapping[str, Passport]
    unlike: Mapping[int, str]


def survey(records: Iterable[TrialRecord], searched: Collection[str], minimize: str) -> Survey:
    """What the records carry. Values of `minimize` that are marked `BELOW` are ranked with none."""
    named: dict[tuple[str, str], Passport] = {}  # thousands of values, a few passports
    counts: Counter[tuple[str, str]] = Counter()
    carried: dict[int, set[tuple[str, str]]] = {}
    for record in records:
        mine = carried[record.number] = set()
        for key, passport in _passports(record):
            place = key, repr(passport)
            named.setdefault(place, passport)
            counts[place] += 1
            mine.add(place)
    study = {key: _common(key, named, counts) for key in {key for key, _ in named}}
    wrong = {
        place: [
            *differences(passport, study[place[0]], searched),
            *_marked(passport, place[0] == minimize),
        ]
        for place, passport in named.items()
    }
    texts = {n: {text for place in mine for text in wrong[place]} for n, mine in carried.items()}
    return Survey(study, {n: "; ".join(sorted(found)) for n, found in texts.items() if found})


def _common(
    key: str, named: Mapping[tuple[str, str], Passport], counts: Counter[tuple[str, str]]
) -> Passport:
    """The passport that most values of a metric carry; the order of its entries means nothing."""
    same: Counter[str] = Counter()
    for place, passport in named.items():
        if place[0] == key:
            same[_sorted(passport)] += counts[place]
    mine = [passport for place, passport in named.items() if place[0] == key]
    return max(mine, key=lambda passport: same[_sorted(passport)])


def _sorted(passport: Passport) -> str:
    return json.dumps(passport, sort_keys=True)


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


def _marked(passport: Passport, ranks: bool) -> list[str]:
    if not ranks or BELOW not in passport:
        return []
    return [f"{BELOW}: no more samples than features, comparable with no other"]


def _passports(record: TrialRecord) -> Iterator[tuple[str, Passport]]:
    return (pair for m in record.measurements for pair in m.passports.items())


def _text(passport: Passport, key: str) -> str:
    return str(passport[key]) if key in passport else "not given"
