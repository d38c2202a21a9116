"""Summary of the demo in numbers, and its conclusion."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from commands.demo.exchange_client import RequestCost
from commands.demo.final_check import FinalCheck
from commands.demo.machine_load import Load
from commands.demo.record import Record
from commands.demo.tally import Tally

_ORDERS = "/fapi/v1/order"


class Conclusion(StrEnum):
    """Conclusion of a finished demo."""

    OK = "OK"
    FAILED = "FAILED"
    INCONCLUSIVE = "INCONCLUSIVE"


class Summary(msgspec.Struct, frozen=True):
    """A finished demo; `weight_by_path`: path, requests and request weight of all but the orders.

    `load` is this machine's at the end.
    """

    tally: Tally
    record: Record
    final_check: FinalCheck
    request_weight: int
    weight_by_path: list[tuple[str, int, int]]
    dead_letters: int
    daemon_exit_code: int
    duration_sec: float
    load: Load

    @property
    def conclusion(self) -> Conclusion:
        if self.failures():
            return Conclusion.FAILED
        return Conclusion.INCONCLUSIVE if self.too_late() else Conclusion.OK

    @property
    def load_when_late(self) -> Load:
        """The load at the moments when something was too late."""
        at_the_end = self.load if self._late_at_the_end() else Load()
        return self.tally.load_when_late.worst(at_the_end)

    def failures(self) -> list[str]:
        """Return what was not as expected and is not explained by a busy machine, a sentence each."""
        tally, final_check = self.tally, self.final_check
        found: list[str] = []
        if tally.surprises:
            found.append(f"{tally.surprises} unexpected outcomes")
        if final_check.differences:
            found.append(f"{len(final_check.differences)} things do not add up")
        if not self._is_behind and self.dead_letters != tally.unusable_entries:
            found.append(f"{self.dead_letters} dead letters of {tally.unusable_entries} unusable entries")
        if self.daemon_exit_code not in (0, -signal.SIGKILL):
            found.append(f"the daemon ended with {self.daemon_exit_code}")
        return found if self.load.is_too_busy else found + self._late_at_the_end()

    def too_late(self) -> list[str]:
        """Return what was missed while this machine was too busy, a sentence each."""
        tally = self.tally
        late = [f"{tally.too_late} outcomes came too late"] if tally.too_late else []
        return late + self._late_at_the_end() if self.load.is_too_busy else late

    @property
    def _is_behind(self) -> bool:
        """True when there is work that the daemon had not done at the end."""
        return self.final_check.unacknowledged > 0 and self.dead_letters <= self.tally.unusable_entries

    def _late_at_the_end(self) -> list[str]:
        """Return what the end has found and lateness alone can cause."""
        found: list[str] = []
        if not self.tally.plans:
            found.append("no plan was decided")
        if self.final_check.unacknowledged:
            left = self.final_check.unacknowledged
            found.append(f"{left} entries of intents, plans and results not acknowledged")
        if self._is_behind and self.dead_letters != self.tally.unusable_entries:
            found.append(
                f"{self.dead_letters} dead letters of {self.tally.unusable_entries} unusable entries"
            )
        if self.daemon_exit_code == -signal.SIGKILL:
            found.append("the daemon did not stop in time")
        return found


def summarise(
    tally: Tally,
    record: Record,
    final_check: FinalCheck,
    costs: Sequence[RequestCost],
    *,
    dead_letters: int,
    daemon_exit_code: int,
    duration_sec: float,
    load: Load,
) -> Summary:
    """Return the summary of a finished demo; `costs` are all requests since the daemon was started."""
    by_path: dict[str, tuple[int, int]] = {}
    for cost in costs:
        if cost.path != _ORDERS:
            requests, weight = by_path.get(cost.path, (0, 0))
            by_path[cost.path] = requests + 1, weight + cost.weight
    weight_by_path = [(path, requests, weight) for path, (requests, weight) in by_path.items()]
    weight_by_path.sort(key=lambda row: (-row[2], row[0]))
    request_weight = sum(cost.weight for cost in costs)
    return Summary(
        tally,
        record,
        final_check,
        request_weight,
        weight_by_path,
        dead_letters,
        daemon_exit_code,
        duration_sec,
        load,
    )
