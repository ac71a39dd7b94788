"""The study's mind: a fold over the event log that says what to decide next.

Decisions must not depend on which process happened to be faster, or no parallel study could be
repeated and no crash would leave it unchanged. So the engine keeps a clock of its own, counted in
kimg of training: every trial occupies one of `slots`, a rung takes as long as it trains images
(plus `launch_kimg` for a new trial), and verdicts and new suggestions are taken in that clock's
order. A result that arrives early waits in the log until its turn. The order is that of `slots`
equal machines; where real ones differ, waiting is the only cost.

    log --apply--> Engine --due--> the next decision, or None while a result is awaited
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ictsweep.records import (
    LOG_VERSION,
    Action,
    Card,
    Event,
    Failed,
    Failure,
    Measurement,
    State,
    ask_event,
    retry_event,
    verdict_event,
)
from ictsweep.seeds import derive_seed
from ictsweep.study.retries import ASKED_FOR, Chances, Endings, is_the_studys
from ictsweep.study.rungs import Rung, ending
from ictsweep.study.spec import StudySpec


class Sampler(Protocol):
    """Where suggestions come from (study.memory is the real one); told what the engine decides, in
    the log's order.
    """

    def suggest(self, number: int) -> dict[str, Any]: ...

    def recall(self, prior: Mapping[str, Any]) -> None: ...

    def begin(self, number: int, params: Mapping[str, Any]) -> None: ...

    def reopen(self, number: int) -> None: ...

    def observe(self, number: int, rung_kimg: int, value: float) -> None: ...

    def finish(self, number: int, state: State, value: float | None) -> None: ...


@dataclass(frozen=True)
class Flight:
    """A trial under way: the rung it is heading for, and when it arrives by the study's clock
    (kimg).
    """

    rung: int
    arrives: float


class Engine:
    """Applies events and derives decisions; holds nothing that the log does not."""

    def __init__(
        self, spec: StudySpec, starts: Sequence[Mapping[str, Any]], sampler: Sampler
    ) -> None:
        """`starts` are the parameters of the first configurations, trial 0's at their head."""
        self.spec = spec
        self.sampler = sampler
        self.slots = 0
        self.asked = 0
        self.flights: dict[int, Flight] = {}
        self.halted = ""
        self._starts = [dict(params) for params in starts]
        self.clock = 0.0
        self._measured: dict[tuple[int, int], Measurement] = {}
        self._chances: defaultdict[int, Chances] = defaultdict(Chances)
        self._grounded: dict[int, Flight] = {}
        self._judged = {kimg: Rung() for kimg in spec.rungs}
        self._endings = Endings()
        self._seen = False  # whether a person could have acted since the session began

    @property
    def total(self) -> int:
        """How many trials the study runs: its configurations, and the baseline's further seeds."""
        return self.spec.total

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing more will be asked."""
        return not self.flights and (self.asked >= self.total or bool(self.halted))

    def is_baseline(self, number: int) -> bool:
        """Whether trial `number` is trial 0 or one of its replicates."""
        return number < self.spec.replicates

    def awaited(self) -> tuple[int, int] | None:
        """(trial, rung in kimg) whose result the next decision waits for; None when nothing is
        under way.
        """
        if not self.flights:
            return None
        number = min(self.flights, key=self._turn)
        return number, self.spec.rungs[self.flights[number].rung]

    def to_train(self) -> list[int]:
        """The trials that have training to do before their next verdict, in the clock's order."""
        return [n for n in sorted(self.flights, key=self._turn) if self._trains(n)]

    def waiting(self) -> list[int]:
        """The trials whose result is known and whose turn has not come, in the clock's order."""
        return [n for n in sorted(self.flights, key=self._turn) if self._known(n) is not None]

    def launch(self, number: int) -> tuple[int, int]:
        """(attempt, halvings of the micro-batch) that a trial's next launch has."""
        chances = self._chances[number]
        return chances.attempt, chances.halvings

    def _turn(self, number: int) -> tuple[float, int]:
        return self.flights[number].arrives, number

    def _known(self, number: int) -> Measurement | None:
        rung = self.spec.rungs[self.flights[number].rung]
        return self._measured.get((number, rung))

    def _trains(self, number: int) -> bool:
        return self._known(number) is None and self._chances[number].pending is None

    def apply(self, event: Event) -> None:
        """Take one event in. The log's order is the only order."""
        match event.kind:
            case "study":
                self.slots = int(event.data["slots"])
                self._opened(event)
            case "cluster":
                self.slots = int(event.data["slots"])
            case "halt":
                self.halted, self._seen = event.data["reason"], True
            case "prior":
                self.sampler.recall(event.data)
            case "ask":
                self._asked(event)
            case "measure":
                self._arrived(event)
            case "fail":
                self._fell(event)
            case "retry":
                self._retried(event)
            case "verdict":
                self._decided(event)

    def replay(self, events: Iterable[Event]) -> None:
        """Apply a log."""
        for event in events:
            self.apply(event)

    def due(self, time: float) -> Event | None:
        """The next decision, stamped with `time`; None while a result is awaited or the study is
        finished.

        The caller records it and applies it before asking again.
        """
        if (retry := self._retry(time)) is not None:
            return retry
        if len(self.flights) < self.slots and self.asked < self.total and not self.halted:
            return self._ask(time)
        awaited = self.awaited()
        return self._verdict(*awaited, time) if awaited else None

    def _opened(self, event: Event) -> None:
        """Who opens a study that halted has seen why; after a crash nobody has, and it goes on as
        if there had been none. Sessions of versions 1 and 2 began anew in either case.
        """
        if self._seen or event.data.get("version", LOG_VERSION) < 3:
            self._endings, self.halted = Endings(), ""
        self._seen = False
        for chances in self._chances.values():
            chances.resume()

    def _retry(self, time: float) -> Event | None:
        """The first trial under way whose failure is worth another launch. It needs no turn: it
        changes nothing for the others.
        """
        for number in sorted(self.flights):
            chances = self._chances.get(number)
            if chances is None or chances.pending is None or self._known(number) is not None:
                continue
            if (answer := chances.answer()) is not None:
                return retry_event(number, answer.attempt, answer.halvings, answer.reason, time)
        return None

    def _ask(self, time: float) -> Event:
        number = self.asked
        replicate = self.is_baseline(number) and number > 0
        seed = derive_seed(self.spec.seed, "trial", number)
        return ask_event(number, self._params(number), seed, 0 if replicate else None, time)

    def _params(self, number: int) -> dict[str, Any]:
        if self.is_baseline(number):
            return dict(self._starts[0])
        given = number - self.spec.replicates + 1  # its place among the configurations
        if given < len(self._starts):
            return dict(self._starts[given])
        return self.sampler.suggest(number)

    def _asked(self, event: Event) -> None:
        number = event.trial
        assert number is not None
        assert number == self.asked, "trials are asked in order"
        self.asked += 1
        arrives = self.clock + self.spec.resources.launch_kimg + self._length(0)
        self.flights[number] = Flight(0, arrives)
        if event.data["replicate_of"] is None:
            self.sampler.begin(number, event.data["params"])

    def _length(self, rung: int) -> int:
        """kimg of training from the verdict before rung number `rung` to its own measurement."""
        rungs = self.spec.rungs
        if self.spec.short_run or rung == 0:
            return rungs[rung]
        return rungs[rung] - rungs[rung - 1]

    def _arrived(self, event: Event) -> None:
        assert event.trial is not None
        measurement = Measurement(**event.data)
        counts = measurement.ends_run or not self.spec.short_run
        if counts and measurement.kimg in self._judged:
            self._measured.setdefault((event.trial, measurement.kimg), measurement)

    def _fell(self, event: Event) -> None:
        assert event.trial is not None
        if event.trial in self.flights:
            self._chances[event.trial].fail(Failed(time=event.time, **event.data))

    def _retried(self, event: Event) -> None:
        number = event.trial
        assert number is not None
        self._chances[number].retry(**event.data)
        self._seen = self._seen or event.data["reason"] == ASKED_FOR
        if number in self._grounded:  # it had ended: its way goes on from where it failed
            rung = self._grounded.pop(number).rung
            self.flights[number] = Flight(rung, self.clock + self._length(rung))
            if self._searched(number):
                self.sampler.reopen(number)

    def _verdict(self, number: int, rung_kimg: int, time: float) -> Event | None:
        measurement = self._measured.get((number, rung_kimg))
        failed = self._chances[number].pending
        if measurement is not None:
            action, card = self._judge(number, rung_kimg, measurement)
        elif failed is not None and not is_the_studys(failed.kind):
            action = Action.STOP if failed.kind == Failure.DIVERGED else Action.FAIL
            card = ending(rung_kimg, None, None, f"{failed.kind}: {failed.message}")
        else:
            return None
        return verdict_event(number, action, card, time)

    def _judge(self, number: int, rung_kimg: int, measurement: Measurement) -> tuple[Action, Card]:
        value = measurement.values[self.spec.minimize]
        error = measurement.errors.get(self.spec.minimize)
        if rung_kimg == self.spec.rungs[-1]:
            return Action.COMPLETE, ending(rung_kimg, value, error, "trained to the full budget")
        return self._judged[rung_kimg].judge(
            number, rung_kimg, value, error,
            reduction=self.spec.stopping.reduction, exempt=self.is_baseline(number),
        )  # fmt: skip

    def _decided(self, event: Event) -> None:
        number, action = event.trial, Action(event.data["action"])
        assert number is not None
        card = Card(**event.data["card"])
        flight = self.flights.pop(number)
        self.clock = flight.arrives
        searched = self._searched(number)
        if card.value is not None and searched:
            self._judged[card.rung_kimg].enter(number, card.value)
            self.sampler.observe(number, card.rung_kimg, card.value)
        if action == Action.CONTINUE:
            self.flights[number] = Flight(
                flight.rung + 1, flight.arrives + self._length(flight.rung + 1)
            )
        else:
            self._ended(number, action, card, searched)
        if action == Action.FAIL:
            self._grounded[number] = flight

    def _searched(self, number: int) -> bool:
        """Whether the sampler is told of a trial: the baseline's further seeds are not."""
        return number == 0 or not self.is_baseline(number)

    def _ended(self, number: int, action: Action, card: Card, searched: bool) -> None:
        if searched:
            value = card.value if action == Action.COMPLETE else None
            self.sampler.finish(number, action.state, value)
        cause = self._endings.take(card.reason if action == Action.FAIL else "")
        self.halted = self.halted or cause
