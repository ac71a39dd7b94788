"""Damaged and malicious files of weights: each is refused, soon and in little memory."""

import pickle
import pickletools
import random
import struct
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from ictsweep.networks import Pretrained, PretrainedError, edm_weights
from ictsweep.networks.pretrained import _known
from tests.networks import edm_file
from tests.networks.edm_file import Calls, Stored, model, module, refusal, snapshot, write


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    edm_file.importable(monkeypatch)


def storage(count: int) -> Any:
    """`count` zeros, as torch pickles what tensors are views of."""
    numbers = torch.zeros(count).untyped_storage()
    return torch.storage.TypedStorage(wrap_storage=numbers, dtype=torch.float32, _internal=True)


CLAIMS = {
    "a text": b"\x80\x04X" + struct.pack("<I", 2**32 - 1) + b"ab.",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"ab.",
    "a whole number": b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"ab.",
    "a place in the memo": b"\x80\x04Nr" + struct.pack("<I", 2**32 - 1) + b".",
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_of_gigabytes_are_not_believed(tmp_path, claim):
    (tmp_path / "n.pkl").write_bytes(CLAIMS[claim])
    with pytest.raises(PretrainedError):
        edm_weights(tmp_path / "n.pkl")


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((2**40,), (1,), 0),
        ((2**40,), (0,), 0),
        ((4, 4), (4, 2), 0),
        ((4,), (1,), 13),
        ((4,), (-1,), 8),
        ((2**39, 2**39, 0), (0, 0, 0), 0),
        ((1,), (2**70,), 0),
        ((1,) * 9, (1,) * 9, 0),
    ],
)
def test_a_tensor_that_leaves_its_storage_is_refused(tmp_path, size, stride, offset):
    whole = snapshot(model("SongUNet"))
    call = Calls(torch._utils._rebuild_tensor_v2, storage(16), offset, size, stride, False, {})
    whole["ema"].state["_parameters"]["w"] = call
    assert "a tensor" in refusal(tmp_path, whole)


def test_a_storage_that_claims_more_than_it_has_is_refused(tmp_path):
    whole = write(tmp_path / "n.pkl", snapshot(model("SongUNet"))).read_bytes()
    claim = struct.pack("<q", 36)  # the numbers of the first convolution, [4, 1, 3, 3]
    assert claim in whole
    (tmp_path / "n.pkl").write_bytes(whole.replace(claim, struct.pack("<q", 2**50)))
    with pytest.raises(PretrainedError, match="length they claim"):
        edm_weights(tmp_path / "n.pkl")


PLACE = "here it is"  # a text in the place of which something else is written


def nested(tmp_path, value) -> str:
    """How `value` is refused with an endlessly nested tuple where it has PLACE."""
    whole, place = pickle.dumps(value), pickle.dumps(PLACE)[11:-2]
    assert whole.count(place) == 1
    (tmp_path / "n.pkl").write_bytes(whole.replace(place, b")" + b"\x85" * 20_000))
    with pytest.raises(PretrainedError) as caught:
        edm_weights(tmp_path / "n.pkl")
    return str(caught.value)


def test_an_endlessly_nested_key_is_refused(tmp_path):
    (tmp_path / "n.pkl").write_bytes(b"\x80\x02})" + b"\x85" * 400_000 + b"Ns.")
    with pytest.raises(PretrainedError, match="a tuple stands where a key belongs"):
        edm_weights(tmp_path / "n.pkl")


@pytest.mark.parametrize("argument", ["embedding_type", "channel_mult_emb", "dropout", "gate"])
def test_an_endlessly_nested_argument_is_refused(tmp_path, argument):
    inside = model("SongUNet")
    inside.state["_init_kwargs"][argument] = [PLACE]
    assert f"argument {argument}" in nested(tmp_path, snapshot(inside))


