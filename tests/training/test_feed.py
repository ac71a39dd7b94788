"""The batches of a run: randomness belongs to the image, references to the step, and what one
method draws does not move another's."""

from dataclasses import replace

import pytest
import torch

from ictsweep.config import TrialConfig
from ictsweep.consistency import Batch, PosteriorMean
from ictsweep.data import Loader, load, to_model
from ictsweep.seeds import derive_seed
from ictsweep.training.feed import Feed
from tests.training.small import config, method

SEEN = 2000


def feed(what: TrialConfig, seed: int = 5, mask_size: int = 100) -> Feed:
    cpu = torch.device("cpu")
    return Feed(config=what, images=load(what.data), seed=seed, mask_size=mask_size, device=cpu)


def rows(batch: Batch) -> dict[str, torch.Tensor]:
    fields = ("x0", "noise", "t", "r", "mask", "labels", "augment", "generated")
    return {f: getattr(batch, f) for f in fields if getattr(batch, f) is not None}


def labelled(**network) -> TrialConfig:
    fields = {"preset": "tiny", "channels": 4, "classes": 10, **network}
    return method("gaf", network=fields)


def augmented(name: str = "gaf", share: float = 0.3, flip: bool = False) -> TrialConfig:
    return method(
        name,
        data={"name": "digits", "augment": share, "flip": flip},
        network={"preset": "tiny", "channels": 4, "augment": True},
    )


@pytest.mark.parametrize(
    "what", [method("ict"), method("gaf"), labelled(label_dropout=0.5), augmented(flip=True)]
)
def test_draws_belong_to_the_image_not_to_the_batch(what: TrialConfig) -> None:
    """Taken together or in two parts, image by image the same bits; another step draws others."""
    whole = rows(feed(what).batch(SEEN, 0, 100))
    parts = [rows(feed(what).batch(SEEN, *part)) for part in ((0, 25), (25, 75))]
    for name, value in whole.items():
        assert torch.equal(value, torch.cat([part[name] for part in parts]))
    other = rows(feed(what).batch(SEEN + 200, 0, 100))
    assert not torch.equal(whole["noise"], other["noise"])
    assert not torch.equal(whole["mask"], other["mask"])
    assert not torch.equal(whole["noise"], rows(feed(what, seed=6).batch(SEEN, 0, 100))["noise"])


def test_what_only_some_methods_draw_moves_no_other_number() -> None:
    """iCT's levels, noise and masks are those of GAF, with labels hidden or not."""
    plain = rows(feed(method("ict")).batch(SEEN, 0, 200))
    assert set(plain) == {"x0", "noise", "t", "r", "mask"}
    for what in (method("gaf"), labelled(), labelled(label_dropout=0.3)):
        drawn = rows(feed(what).batch(SEEN, 0, 200))
        assert all(torch.equal(drawn[name], plain[name]) for name in plain)
    kept, hidden = (feed(labelled(label_dropout=p)).batch(SEEN, 0, 200) for p in (0.0, 0.3))
    assert torch.equal(rows(kept)["generated"], rows(hidden)["generated"])


def test_generated_endpoints_hide_no_other_labels() -> None:
    """At share 0 GAF is iCT, labels included."""
    network = {"preset": "tiny", "channels": 4, "classes": 10, "label_dropout": 0.5}
    never = config(method={"preset": "gaf", "endpoint": {"share": 0.0}}, network=network)
    plain, drawn = (
        feed(what).batch(SEEN, 0, 200) for what in (method("ict", network=network), never)
    )
    assert torch.equal(rows(plain)["labels"], rows(drawn)["labels"])


def test_the_share_of_generated_endpoints() -> None:
    """40 batches of 200 at share 0.3: 2400 generated, give or take 3 standard deviations of 41."""
    what = method("gaf_ect")
    made = sum(int(rows(feed(what).batch(s, 0, 200))["generated"].sum()) for s in _steps())
    assert abs(made - 2400) < 123


def test_labels_are_those_of_the_images_and_some_are_hidden() -> None:
    shown = feed(labelled()).batch(SEEN, 0, 200).labels
    assert shown is not None
    pictures = Loader(images=load(config().data), seed=5)
    expected = pictures.labels(SEEN, 200)
    assert expected is not None
    assert torch.equal(shown, expected)
    hidden = torch.cat(
        [rows(feed(labelled(label_dropout=0.25)).batch(s, 0, 200))["labels"] for s in _steps()]
    )
    known = torch.cat([rows(feed(labelled()).batch(s, 0, 200))["labels"] for s in _steps()])
    assert torch.equal(hidden[hidden >= 0], known[hidden >= 0])
    assert abs(int((hidden < 0).sum()) - 2000) < 3 * 39  # of 8000, at 0.25


