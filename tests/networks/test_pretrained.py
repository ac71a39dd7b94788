"""Published weights: read as data, refused by name where anything is not as it should be."""

import dataclasses
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from ictsweep.networks import ADMConfig, PretrainedError, UNetConfig, build, edm_weights
from tests.networks import edm_file
from tests.networks.edm_file import Calls, model, refusal, snapshot, tensor, write

SONG = UNetConfig(
    channels=4,
    channel_mult=(1, 2),
    blocks=1,
    attention=(2,),
    fourier_scale=16.0,
    dropout=0.13,
    classes=3,
)
ADM = ADMConfig(
    channels=64,
    channel_mult=(1, 2),
    blocks=1,
    attention=(2,),
    level="scale_shift",
    dropout=0.1,  # EDM's default
    dropout_below=None,
    classes=3,
)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    edm_file.importable(monkeypatch)


@pytest.mark.parametrize(("kind", "config"), [("SongUNet", SONG), ("DhariwalUNet", ADM)])
def test_a_snapshot_becomes_our_network(tmp_path, kind, config):
    found = edm_weights(write(tmp_path / "n.pkl", snapshot(model(kind))))
    assert found.config == config
    assert found.image_shape == edm_file.SHAPE
    assert found.sigma_data == 0.5
    network = build(found.config, found.image_shape)
    network.load_state_dict(found.weights)
    labels = torch.tensor([1, -1])
    out = network.eval()(torch.randn(2, 1, 4, 4), torch.zeros(2), None, labels)
    assert out.isfinite().all()


SHARED = {
    "map_layer0.weight": "condition.inner.weight",
    "map_layer1.bias": "condition.outer.bias",
    "map_label.weight": "condition.label.weight",
    "enc.4x4_conv.weight": "stem.weight",
    "enc.4x4_block0.norm0.weight": "encoder.0.blocks.0.norm_in.weight",
    "enc.4x4_block0.conv0.weight": "encoder.0.blocks.0.conv_in.weight",
    "enc.2x2_down.affine.weight": "encoder.1.down.level.weight",
    "enc.2x2_down.conv1.bias": "encoder.1.down.conv_out.bias",
    "enc.2x2_block0.norm1.bias": "encoder.1.blocks.0.norm_out.bias",
    "enc.2x2_block0.skip.weight": "encoder.1.blocks.0.skip.weight",
    "enc.2x2_block0.norm2.weight": "encoder.1.blocks.0.attention.norm.weight",
    "enc.2x2_block0.proj.weight": "encoder.1.blocks.0.attention.out.weight",
    "dec.2x2_in0.conv0.weight": "decoder.0.entry.0.conv_in.weight",
    "dec.2x2_in1.conv0.weight": "decoder.0.entry.1.conv_in.weight",
    "dec.2x2_block0.conv0.weight": "decoder.0.blocks.0.conv_in.weight",
    "dec.2x2_block1.conv0.weight": "decoder.0.blocks.1.conv_in.weight",
    "dec.4x4_up.conv0.weight": "decoder.1.entry.0.conv_in.weight",
    "dec.4x4_block1.conv0.weight": "decoder.1.blocks.1.conv_in.weight",
}


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (
            "SongUNet",
            {
                "dec.4x4_aux_norm.weight": "decoder.1.head.0.weight",
                "dec.4x4_aux_conv.weight": "decoder.1.head.2.weight",
                "dec.4x4_up.skip.weight": "decoder.1.entry.0.skip.weight",
                "map_label.bias": "condition.label.bias",
            },
        ),
        (
            "DhariwalUNet",
            {
                "out_norm.weight": "decoder.1.head.0.weight",
                "out_conv.weight": "decoder.1.head.2.weight",
                "dec.2x2_block0.proj.weight": "decoder.0.blocks.0.attention.out.weight",
            },
        ),
    ],
)
def test_weights_find_their_places(tmp_path, kind, own):
    inside = model(kind)
    weights = edm_weights(write(tmp_path / "n.pkl", snapshot(inside))).weights
    for theirs, ours in {**SHARED, **own}.items():
        assert torch.equal(weights[ours], tensor(inside, theirs)), theirs