def test_endlessly_nested_values_are_refused_elsewhere(tmp_path):
    whole = snapshot(model("SongUNet"), sigma_data=[PLACE])
    assert "sigma_data is [a tuple]" in nested(tmp_path, whole)
    kind = Calls(np.dtype, [PLACE])
    number = Calls(np._core.multiarray.scalar, kind, b"")
    assert "a number of numpy's kind [a tuple]" in nested(tmp_path, number)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("model_channels", 2**62),
        ("channel_mult", [10**30, 1]),
        ("label_dim", 2**63),
        ("resample_filter", [10**400, 10**400]),
        ("attn_resolutions", [1] * 65),
        ("dropout", 10**400),
    ],
)
def test_arguments_that_no_network_has_are_refused(tmp_path, argument, value):
    inside = model("SongUNet")
    inside.state["_init_kwargs"][argument] = value
    assert f"argument {argument} is" in refusal(tmp_path, snapshot(inside))


def test_a_product_that_no_network_has_is_refused(tmp_path):
    inside = model("SongUNet")
    inside.state["_init_kwargs"] |= {"model_channels": 2**16, "channel_mult": [1, 2]}
    assert "argument channel_mult is [1, 2]: too much" in refusal(tmp_path, snapshot(inside))
    whole = snapshot(model("SongUNet"), sigma_data=10**400)
    assert "sigma_data is" in refusal(tmp_path, whole)


def test_a_network_of_more_blocks_than_its_tensors_is_not_built(tmp_path):
    inside = model("SongUNet")
    inside.state["_init_kwargs"]["num_blocks"] = 10
    assert "10 blocks a level have more tensors than the" in refusal(tmp_path, snapshot(inside))


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"abc", "have another length"), (b"", "have another length"), ("12345678", "length")],
)
def test_a_number_of_another_length_is_refused(tmp_path, data, message):
    number = Calls(np._core.multiarray.scalar, np.dtype("f8"), data)
    assert message in refusal(tmp_path, number)


def test_tensors_that_stand_where_flags_belong_are_refused(tmp_path):
    two = torch.zeros(2)
    inside = model("SongUNet")
    inside.state["_init_kwargs"]["channel_mult_emb"] = two
    assert "channel_mult_emb is a Tensor; expected 4" in refusal(tmp_path, snapshot(inside))
    meta = {"type": "class", "version": two, "class_name": "Linear", "state": {}}
    made = Calls(Stored("Linear").__reduce__()[0], meta)
    assert "not stored as EDM stores its classes" in refusal(tmp_path, made)
    for hooks, metadata in [(two, None), ({}, two)]:
        arguments = (storage(2), 0, (2,), (1,), False, hooks, metadata)
        made = Calls(torch._utils._rebuild_tensor_v2, *arguments)
        assert "carries hooks or metadata" in refusal(tmp_path, made)
    made = Calls(torch._utils._rebuild_parameter, two, False, two)
    assert "carries hooks" in refusal(tmp_path, made)
    made = Calls(torch._utils._rebuild_tensor_v2, two, 0, (2,), (1,), False, {})
    assert "has no storage" in refusal(tmp_path, made)


def test_an_image_without_channels_is_refused(tmp_path):
    inside = model("DhariwalUNet")
    stem = inside.state["_modules"]["enc"]._modules["4x4_conv"].state["_parameters"]
    view = storage(576), 0, (64, 0, 3, 3), (9, 9, 3, 1), False, {}
    stem["weight"] = Calls(torch._utils._rebuild_tensor_v2, *view)
    assert "first convolution of N by N images" in refusal(tmp_path, snapshot(inside))


def repeated(tmp_path, start: bytes, again: bytes, times: int) -> str:
    """How the pickle of `start`, then many times `again`, is refused."""
    (tmp_path / "n.pkl").write_bytes(b"\x80\x04" + start + again * times + b".")
    with pytest.raises(PretrainedError) as caught:
        edm_weights(tmp_path / "n.pkl")
    return str(caught.value)


def test_the_same_data_again_and_again_are_refused(tmp_path):
    # 4 MB of a storage, of which 3000 calls in 15 kB would make 12 GB.
    data = storage(10**6).__reduce__()[1][0]
    name = b"ctorch.storage\n_load_from_bytes\nq\x00"
    start = name + b"B" + struct.pack("<I", len(data)) + data + b"q\x01\x85R"
    assert "more data than the file" in repeated(tmp_path, start, b"h\x00h\x01\x85R", 3000)