def test_half_of_the_images_are_mirrored_where_the_data_wants_it() -> None:
    """On the device, at the places that the stream says; references likewise."""
    plain, flipped = (
        method("sct", data={"name": "digits", "flip": flip}) for flip in (False, True)
    )
    images, mirrored = (feed(what).batch(SEEN, 50, 100) for what in (plain, flipped))
    stream = Loader(images=load(plain.data), seed=5)
    sides = stream.mirrored(SEEN + 50, 100)[:, None, None, None]
    assert 25 < int(sides.sum()) < 75
    assert torch.equal(mirrored.x0, torch.where(sides, images.x0.flip(-1), images.x0))
    assert images.references is not None
    assert mirrored.references is not None
    others = Loader(images=load(plain.data), seed=derive_seed(5, "references"))
    sides = others.mirrored(SEEN // 200 * 63, 63)[:, None, None, None]
    expected = torch.where(sides, images.references.images.flip(-1), images.references.images)
    assert torch.equal(mirrored.references.images, expected)


def test_augmented_images_and_what_the_network_is_told_of_them() -> None:
    """Told 0 where the image is the data's own, and nothing else is drawn otherwise."""
    plain, changed = (rows(feed(w).batch(SEEN, 0, 200)) for w in (method("gaf"), augmented()))
    told = changed["augment"]
    assert told.shape == (200, 9)
    same = (changed["x0"] == plain["x0"]).flatten(1).all(1)
    assert torch.equal(same, ~told.any(1))
    assert 20 < int(same.sum()) < 120  # 0.7^4 * 0.85 of 200 are 41
    assert not told[:, 0].any()
    for name in ("noise", "t", "r", "mask", "generated"):
        assert torch.equal(changed[name], plain[name])
    later = rows(feed(augmented()).batch(SEEN + 200, 0, 200))
    assert not torch.equal(later["augment"], told)


def test_the_mirroring_of_augmented_images_is_told() -> None:
    """A share too small to choose anything leaves only that."""
    batch = feed(augmented(share=1e-12, flip=True)).batch(SEEN, 0, 200)
    plain = feed(method("gaf")).batch(SEEN, 0, 200)
    told = batch.augment
    assert told is not None
    sides = told[:, :1, None, None] > 0
    assert 60 < int(sides.sum()) < 140
    assert not told[:, 1:].any()
    assert torch.equal(batch.x0, torch.where(sides, plain.x0.flip(-1), plain.x0))


def test_images_without_augmentation_tell_nothing() -> None:
    assert feed(method("ict")).batch(SEEN, 0, 50).augment is None


def test_a_network_without_classes_is_told_no_labels() -> None:
    assert feed(method("ict")).batch(SEEN, 0, 50).labels is None


def test_references_belong_to_the_step() -> None:
    """63 others per step, the next ones of their own shuffled stream; the same for every part."""
    what = method("sct")
    stream = Loader(images=load(what.data), seed=derive_seed(5, "references"))
    for seen in (0, SEEN):
        expected = to_model(stream.batch(seen // 200 * 63, 63))
        for part in ((0, 200), (25, 50)):
            references = feed(what).batch(seen, *part).references
            assert references is not None
            assert torch.equal(references.images, expected)
            assert references.labels is not None
            assert torch.equal(references.labels, stream.labels(seen // 200 * 63, 63))


def test_one_reference_is_the_image_itself() -> None:
    what = method("sct")
    alone = replace(what, method=replace(what.method, path=PosteriorMean(references=1)))
    assert feed(alone).batch(SEEN, 0, 50).references is None


def test_images_are_laid_out_for_convolutions() -> None:
    """The numbers do not depend on the layout; the speed does."""
    what = config(data={"name": "digits"})
    batch = feed(what).batch(SEEN, 0, 50)
    assert batch.x0.is_contiguous(memory_format=torch.channels_last)
    assert batch.noise.is_contiguous(memory_format=torch.channels_last)


def _steps() -> range:
    return range(0, 8000, 200)
