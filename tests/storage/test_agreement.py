"""Which files move: any history of two machines and a bucket, with kills in the middle (pure)."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ictsweep.storage.agreement import Base, Here, Moves, covered, to_pull, to_push

NAMES = ("a", "c/meta.json", "c/state.pt", "d/meta.json", "d/state.pt")


@dataclass
class Machine:
    """A folder, as contents by name, and its base. A file's version is its content's number."""

    files: dict[str, int] = field(default_factory=dict)
    base: dict[str, Base] = field(default_factory=dict)

    def here(self) -> dict[str, Here]:
        return {name: Here(1, content) for name, content in self.files.items()}

    def unsent(self) -> dict[str, int]:
        """What was written here and the bucket has not got."""
        return {
            n: content
            for n, content in self.files.items()
            if n not in self.base or self.base[n] != Base(Here(1, content), f"{content}")
        }


@dataclass
class World:
    """Two machines and a bucket."""

    bucket: dict[str, int] = field(default_factory=dict)
    machines: tuple[Machine, Machine] = field(default_factory=lambda: (Machine(), Machine()))
    written: int = 0

    def write(self, which: int, name: str) -> None:
        self.written += 1
        self.machines[which].files[name] = self.written

    def remove(self, which: int, name: str) -> None:
        self.machines[which].files.pop(name, None)

    def push(self, which: int, killed_after: int) -> bool:
        """As storage.remote does it, killed after so many moves; whether it came to its end."""
        machine = self.machines[which]
        here = machine.here()
        moves = to_push(machine.base, here)
        machine.base |= {name: Base(here[name], "") for name in moves.bring}
        for name in moves.remove:
            if not killed_after:
                return False
            killed_after -= 1
            self.bucket.pop(name, None)
        sent = {}
        for name in moves.bring:
            if not killed_after:
                return False
            killed_after -= 1
            self.bucket[name] = machine.files[name]
            sent[name] = Base(here[name], f"{machine.files[name]}")
        kept = {n: b for n, b in machine.base.items() if n in here or n not in moves.remove}
        machine.base = kept | sent
        return True

    def pull(self, which: int, killed_after: int) -> bool:
        machine = self.machines[which]
        for name, content in machine.files.items():  # the same on both sides
            if name not in machine.base and self.bucket.get(name) == content:
                machine.base[name] = Base(Here(1, content), f"{content}")
        there = {name: f"{content}" for name, content in self.bucket.items()}
        moves = to_pull(machine.base, machine.here(), there)
        came = {}
        for name in moves.remove:
            if not killed_after:
                return False
            killed_after -= 1
            del machine.files[name]
            machine.base.pop(name, None)
        for name in moves.bring:
            if not killed_after:
                return False
            killed_after -= 1
            machine.files[name] = self.bucket[name]
            came[name] = Base(Here(1, self.bucket[name]), f"{self.bucket[name]}")
        machine.base |= came
        return True


WHICH = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), WHICH, st.sampled_from(NAMES)),
        st.tuples(st.just("remove"), WHICH, st.sampled_from(NAMES)),
        st.tuples(st.sampled_from(("push", "pull")), WHICH, st.sampled_from((0, 1, 2, 3, 99))),
    ),
    max_size=30,
)


@settings(max_examples=500, deadline=None)
@given(STEPS)
def test_nothing_unsent_is_lost_and_what_ended_agrees(steps: list[tuple]) -> None:
    world = World()
    for step, which, what in steps:
        machine = world.machines[which]
        unsent, had = machine.unsent(), set(world.bucket)
        known = set(machine.base)
        ended = getattr(world, step)(which, what)
        if step == "pull":
            assert all(machine.files[n] == content for n, content in unsent.items())
            if ended:
                assert all(
                    n in unsent or machine.files[n] == world.bucket[n] for n in machine.files
                )
                assert world.bucket.keys() <= machine.files.keys()
        if step == "push":
            assert had - set(world.bucket) <= known  # it removes nothing that others made
            if ended:
                assert machine.unsent() == {}
                assert all(n in machine.files or n not in known for n in world.bucket)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_one_machine_leaves_nothing_behind_whatever_was_killed(steps: list[tuple]) -> None:
    world = World()
    for step, _, what in steps:
        getattr(world, step)(0, what)
    world.push(0, 99)
    assert world.bucket == world.machines[0].files
    world.pull(1, 99)
    assert world.machines[1].files == world.bucket


def test_what_says_that_a_folder_is_whole_goes_first_and_comes_last() -> None:
    old, new = Here(1, 1), Here(1, 2)
    base = {name: Base(old, "1") for name in ("c/meta.json", "c/state.pt", "d/meta.json", "d/x")}
    here = {"c/meta.json": new, "c/state.pt": new}
    assert to_push(base, here) == Moves(
        ("c/meta.json", "d/meta.json", "d/x"), ("c/state.pt", "c/meta.json")
    )
    there = {"c/meta.json": "2", "c/state.pt": "2"}
    assert to_pull(base, dict.fromkeys(base, old), there) == Moves(
        ("c/meta.json", "d/meta.json", "d/x"), ("c/state.pt", "c/meta.json")
    )


def test_names_cover_files_and_what_is_in_folders_but_nothing_hidden() -> None:
    assert covered("samples/1.png", ("samples",))
    assert covered("config.yaml", ("samples", "config.yaml"))
    assert covered("x/y", ())
    assert not covered("samples2/1.png", ("samples",))
    assert not covered(".agreed.json", ())
    assert not covered("checkpoints/.000001-000001.new/state.pt", ("checkpoints",))
