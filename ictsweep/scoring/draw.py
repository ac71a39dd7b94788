"""One draw: the samples of one latent seed, scored, with their features kept until they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ictsweep.evaluation import Estimate, Route, Steps, frechet_infinity, metric_key
from ictsweep.evaluation.infinity import samples_needed
from ictsweep.progress import Progress
from ictsweep.scoring.judge import Judge
from ictsweep.scoring.work import alone, load_tensors, read_json, save_tensors, write_json
from ictsweep.training.precision import tf32

# Samples between two points from which a killed evaluation goes on; whole batches.
CHUNK = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class Draw:
    """A scored draw of the latents of `seed`: by metric key, the estimates and their passports;
    `infinity` the Fréchet distances of infinitely many samples.
    """

    seed: int
    estimates: Mapping[str, Estimate]
    infinity: Mapping[str, Estimate]
    passports: Mapping[str, Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """The numbers in JSON types, influences apart."""
        return {
            "seed": self.seed,
            "values": {key: e.value for key, e in self.estimates.items()},
            "errors": {key: e.error for key, e in self.estimates.items()},
            "infinity": {k: {"value": e.value, "error": e.error} for k, e in self.infinity.items()},
            "passports": {key: dict(passport) for key, passport in self.passports.items()},
        }


def score_draw(judge: Judge, folder: Path) -> Iterator[Progress]:
    """Sample and score the latents of the judge's seed; `read_draw` gives the result.

    Features lie in `folder` chunk by chunk until all are scored: a kill costs one chunk, and the
    same call goes on and gives the same number. Progress counts samples, over all ways of sampling.
    """
    total = judge.evaluator.config.images * len(judge.subject.routes())
    if read_draw(judge, folder) is None:
        with alone(folder):
            done = 0
            for steps in judge.subject.routes():
                for count in _sample(judge, steps, folder):
                    done += count
                    yield Progress(done, total, "images")
            _conclude(judge, folder)
    yield Progress(total, total, "images")


def read_draw(judge: Judge, folder: Path) -> Draw | None:
    """The scored draw in `folder`; None if it is not complete, or another's."""
    facts, influences = read_json(folder / "draw.json"), load_tensors(folder / "influence.pt")
    if facts is None or influences is None or facts.get("facts") != _facts(judge):
        return None
    return Draw(
        seed=facts["seed"],
        estimates={
            key: Estimate(value, facts["errors"][key], influences.get(key))
            for key, value in facts["values"].items()
        },
        infinity={k: Estimate(e["value"], e["error"]) for k, e in facts["infinity"].items()},
        passports=facts["passports"],
    )


def passports(judge: Judge) -> dict[str, dict[str, Any]]:
    """By metric key, what the judge's numbers depend on."""
    evaluator = judge.evaluator
    return {
        metric_key(metric, steps): evaluator.passport(metric, route)
        for steps, route in judge.subject.routes().items()
        for metric in evaluator.config.measured
    }


def _facts(judge: Judge) -> dict[str, Any]:
    """What the numbers depend on, the model included."""
    return {"weights": judge.subject.digest, "passports": passports(judge)}


def _sample(judge: Judge, steps: Steps, folder: Path) -> Iterator[int]:
    """Keep the features of every chunk; yields how many samples became safe."""
    sampler, route = judge.subject.samplers()[steps], judge.subject.routes()[steps]
    for share in _chunks(judge.evaluator.config.images):
        path = _path(folder, steps, share.start)
        if load_tensors(path) is None:
            with tf32(False):
                features = judge.evaluator.features(sampler, route, share)
            save_tensors(path, {"features": features})
        yield len(share)


def _conclude(judge: Judge, folder: Path) -> None:
    """Score all features, write the result, then let the features go."""
    found: dict[str, Estimate] = {}
    infinity: dict[str, Estimate] = {}
    for steps, route in judge.subject.routes().items():
        scored, limit = _score(judge, _features(judge, steps, folder), route)
        found |= {metric_key(metric, steps): e for metric, e in scored.items()}
        infinity |= {metric_key(metric, steps): e for metric, e in limit.items()}
    draw = Draw(
        seed=judge.evaluator.seed, estimates=found, infinity=infinity, passports=passports(judge)
    )
    influences = {k: e.influence for k, e in found.items() if e.influence is not None}
    save_tensors(folder / "influence.pt", influences)
    write_json(folder / "draw.json", {**draw.to_dict(), "facts": _facts(judge)})
    for path in folder.glob("features-*.pt"):
        path.unlink()


def _score(
    judge: Judge, features: Tensor, route: Route
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """The estimates, and the Fréchet distance of infinitely many samples where it is measured and
    there are enough samples to extrapolate from.
    """
    evaluator = judge.evaluator
    scored = evaluator.score(features, route)
    frechet = evaluator.config.features.frechet
    if frechet not in scored or len(features) < samples_needed(evaluator.extractor.dims):
        return scored, {}
    return scored, {frechet: frechet_infinity(features, evaluator.reference.factor)}


def _features(judge: Judge, steps: Steps, folder: Path) -> Tensor:
    parts = [load_tensors(_path(folder, steps, c.start)) for c in _chunks(_count(judge))]
    return torch.cat([part["features"] for part in parts if part is not None])


def _count(judge: Judge) -> int:
    return judge.evaluator.config.images


def _chunks(images: int) -> list[range]:
    return [range(first, min(first + CHUNK, images)) for first in range(0, images, CHUNK)]


def _path(folder: Path, steps: Steps, first: int) -> Path:
    return folder / f"features-{steps}-{first:08d}.pt"
