"""Studies of thousands of trials, written in seconds: plain lines of a log with the shape of a real
one, values from a formula.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ictsweep.records import LOG_VERSION
from ictsweep.study.spec import spec_from_dict
from ictsweep.study.store import StudyFolder
from tests.report.fixture import PASSPORT, START, drawn, painted, space, spectrum_of

ENDS = (160, 320, 320, 640)  # where trials end, in turn: 10, 20, 20 and 40 points, 22.5 on average
EVERY = 16


def write_many(path: Path, trials: int, *, pictures: int = 0, parameters: int = 10) -> StudyFolder:
    """A finished study of `trials` trials; `pictures` of them have a sheet of samples."""
    search = {f"network.p{i}": {"range": [0.0, 1.0]} for i in range(parameters - 2)}
    search["optimizer.lr"] = {"range": [1e-5, 1e-2], "log": True}
    search["network.kind"] = {"choices": ["a", "b", "c"]}
    base = space()
    spec = spec_from_dict(
        space(
            trials=trials, replicates=1, search=search,
            trial={**base["trial"], "budget_kimg": 640,
                   "evaluate": {"every_kimg": EVERY, "images": 1000, "steps": [1, 2]}},
            stopping={"first_rung_kimg": 160, "reduction": 2, "fidelity": "same_run"},
        )
    )  # fmt: skip
    folder = StudyFolder.create(path, spec)
    with (path / "events.jsonl").open("w") as log:
        for event in _events(spec, trials):
            log.write(json.dumps(event, separators=(",", ":")) + "\n")
    _paint(folder, pictures)
    return folder


def _events(spec: Any, trials: int) -> Iterator[dict[str, Any]]:
    rng = random.Random(0)
    clock = START
    data: dict[str, Any] = {"version": LOG_VERSION, "slots": 8, "host": "node"}
    yield {"kind": "study", "time": clock, "trial": None, "data": data}
    for number in range(trials):
        params = {axis.path: drawn(axis, rng) for axis in spec.search}
        end = 640 if number == 0 else ENDS[number % 4]
        for kind, data in _life(rng, number, params, end):
            clock += 0.4
            yield {"kind": kind, "time": clock, "trial": number, "data": data}


def _life(
    rng: random.Random, number: int, params: dict[str, Any], end: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "ask", {"params": params, "seed": number, "replicate_of": None}
    yield "launch", {"attempt": 0}
    truth = 10 + 20 * (params["network.p0"] - 0.3) ** 2 + 5 * params["network.p1"]
    for kimg in range(EVERY, end + 1, EVERY):
        value = (truth + 2000 / kimg) * rng.lognormvariate(0, 0.03)
        yield "measure", _measurement(number, kimg, value)
        if kimg in (160, 320, 640):
            yield "verdict", _verdict(kimg, value, number, end)


def _measurement(number: int, kimg: int, value: float) -> dict[str, Any]:
    return {
        "run_kimg": 640, "kimg": kimg, "values": {"fd": value, "fd_2step": 0.8 * value},
        "errors": {"fd": 0.02 * value, "fd_2step": 0.015 * value},
        "passports": {"fd": PASSPORT, "fd_2step": {**PASSPORT, "steps": 2}},
        "levels": 10 * 2 ** min(7, 8 * kimg // 640) + 1, "loss": 0.02, "grad_norm": 0.4,
        "train_s": 0.18 * kimg, "evaluate_s": 1.1, "samples": f"samples/{kimg:06d}.png",
        "spectrum": spectrum_of(number),
    }  # fmt: skip


def _verdict(kimg: int, value: float, number: int, end: int) -> dict[str, Any]:
    action = "continue" if kimg < end else "complete" if end == 640 else "stop"
    ranked = kimg < 640
    card = {
        "rung_kimg": kimg, "value": value, "error": 0.02 * value,
        "cutoff": value * 0.98 if ranked else None, "rank": number // 2 + 1 if ranked else None,
        "of": number + 1 if ranked else 0, "keep": max(1, number // 2) if ranked else 0,
        "reason": "trained to the full budget" if not ranked
        else "not among the best at this rung" if action == "stop" else "among the best",
    }  # fmt: skip
    return {"action": action, "card": card}


def _paint(folder: StudyFolder, pictures: int) -> None:
    from PIL import Image

    for number in range(pictures):
        end = 640 if number == 0 else ENDS[number % 4]
        path = folder.trial_dir(number) / "samples" / f"{end:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(painted(10.0 + number % 50)).save(path)
