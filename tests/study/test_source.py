"""Reading YAML with places: scalars as people expect, and every failure with its place."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ictsweep.errors import SpecError
from ictsweep.problems import Problem
from ictsweep.study.source import (
    Document,
    Place,
    read_document,
    read_value,
    resolve_scalar,
)


def document(folder: Path, content: str | bytes) -> Document:
    """The document of a file with this content."""
    path = folder / "space.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_document(path)


def said(folder: Path, content: str | bytes) -> str:
    """What is said of a file that cannot be read, without its folder."""
    with pytest.raises(SpecError) as error:
        document(folder, content)
    return str(error.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1E4", 1e4), ("1.0e-4", 1e-4), ("-2.5", -2.5), (".5", 0.5), ("3.", 3.0),
        ("51_200", 51200), ("1_000.5", 1000.5), ("+7", 7), ("0", 0), ("-0", 0), ("1e4", 1e4),
        (".inf", float("inf")), ("1e400", float("inf")), ("true", True), ("false", False),
        ("null", None), ("~", None), ("", None),
    ],
)  # fmt: skip
def test_scalars(text: str, value: Any):
    found = resolve_scalar(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    ["yes", "no", "on", "off", "True", "1:30", "2024-01-01", "0x10", "0123", "1__0", "_1", "1_",
     "e4", "1e", ".", "-", "1e-4x", "9" * 5000],
)  # fmt: skip
def test_everything_else_is_text(text: str):
    assert resolve_scalar(text) == text


def test_quotes_make_text(tmp_path: Path):
    assert document(tmp_path, "a: '1'\nb: \"true\"\nc: |\n  2\n").data == {
        "a": "1", "b": "true", "c": "2\n"
    }  # fmt: skip


def test_keys_are_text(tmp_path: Path):
    assert document(tmp_path, "on: 1\n2: 3\ntrue: 4\n").data == {"on": 1, "2": 3, "true": 4}


def test_every_value_has_its_place(tmp_path: Path):
    found = document(tmp_path, "# head\na:\n  b: [1, {c: x}]\n'd': 2\n")
    assert found.places == {
        (): Place((2, 1), (2, 1)),
        ("a",): Place((2, 1), (3, 3)),
        ("a", "b"): Place((3, 3), (3, 6)),
        ("a", "b", 0): Place((3, 7), (3, 7)),
        ("a", "b", 1): Place((3, 10), (3, 10)),
        ("a", "b", 1, "c"): Place((3, 11), (3, 14)),
        ("d",): Place((4, 1), (4, 6)),
    }


def test_errors_stand_where_the_value_is_or_would_be(tmp_path: Path):
    found = document(tmp_path, "a:\n  b: 1\n")
    where = {path: str(found.error(path, "no")).split("space.yaml:")[1] for path in found.places}
    assert where[("a", "b")] == "2:6: a.b: no"
    assert where[()] == "1:1: no"
    assert str(found.error(("a", "c", 3, "d"), "no")).endswith(":1:1: a.c[3].d: no")


def test_errors_come_in_the_files_order_once_and_not_too_many(tmp_path: Path):
    found = document(tmp_path, "".join(f"k{i}: {i}\n" for i in range(30)))
    problems = [Problem((f"k{i}",), "no") for i in range(14, 0, -1)] * 2
    lines = str(found.errors(problems)).splitlines()
    assert [line.split(": ")[1] for line in lines[:10]] == [f"k{i}" for i in range(1, 11)]
    assert lines[10:] == ["... and 4 more"]


def test_aliases_are_copies_with_places_of_their_own(tmp_path: Path):
    found = document(tmp_path, "a: &x {n: 1}\nb: *x\n")
    assert found.data == {"a": {"n": 1}, "b": {"n": 1}}
    assert found.data["a"] is not found.data["b"]
    assert found.places[("b", "n")] == found.places[("a", "n")]


def test_all_keys_given_twice_are_told(tmp_path: Path):
    assert said(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 3\n").splitlines() == [
        "space.yaml:2:11: b.c: given twice, here and at 2:5; keep one",
        "space.yaml:3:1: a: given twice, here and at 1:1; keep one",
    ]


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "~\n", "\n\n"])
def test_an_empty_file(tmp_path: Path, content: str):
    assert said(tmp_path, content) == (
        "space.yaml:1:1: the file is empty; see search_spaces/ for complete examples"
    )


def test_text_that_is_not_utf8(tmp_path: Path):
    assert said(tmp_path, "a: 1\nb: é\n".encode("latin-1")) == (
        "space.yaml:2:4: not UTF-8 text (byte 0xe9); save the file as UTF-8"
    )


def test_a_byte_order_mark_and_foreign_line_ends_are_fine(tmp_path: Path):
    assert document(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: \xc3\xa9\r\n").data == {"a": 1, "b": "é"}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_blocks_nested_too_deeply(tmp_path: Path, opening: str):
    assert said(tmp_path, opening * 5000) == "space.yaml:1:1: blocks are nested too deeply"


def test_aliases_of_aliases_do_not_explode(tmp_path: Path):
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    lines = said(tmp_path, "\n".join(["a0: &a0 [1]", *levels])).splitlines()
    assert lines[0].endswith("aliases that contain themselves or grow too large")
    assert len(lines) <= 11


def test_nothing_in_a_file_runs(tmp_path: Path):
    marker = tmp_path / "ran"
    content = f"a: !!python/object/apply:os.mkdir ['{marker}']\n"
    assert said(tmp_path, content) == (
        "space.yaml:1:4: tag !!python/object/apply:os.mkdir is not allowed; write the value itself"
    )
    assert not marker.exists()


def test_a_missing_file_names_its_neighbour(tmp_path: Path):
    (tmp_path / "digits.yaml").touch()
    with pytest.raises(SpecError) as error:
        read_document(tmp_path / "digit.yaml")
    assert str(error.value) == (
        f"{tmp_path}/digit.yaml: no such file; did you mean {tmp_path}/digits.yaml?"
    )
    with pytest.raises(SpecError, match=r"no such file$"):
        read_document(tmp_path / "none" / "digits.yaml")


def test_a_directory_names_what_is_in_it(tmp_path: Path):
    with pytest.raises(SpecError, match=r"a directory, expected a YAML file$"):
        read_document(tmp_path)
    (tmp_path / "digits.yaml").touch()
    with pytest.raises(SpecError, match=r"a directory, expected a YAML file; it has digits.yaml$"):
        read_document(tmp_path)


def test_a_file_below_a_file(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match="cannot be read: Not a directory"):
        read_document(tmp_path / "file" / "digits.yaml")


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("[1, 2]", [1, 2]), ("fp32", "fp32"), ("", None)]
)
def test_single_values(text: str, value: Any):
    assert read_value(text) == value


@pytest.mark.parametrize("text", ["[1", "*x", "!!str 1", "&a [*a]", "{a: 1, a: 2}"])
def test_single_values_that_are_none(text: str):
    with pytest.raises(SpecError, match=r": "):
        read_value(text)


SCALARS = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=4), st.booleans())
def test_what_yaml_writes_is_read_back(tmp_path_factory: Any, data: Any, flow: bool):
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    # text is quoted where YAML 1.1 and 1.2 differ (1e5): here always
    text = yaml.dump(data, Dumper=_Quoting, default_flow_style=flow, allow_unicode=True)
    path.write_text(text, encoding="utf-8", newline="")
    assert read_document(path).data == data


class _Quoting(yaml.SafeDumper):
    """Writes text in double quotes."""


_Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)