def test_what_it_learnt_of_augmentation_is_kept_where_it_is_wanted(tmp_path):
    inside = model("SongUNet")
    path = write(tmp_path / "n.pkl", snapshot(inside))
    key = "condition.augment.weight"
    assert key not in edm_weights(path).weights
    kept = edm_weights(path, augment=True)
    assert kept.config == dataclasses.replace(SONG, augment=True)
    assert torch.equal(kept.weights[key], tensor(inside, "map_augment.weight"))
    build(kept.config, kept.image_shape).load_state_dict(kept.weights)
    other = write(tmp_path / "m.pkl", snapshot(model("DhariwalUNet")))
    with pytest.raises(PretrainedError, match="trained without augmentation labels: leave network"):
        edm_weights(other, augment=True)


def test_queries_keys_and_values_are_told_apart(tmp_path):
    # Two heads of 64 features: EDM's row 64 h 3 + 3 c + j is ours 128 j + 64 h + c.
    inside = model("DhariwalUNet")
    theirs = tensor(inside, "dec.2x2_in0.qkv.weight")
    found = edm_weights(write(tmp_path / "n.pkl", snapshot(inside)))
    ours = found.weights["decoder.0.entry.0.attention.qkv.weight"]
    for j, h, c in [(0, 0, 0), (1, 0, 5), (2, 1, 63), (0, 1, 7)]:
        assert torch.equal(ours[128 * j + 64 * h + c], theirs[192 * h + 3 * c + j])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16])
def test_weights_of_any_precision_become_float32(tmp_path, dtype):
    inside = model("SongUNet")
    conv = tensor(inside, "enc.4x4_conv.weight")
    conv.data = conv.data.to(dtype)
    found = edm_weights(write(tmp_path / "n.pkl", snapshot(inside)))
    assert found.weights["stem.weight"].dtype == torch.float32
    assert torch.equal(found.weights["stem.weight"], conv.float())


def hostile(path) -> dict[str, object]:
    """What runs something when it is unpickled, by the name that has to be refused."""
    return {
        "posix.system": Calls(os.system, f"touch {path}"),
        "builtins.eval": Calls(eval, f"open({str(path)!r}, 'w')"),
        "builtins.getattr": Calls(getattr, "text", "upper"),
        "torch.hub.load": Calls(torch.hub.load, "owner/name", "model"),
        "torch.nn.modules.linear.Linear": nn.Linear(2, 2),
        "numpy._core.multiarray._reconstruct": np.zeros(3),
    }


def test_the_hostile_example_would_run(tmp_path):
    pickle.loads(pickle.dumps(hostile(tmp_path / "run")["builtins.eval"]))
    assert (tmp_path / "run").exists()


@pytest.mark.parametrize("name", hostile("x"))
@pytest.mark.parametrize("place", ["top", "augment_pipe", "weight", "data of a weight"])
def test_hostile_files_are_refused_by_name_and_run_nothing(tmp_path, name, place):
    value = hostile(tmp_path / "run")[name]
    whole = snapshot(model("SongUNet"))
    weights = whole["ema"].state["_parameters"]
    if place == "top":
        whole = value
    elif place == "augment_pipe":
        whole["augment_pipe"] = value
    elif place == "weight":
        weights["w"] = value
    else:
        weights["w"] = Calls(torch.storage._load_from_bytes, pickle.dumps(value))
    message = refusal(tmp_path, whole)
    assert f"names '{name}', which does not belong in it" in message
    assert not (tmp_path / "run").exists()


def test_another_function_of_a_known_module_is_refused(tmp_path):
    (tmp_path / "n.pkl").write_bytes(b"ctorch_utils.persistence\nexec\n(tR.")
    with pytest.raises(PretrainedError, match=r"names 'torch_utils\.persistence\.exec'"):
        edm_weights(tmp_path / "n.pkl")


@pytest.mark.parametrize("kind", ["VPPrecond", "VEPrecond", "iDDPMPrecond", "ECMPrecond"])
def test_another_preconditioning_is_refused_by_name(tmp_path, kind):
    message = refusal(tmp_path, snapshot(model("SongUNet"), kind))
    assert f"class {kind} where EDMPrecond belongs: another preconditioning" in message


def test_another_network_is_refused_by_name(tmp_path):
    other = edm_file.module("ViT")
    message = refusal(tmp_path, snapshot(other))
    assert "class ViT where SongUNet or DhariwalUNet belongs" in message