def test_copies_of_what_was_read_are_not_made(tmp_path):
    # A list of 10^5 numbers: each of 10^4 calls would go through all of them again.
    start = b"cbuiltins\nset\nq\x00](" + b"K\x01" * 10**5 + b"eq\x01"
    again = b"h\x00h\x01\x85R"
    before = time.process_time()
    assert "it holds no averaged network" in repeated(tmp_path, start, again, 10**4)
    assert time.process_time() - before < 2  # 6 s with the copies
    start = start.replace(b"builtins\nset", b"dnnlib.util\nEasyDict")
    assert "TypeError" in repeated(tmp_path, start, again, 1)


def test_tensors_that_are_views_of_the_same_numbers_are_refused(tmp_path):
    whole, shared = snapshot(model("SongUNet")), torch.zeros(10**5)
    views = whole["ema"].state["_modules"]["model"].state["_parameters"]
    views |= {f"w{i}": shared for i in range(50)}
    assert "more numbers than the file" in refusal(tmp_path, whole)


def test_a_table_that_many_modules_share_is_refused(tmp_path):
    table = {f"w{i}": None for i in range(1000)}
    modules = {f"m{i}": module("Linear") for i in range(50)}
    for each in modules.values():
        each.state["_parameters"] = table
    whole = snapshot(module("SongUNet", children=modules))
    assert "more modules and tensors than a network" in refusal(tmp_path, whole)


def test_modules_and_names_without_end_are_refused(tmp_path):
    inside = module("Linear")
    for _ in range(40):
        inside = module("Linear", children={"inside": inside})
    whole = snapshot(module("SongUNet", children={"inside": inside}))
    assert "or deeper ones" in refusal(tmp_path, whole)
    whole = snapshot(module("SongUNet", children={"m" * 10**5: module("Linear")}))
    assert "a name in _modules is endless" in refusal(tmp_path, whole)


NAMES = sorted(_known(0))
PIECES = [
    *(b"c" + b"\n".join(name.encode().rsplit(b".", 1)) + b"\n" for name in NAMES),
    *(
        b"cnumpy\ndtype\n\x8c\x02f8\x85R",
        b"\x8c\x03ema",
        b"C\x03abc",
        b"C\x08abcdefgh",
        b"K\x01",
        b"N",
        b"F1e999\n",
    ),
    *(b"\x8a\x08" + b"\x7f" * 8, b"p%d\n" % (2**61 - 1), b"ca\\q\nb\n", b"I01\n", b"h\x00"),
    *(b"q\x00", b"h\x01", b"q\x01", b")R", b"\x85R", b"\x86R", b"\x87R", b"}b", b"(", b"t"),
    *(b"}", b"]", b")", b"\x8f", b"s", b"u", b"e", b"a", b"\x90", b"\x85", b"\x86", b"\x87"),
]


def damaged(whole: bytes, places: list[Any], chance: random.Random) -> bytes:
    """`whole` with bytes changed, and other instructions than those that start at `places`."""
    data = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 5])):
        data[chance.randrange(len(data))] = chance.randrange(256)
        first = chance.randrange(len(places) - 2)
        start, end = places[first], places[first + chance.randrange(3)]
        data[start:end] = b"".join(chance.choices(PIECES, k=chance.randrange(3)))
    return bytes(data)


@pytest.mark.filterwarnings("error")
def test_any_file_is_read_or_refused(tmp_path):
    whole = pickle.dumps(snapshot(model("SongUNet")))
    places = [place for _, _, place in pickletools.genops(whole)]
    chance, path, outcomes = random.Random(0), tmp_path / "n.pkl", Counter()
    for i in range(400):
        program = b"".join(chance.choices(PIECES, k=chance.randrange(2, 40))) + b"."
        path.write_bytes(program if i % 2 else damaged(whole, places, chance))
        try:
            outcomes[type(edm_weights(path))] += 1
        except PretrainedError:
            outcomes[PretrainedError] += 1
    assert outcomes[Pretrained] > 5
    assert outcomes[PretrainedError] > 300
