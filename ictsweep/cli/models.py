"""The commands over one model: training it, and what comes after."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ictsweep.answers import Outcome
from ictsweep.cli.options import (
    STORAGE,
    Checkpoint,
    Data,
    Features,
    Metrics,
    MicroBatch,
    Mode,
    Recompute,
    Run,
    Space,
    Storage,
    Study,
    Weights,
)
from ictsweep.cli.spaces import folder_of, measured_by, read
from ictsweep.errors import UserError

if TYPE_CHECKING:
    from ictsweep.scoring.evaluate import Result
    from ictsweep.scoring.judge import Judge

_INTERRUPTED = 130  # as after a Ctrl-C: what was begun is not finished


def train(
    space: Space,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the trial block."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path(".ictsweep/runs/trial"),
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
    micro_batch: MicroBatch = None,
    recompute: Recompute = False,
) -> None:
    """Train the trial block once, at full budget, without Ray (also under torchrun)."""
    from ictsweep.study.rehearsal import rehearse
    from ictsweep.study.space import overridden
    from ictsweep.training import train_once

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    spec, _ = read(space)
    config = overridden(spec, set_ or [])
    if problems := rehearse(config):
        raise UserError("\n".join(f"--set: {problem}" for problem in problems))
    try:
        outcome = train_once(
            config, out=out, cache=out / ".cache", seed=seed,
            micro_batch=micro_batch, recompute=recompute,
        )  # fmt: skip
    except KeyboardInterrupt:
        kept = any((out / "checkpoints").glob("*/meta.json"))
        rest = "continues it from its last checkpoint" if kept else "begins anew: none was kept yet"
        typer.echo(f"interrupted; the same command {rest}", err=True)
        raise
    if outcome is Outcome.LEFT:
        raise typer.Exit(_INTERRUPTED)


def evaluate(
    checkpoint: Checkpoint,
    images: Annotated[int, typer.Option(min=32, help="Samples per draw.")] = 50_000,
    draws: Annotated[int, typer.Option(min=1, help="Independent draws of the latents.")] = 3,
    features: Features = None,
    weights: Weights = None,
    mode: Mode = None,
    metrics: Metrics = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="OTHER", help="A checkpoint to subtract, on the same latents."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the latents.")] = 0,
    data: Data = None,
) -> None:
    """Score a trained model over several draws of its samples; a killed one goes on."""
    from ictsweep.cli.tables import difference_table, result_table
    from ictsweep.scoring.evaluate import below_dimension, check_comparable, compare
    from ictsweep.scoring.judge import Judge, Wanted, cache_of
    from ictsweep.scoring.subject import Subject

    chosen = measured_by(features, weights, mode)
    wanted = Wanted(images=images, features=chosen, metrics=_words(metrics), data=data)
    judge = Judge.of(Subject.of(checkpoint), wanted, seed)
    cache = cache_of(judge.subject.run)
    other = None if against is None else Judge.of(Subject.of(against), wanted, seed, cache)
    if other is not None:
        check_comparable(judge, other)
    result = _scored(judge, draws, "evaluate")
    typer.echo(result_table(result))
    if other is not None:
        others = _scored(other, draws, "the other")
        typer.echo(result_table(others))
        typer.echo(difference_table(compare(result, others), below_dimension(judge)))
    typer.echo(f"kept in {result.path}")


def sample(
    checkpoint: Checkpoint,
    to: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the samples.")],
    images: Annotated[int, typer.Option(min=1, help="How many.")] = 64,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Sampling steps (default: the fewest evaluated).")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="grid (one sheet), npz (for ADM's evaluator) or png.")
    ] = "grid",
    seed: Annotated[int, typer.Option(help="Seed of the latents: those of evaluations.")] = 0,
    labels: Annotated[
        str | None,
        typer.Option(metavar="0,1,...", help="Classes in turn (default: as in the data)."),
    ] = None,
) -> None:
    """Write samples of a trained model: a grid, an array or pictures that other tools can score."""
    from ictsweep.cli.bars import follow
    from ictsweep.scoring.formats import Grid, Npz, Png
    from ictsweep.scoring.samples import Wish, write_samples
    from ictsweep.scoring.subject import Subject

    forms = {form.name: form for form in (Grid(), Npz(), Png())}
    if format_ not in forms:
        raise UserError(f"--format: got {format_}; expected {', '.join(forms)}")
    wish = Wish(images=images, steps=steps, seed=seed, labels=_numbers(labels))
    follow(write_samples(Subject.of(checkpoint), wish, forms[format_], to), "sample")
    typer.echo(f"{to}: {images:,} samples")


def rescore(
    study: Study,
    features: Features = None,
    weights: Weights = None,
    mode: Mode = None,
    images: Annotated[int | None, typer.Option(min=32, help="Samples per trial.")] = None,
    metrics: Metrics = None,
    data: Data = None,
    storage: Storage = STORAGE,
) -> None:
    """Measure a study's kept checkpoints in another way, and rank its trials again."""
    from ictsweep.cli.bars import follow
    from ictsweep.cli.tables import ranking_table
    from ictsweep.scoring.judge import Wanted
    from ictsweep.scoring.rescore import Rescoring

    chosen = measured_by(features, weights, mode)
    wanted = Wanted(images=images, features=chosen, metrics=_words(metrics), data=data)
    folder = folder_of(study, storage)
    folder.bring("rescored")
    folder.bring_trials("checkpoints")
    rescoring = Rescoring.of(folder, wanted)
    follow(rescoring.judge(rescoring.records[0]).ready(), "reference")
    follow(rescoring.measure(), "rescore")
    folder.keep("rescored")
    typer.echo(ranking_table(rescoring.ranking()))