@pytest.mark.parametrize("value", [0, -0.5, "0.5", float("nan"), None])
def test_a_senseless_sigma_data_is_refused(tmp_path, value):
    assert "sigma_data is" in refusal(tmp_path, snapshot(model("SongUNet"), sigma_data=value))


@pytest.mark.parametrize("value", [7, [], {"net": 1}, {"ema": None}, {"ema": {"a": 1}}])
def test_a_pickle_without_a_network_is_refused(tmp_path, value):
    assert "not an EDM network" in refusal(tmp_path, value)


def test_a_missing_tensor_is_named(tmp_path):
    inside = model("SongUNet")
    inside.state["_modules"]["enc"]._modules["2x2_block0"].state["_modules"].pop("proj")
    assert "tensor enc.2x2_block0.proj.weight is missing" in refusal(tmp_path, snapshot(inside))


def test_a_tensor_too_many_is_named(tmp_path):
    inside = model("SongUNet")
    block = inside.state["_modules"]["enc"]._modules["4x4_block0"]
    block.state["_modules"]["gate"] = edm_file.Weights().linear(2, 2)
    message = refusal(tmp_path, snapshot(inside))
    assert "left over: enc.4x4_block0.gate.bias, enc.4x4_block0.gate.weight" in message


def test_a_tensor_beside_the_model_is_named(tmp_path):
    whole = snapshot(model("SongUNet"))
    whole["ema"].state["_buffers"]["u"] = torch.zeros(3)
    assert "tensors beside the model: u" in refusal(tmp_path, whole)


def test_a_tensor_of_another_shape_is_named(tmp_path):
    inside = model("SongUNet")
    tensor(inside, "map_layer1.weight").data = torch.zeros(16, 15)
    message = refusal(tmp_path, snapshot(inside))
    assert "tensor map_layer1.weight has shape [16, 15]; expected [16, 16]" in message


def test_a_module_inside_itself_is_refused(tmp_path):
    inside = model("SongUNet")
    encoder = inside.state["_modules"]["enc"]
    encoder._modules["4x4_block0"] = encoder
    assert "4x4_block0 is no module of its own" in refusal(tmp_path, snapshot(inside))


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("encoder_type", "skip", "argument encoder_type is skip"),
        ("channel_mult_noise", 2, "argument channel_mult_noise is 2; expected 1"),
        ("channel_mult_emb", 2, "argument channel_mult_emb is 2; expected 4"),
        ("model_channels", 4.0, "argument model_channels is 4.0"),
        ("model_channels", True, "argument model_channels is True"),
        ("num_blocks", 2**16, "65536 blocks a level have more tensors than"),
        ("num_blocks", 2, "tensor enc.4x4_block1.norm0.weight is missing"),
        ("channel_mult", [1, 3], "tensor enc.2x2_block0.conv0.weight has shape"),
        ("channel_mult", "12", "argument channel_mult is 12"),
        ("label_dim", 0, "tensors left over: map_label.bias, map_label.weight"),
        ("dropout", [0.0, 0.2], "argument dropout is [0.0, 0.2]"),
        ("resample_filter", [1, 2, 1], "even number"),
        ("sigma_shift", 1, "argument sigma_shift of SongUNet is unknown"),
    ],
)
def test_arguments_that_ours_cannot_have_are_named(tmp_path, argument, value, message):
    inside = model("SongUNet")
    inside.state["_init_kwargs"][argument] = value
    assert message in refusal(tmp_path, snapshot(inside))


def test_positional_arguments_are_refused(tmp_path):
    inside = model("SongUNet")
    inside.state["_init_args"] = (4, 1, 1)
    assert "does not say by keyword" in refusal(tmp_path, snapshot(inside))


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(PretrainedError, match=r"gone\.pkl: cannot be read: No such file"):
        edm_weights(tmp_path / "gone.pkl")
    (tmp_path / "n.pkl").touch()
    with pytest.raises(PretrainedError, match="not an EDM network"):
        edm_weights(tmp_path / "n.pkl")
    with pytest.raises(PretrainedError, match="cannot be read: Is a directory"):
        edm_weights(tmp_path)


def test_files_of_torch_save_are_refused(tmp_path):
    torch.save({"ema": torch.zeros(3)}, tmp_path / "n.pt")
    with pytest.raises(PretrainedError, match="not an EDM network"):
        edm_weights(tmp_path / "n.pt")
