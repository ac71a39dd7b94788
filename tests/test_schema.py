"""Blocks that come in variants: which is chosen, what it starts from, what its values may be."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import pytest
from annotated_types import Ge, Gt

from ictsweep.pruning import pruned
from ictsweep.schema import plain, read
from ictsweep.variants import leaves, variants


@dataclass(frozen=True, kw_only=True)
class Doubling:
    name: Literal["doubling"] = "doubling"
    s0: Annotated[int, Ge(1)] = 10
    period: Annotated[float, Gt(0)] = 0.125


@dataclass(frozen=True, kw_only=True)
class Root:
    name: Literal["root"] = "root"
    s0: Annotated[int, Ge(1)] = 2


@dataclass(frozen=True, kw_only=True)
class Gap:
    name: Literal["gap"] = "gap"
    q: Annotated[float, Gt(1)] = 2.0
    period: Annotated[float, Gt(0)] = 0.5


@dataclass(frozen=True, kw_only=True)
class Grid:
    name: Literal["grid"] = "grid"
    steps: Doubling | Root = Doubling()
    rho: float = 7.0


@dataclass(frozen=True, kw_only=True)
class Line:
    name: Literal["line"] = "line"
    steps: Gap = Gap()


@dataclass(frozen=True, kw_only=True)
class Way:
    pairs: Grid | Line = Grid()
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Top:
    way: Way
    ends: tuple[tuple[Annotated[float, Gt(0)], ...], ...] = ()
    limit: Annotated[float, Gt(0)] | None = None


PRESETS = {
    Way: {"grid": Way(), "root": Way(pairs=Grid(steps=Root(s0=5))), "line": Way(pairs=Line())}
}


def way(**block: Any) -> Way:
    value, problems = read(Top, {"way": block}, presets=PRESETS)
    assert not problems, list(map(str, problems))
    assert value is not None
    return value.way


def said(top: dict[str, Any]) -> list[str]:
    value, problems = read(Top, top, presets=PRESETS)
    assert value is None
    return list(map(str, problems))


def test_without_a_name_a_block_continues_the_presets_variant() -> None:
    assert way(preset="root", pairs={"rho": 5}) == Way(pairs=Grid(steps=Root(s0=5), rho=5.0))
    assert way(preset="root", pairs={"steps": {"s0": 7}}).pairs == Grid(steps=Root(s0=7))
    assert way(preset="line", pairs={"steps": {"q": 3}}).pairs == Line(steps=Gap(q=3.0))


def test_the_same_name_changes_nothing() -> None:
    block = {"name": "grid", "steps": {"name": "root"}}
    assert way(preset="root", pairs=block) == way(preset="root")


def test_another_variant_starts_from_its_own_defaults() -> None:
    assert way(preset="root", pairs={"steps": {"name": "doubling"}}).pairs == Grid(steps=Doubling())
    assert way(preset="root", pairs={"name": "line"}).pairs == Line()
    assert way(preset="line", pairs={"name": "grid", "rho": 3}).pairs == Grid(rho=3.0)


def test_without_a_preset_the_first_variant_is_meant_and_all_values_are_asked() -> None:
    steps = {"s0": 3, "period": 0.5}
    assert way(pairs={"steps": steps, "rho": 1}, scale=2) == Way(
        pairs=Grid(steps=Doubling(s0=3, period=0.5), rho=1.0), scale=2.0
    )
    line = {"name": "line", "steps": {"q": 3, "period": 1}}
    assert way(pairs=line, scale=1).pairs == Line(steps=Gap(q=3.0, period=1.0))
    none = ["way: no preset; add preset: one of grid, root, line"]
    assert said({"way": {"pairs": {"steps": {"s0": 3}, "rho": 1}, "scale": 2}}) == none
    assert said({"way": {"pairs": {**line, "steps": {"q": 3}}, "scale": 1}}) == none
    assert said({"way": {"pairs": 3, "scale": 1}})[0] == none[0]


@pytest.mark.parametrize("name", ["grid", "root", "line"])
def test_what_is_written_is_read_back(name: str) -> None:
    value = way(preset=name)
    assert way(**plain(value)) == value


@pytest.mark.parametrize(
    ("block", "line"),
    [
        ({"pairs": {"name": "x"}}, "way.pairs.name: got text 'x'; expected one of grid, line"),
        ({"pairs": {"name": None}}, "way.pairs.name: got nothing; expected one of grid, line"),
        (
            {"pairs": {"steps": {"name": "gap"}}},
            "way.pairs.steps.name: got text 'gap'; gap belongs to pairs line; "
            "pairs grid takes doubling, root",
        ),
        (
            {"pairs": {"steps": {"q": 2}}},
            "way.pairs.steps.q: unknown key; q belongs to pairs line; pairs grid: "
            "its steps doubling takes name, s0, period",
        ),
        (
            {"pairs": {"name": "line", "rho": 7}},
            "way.pairs.rho: unknown key; rho belongs to pairs grid; pairs line takes name, steps",
        ),
        (
            {"pairs": {"steps": {"name": "root", "period": 1}}},
            "way.pairs.steps.period: unknown key; period belongs to steps doubling; "
            "steps root takes name, s0",
        ),
        ({"pairs": {"steps": {"s1": 1}}}, "way.pairs.steps.s1: unknown key; allowed: name, s0, "),
        ({"pairs": "line"}, "way.pairs: got text 'line'; expected a block with name, which is one"),
    ],
)  # fmt: skip
def test_misfits_name_the_variant_that_was_meant(block: dict[str, Any], line: str) -> None:
    (found,) = said({"way": {"preset": "grid", **block}})
    assert found.startswith(line)


def test_an_unknown_variant_hides_no_unknown_key() -> None:
    pairs = {"name": "gird", "rho": "x", "rhoo": 1}
    lines = said({"way": {"preset": "grid", "pairs": pairs}})
    assert [line.split(":")[0] for line in lines] == ["way.pairs.name", "way.pairs.rhoo"]
    assert lines[0].endswith("did you mean grid?")


def test_elements_of_lists_of_lists_are_found() -> None:
    top = {"way": {"preset": "grid"}, "ends": [[1, 2], [3, "4"]], "limit": "x"}
    assert said(top) == [
        "ends[1][1]: got text '4'; expected a number > 0; remove the quotes",
        "limit: got text 'x'; expected a number > 0",
    ]
    assert said({"way": {"preset": "grid"}, "ends": [1]}) == [
        "ends[0]: got 1; expected a list of numbers > 0"
    ]


def test_leaves_cover_all_variants() -> None:
    paths = {".".join(map(str, path)): hint for path, hint in leaves(Top).items()}
    assert list(paths) == [
        "way.pairs.name", "way.pairs.steps.name", "way.pairs.steps.s0", "way.pairs.steps.period",
        "way.pairs.rho", "way.pairs.steps.q", "way.scale", "ends", "limit",
    ]  # fmt: skip
    assert get_args(paths["way.pairs.steps.name"]) == ("doubling", "root", "gap")
    assert get_args(paths["way.pairs.name"]) == ("grid", "line")


def test_values_have_no_variants() -> None:
    assert list(variants(Grid | Line)) == ["grid", "line"]
    for hint in (
        int,
        float | None,
        Literal["a", "b"],
        tuple[int, ...],
        dict[str, Any],
        Grid | None,
    ):
        assert not variants(hint)


@pytest.mark.parametrize(
    ("preset", "block", "kept"),
    [
        ("grid", {"pairs": {"steps": {"s0": 3, "period": 1}}}, None),
        ("root", {"pairs": {"steps": {"s0": 3, "period": 1}}}, {"pairs": {"steps": {"s0": 3}}}),
        (
            "line",
            {"pairs": {"steps": {"s0": 3, "period": 1}, "rho": 2}, "scale": 2},
            {"pairs": {"steps": {"period": 1}}, "scale": 2},
        ),
        ("root", {"pairs": {"name": "line", "rho": 2}}, {"pairs": {"name": "line"}}),
        (
            "grid",
            {"pairs": {"name": "line", "steps": {"name": "gap", "q": 2}}},
            None,
        ),
        (
            "grid",
            {"pairs": {"steps": {"name": "gap", "q": 2, "s0": 4}}},
            {"pairs": {"steps": {"s0": 4}}},
        ),
    ],
)
def test_what_another_choice_has_no_place_for_is_left_out(
    preset: str, block: dict[str, Any], kept: dict[str, Any] | None
) -> None:
    given = {"way": {"preset": preset, **block}}
    result = pruned(Top, given, PRESETS)
    assert result == {"way": {"preset": preset, **(block if kept is None else kept)}}
    assert read(Top, result, presets=PRESETS)[1] == []
