"""The chain in numbers: what came through each step, what stopped there and why, and how long it took."""

from __future__ import annotations

from collections import Counter

import msgspec

from commands.demo.outcome import Verdict
from commands.demo.record import Record, Step
from commands.demo.tally import Spread, Tally, most_frequent, spread

_DENIED = "permit_denied (Governor: "
_OF_GOVERNOR = (_DENIED, "permit_timeout (missing: Governor)")


class StepCounts(msgspec.Struct, frozen=True):
    """One step: plans through, and those that it stopped by reason, the most frequent first.

    `note` says more of a step that stops nothing.
    """

    step: Step
    through: int
    stopped: list[tuple[str, int]]
    took: Spread
    note: str = ""

    @property
    def stopped_total(self) -> int:
        return sum(count for _, count in self.stopped)


def steps(tally: Tally, record: Record) -> list[StepCounts]:
    """Return the steps in their order. What is on its way is in none of them yet."""
    stopped: dict[Step, Counter[str]] = {step: Counter() for step in Step}
    for (verdict, reason), count in tally.outcomes.items():
        if verdict is Verdict.NO_PLAN:
            stopped[Step.PLANS][reason] += count
        elif verdict is Verdict.DENIED:
            stopped[Step.P33][reason] += count
        elif verdict is Verdict.REFUSED and reason.startswith(_OF_GOVERNOR):
            word = reason.removeprefix(_DENIED).removesuffix(")") if reason.startswith(_DENIED) else reason
            stopped[Step.GOVERNOR][word] += count
        elif verdict is Verdict.REFUSED:
            stopped[Step.ORDERS][reason] += count
    governed = tally.plans - stopped[Step.GOVERNOR].total()
    allowed = governed - stopped[Step.P33].total()
    if nothing := allowed - stopped[Step.ORDERS].total() - tally.orders:
        stopped[Step.ORDERS]["nothing to order"] += nothing
    through = {
        Step.INTENTS: tally.intents,
        Step.PLANS: tally.plans,
        Step.GOVERNOR: governed,
        Step.P33: allowed,
        Step.ORDERS: tally.orders,
        Step.BOOKED: tally.booked,
    }
    lanes = ", ".join(f"{lane} {count}" for lane, count in most_frequent(record.lanes))
    notes = {Step.INTENTS: lanes if tally.intents else "the bridge is off: publishers write plans"}
    return [
        StepCounts(
            step,
            through[step],
            most_frequent(stopped[step]),
            spread(record.step_ms[step]),
            notes.get(step, ""),
        )
        for step in Step
    ]
