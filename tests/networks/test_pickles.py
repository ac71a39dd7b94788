"""The machine that reads pickles as data: the same values as Python's own, and nothing is
called."""

import io
import pickle
import pickletools
import warnings
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ictsweep.networks import pickles
from ictsweep.networks.pickles import Name, Record, Refused, read_pickle, shown

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
)
VALUES = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.lists(below),
        st.tuples(below, below),
        st.dictionaries(st.text(max_size=5), below),
        st.sets(st.integers(-(2**62), 2**62)),
    ),
    max_leaves=30,
)


def read(data: bytes, **known):
    return read_pickle(io.BytesIO(data), {k.replace("__", "."): v for k, v in known.items()})


@given(VALUES)
def test_plain_values_are_read_as_they_were_written(value):
    assert read(pickle.dumps(value, protocol=4)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_all_binary_protocols_are_read(protocol):
    value = {
        "a": [1, -1, 2**15, 2**40, 2.5, None, True],
        "b": ((), (1,), (1, 2, 3)),
        "c": "é" * 300,
    }
    assert read(pickle.dumps(value, protocol)) == value


def test_what_is_shared_stays_shared():
    part = [1]
    value = read(pickle.dumps([part, part]))
    assert value[0] is value[1]
    loop: list = []
    loop.append(loop)
    value = read(pickle.dumps(loop))
    assert value[0] is value


def test_known_names_are_stood_in_for():
    data = pickle.dumps(OrderedDict(a=1, b=2))
    assert read(data, collections__OrderedDict=dict) == {"a": 1, "b": 2}
    kind = read(pickle.dumps(OrderedDict), collections__OrderedDict=dict)
    assert type(kind) is Name
    assert kind == "collections.OrderedDict"


class Plain:
    """A class whose objects are pickled with a state."""

    def __init__(self) -> None:
        self.value = 5


def test_a_state_is_kept_and_not_set():
    data = pickle.dumps(Plain())
    name = f"{Plain.__module__}.Plain"
    record = read_pickle(io.BytesIO(data), {name: lambda: Record("Plain", 1)})
    assert (record.kind, record.arguments, record.state) == ("Plain", (1,), {"value": 5})


def test_a_state_for_a_function_is_refused():
    data = b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb."
    with pytest.raises(Refused, match="a Name stands where a Record belongs"):
        read(data, collections__OrderedDict=dict)


def test_unknown_names_are_refused_wherever_they_stand():
    with pytest.raises(Refused, match=r"names 'collections\.OrderedDict', which does not belong"):
        read(pickle.dumps([OrderedDict()]))
    with pytest.raises(Refused, match=r"names 'builtins\.eval'"):
        read(pickle.dumps(eval, protocol=4), collections__OrderedDict=dict)


def test_a_text_is_not_a_function():
    data = b"\x80\x04\x8c\x17collections.OrderedDict)R."
    with pytest.raises(Refused, match="a str stands where a Name belongs"):
        read(data, collections__OrderedDict=dict)


def test_other_instructions_are_refused_by_name():
    for data, name in [
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"(ios\nsystem\n.", "INST"),
        (b"(cos\nsystem\no.", "names 'os.system'"),
        (b"Pkey\n.", "PERSID"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"\x80\x02K\x012.", "DUP"),
    ]:
        with pytest.raises(Refused, match=name):
            read(data)


def test_names_are_read_as_they_stand():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Refused, match=r"names 'a\\\\q\.b c'"):
            read(b"ca\\q\nb c\n.")


KEYS = {"tuple": (1,), "int": 2**64, "float": 1.5, "NoneType": None, "bytes": b"a"}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_are_texts_and_numbers(kind):
    # What else can be hashed recurses, or many have the same hash.
    key = KEYS[kind]
    for value in ({key: 1}, {key: 1, "b": 2}, {"b": 2, key: 1}, {key}, {key, "b"}):
        with pytest.raises(Refused, match=f"a {kind} stands where a key belongs"):
            read(pickle.dumps(value, protocol=4))


def test_places_in_the_memo_are_numbers_of_64_bits():
    assert read(b"Np7\n0g7\n.") is None
    with pytest.raises(Refused, match="a int stands where a key belongs"):
        read(b"Np%d\n." % 2**64)


def test_a_pickle_without_end_is_refused():
    with pytest.raises(Refused, match="more than 524288 instructions"):
        read(b"N0" * 2**18 + b"N.")
    assert read(b"N0" * (2**18 - 1) + b"N.") is None


def endless() -> list:
    value: list = []
    for _ in range(20_000):
        value = [value]
    return value


def test_values_are_shown_shortly():
    for value, text in [
        (None, "None"),
        (True, "True"),
        (-3, "-3"),
        (0.5, "0.5"),
        ("abc", "abc"),
        ("a" * 10**6, "a" * 100),
        (10**5000, "a int"),
        (b"a" * 10**6, "a bytes"),
        ([1, "a", None], "[1, a, None]"),
        ((1, [2]), "[1, a list]"),
        ([0] * 10**6, "[0, 0, 0, 0, 0, 0, 0, 0]"),
        (endless(), "[a list]"),
        ({"a": 1}, "a dict"),
        (Record("a"), "a Record"),
    ]:
        assert shown(value) == text


def test_references_to_outside_need_somebody_who_knows_them():
    data = b"\x80\x02K\x05Q."
    with pytest.raises(Refused, match="outside"):
        read(data)
    assert read_pickle(io.BytesIO(data), {}, lambda key: key + 1) == 6


def test_several_pickles_are_read_one_after_the_other():
    file = io.BytesIO(pickle.dumps([1]) + pickle.dumps("b") + b"rest")
    assert read_pickle(file, {}) == [1]
    assert read_pickle(file, {}) == "b"
    assert file.read() == b"rest"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x04]",
        b"(.",
        b"\x85.",
        b"\x80\x02K\x01\x87.",
        b"h\x05.",
        b"K\x01\x94K\x02s.",
        b"]K\x01K\x02s.",
        b"}](K\x01K\x02K\x03u.",
        b"}]K\x01s.",
        b"t.",
        b"0.",
        b"\xff.",
    ],
)
def test_what_is_no_pickle_is_refused(data):
    with pytest.raises(Refused):
        read(data)


def test_every_instruction_is_known_to_python():
    names = {opcode.name for opcode in pickletools.opcodes}
    assert {*pickles._NOTHING, *pickles._VALUES, *pickles._CONSTANTS, *pickles._ACTIONS} <= names