def ema(
    run: Run,
    sigma_rel: Annotated[float, typer.Option(help="Relative width of the average, 0 to 0.28.")],
    out: Annotated[Path, typer.Option(help="A new folder for the averaged weights.")],
) -> None:
    """Make an average of another width from a run's snapshots (post_hoc.snapshots)."""
    from ictsweep.training.reconstruct import write_average

    made = write_average(run, sigma_rel, out)
    typer.echo(
        f"{out}: width {sigma_rel:g} at {made.images / 1000:g} kimg, from {made.snapshots} "
        f"snapshots; its profile is {made.error:.2%} off the exact one"
    )


def level(
    run: Checkpoint,
    tries: Annotated[int, typer.Option(min=2, help="How many levels are tried.")] = 10,
    low: Annotated[float, typer.Option(help="The lowest level to try.")] = 0.2,
    high: Annotated[float, typer.Option(help="The highest level to try.")] = 10.0,
    images: Annotated[
        int | None, typer.Option(min=32, help="Samples per try (default: as evaluated).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the latents.")] = 0,
) -> None:
    """Search the best intermediate level of two-step sampling for a trained model."""
    from ictsweep.scoring.level import search_level

    search_level(run, tries=tries, low=low, high=high, images=images, seed=seed, say=typer.echo)


COMMANDS = (train, evaluate, sample, rescore, ema, level)


def _scored(judge: "Judge", draws: int, title: str) -> "Result":
    from ictsweep.cli.bars import follow
    from ictsweep.scoring.evaluate import evaluate as score
    from ictsweep.scoring.evaluate import is_scored, read_result

    follow(judge.ready(), "reference")
    if is_scored(judge, draws):
        typer.echo(f"{title}: all draws are on the disk; nothing is sampled", err=True)
        for _ in score(judge, draws):  # writes result.json anew
            pass
    else:
        follow(score(judge, draws), title)
    return read_result(judge, draws)


def _words(text: str | None) -> tuple[str, ...]:
    """ "fid,kid" as ("fid", "kid")."""
    return tuple(word.strip() for word in text.split(",")) if text else ()


def _numbers(text: str | None) -> tuple[int, ...]:
    """ "3,5" as (3, 5)."""
    try:
        return tuple(int(word) for word in text.split(",")) if text else ()
    except ValueError:
        raise UserError(f"--labels: got {text}; expected numbers with commas, as 0,1,2") from None
