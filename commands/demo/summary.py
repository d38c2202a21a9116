"""Summary of the demo in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from commands.demo.exchange_client import RequestCost
from commands.demo.final_check import FinalCheck
from commands.demo.tally import Tally

_ORDERS = "/fapi/v1/order"


class Summary(msgspec.Struct, frozen=True):
    """A finished demo; `weight_by_path`: path, requests and request weight of all but the orders."""

    tally: Tally
    final_check: FinalCheck
    request_weight: int
    weight_by_path: list[tuple[str, int, int]]
    dead_letters: int
    daemon_exit_code: int
    duration_sec: float

    @property
    def agrees(self) -> bool:
        """True when there are no failures."""
        return not self.failures()

    def failures(self) -> list[str]:
        """Return what was not as expected, a sentence each."""
        tally, final_check = self.tally, self.final_check
        found: list[str] = []
        if not tally.plans:
            found.append("no plan was decided")
        if tally.surprises:
            found.append(f"{tally.surprises} unexpected outcomes")
        if final_check.differences:
            found.append(f"{len(final_check.differences)} differences from the exchange")
        if final_check.unacknowledged:
            found.append(f"{final_check.unacknowledged} entries of plans and results not acknowledged")
        if self.dead_letters != tally.unusable_entries:
            found.append(f"{self.dead_letters} dead letters of {tally.unusable_entries} unusable entries")
        if self.daemon_exit_code != 0:
            found.append(f"the daemon ended with {self.daemon_exit_code}")
        return found


def summarise(
    tally: Tally,
    final_check: FinalCheck,
    costs: Sequence[RequestCost],
    *,
    dead_letters: int,
    daemon_exit_code: int,
    duration_sec: float,
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
        tally, final_check, request_weight, weight_by_path, dead_letters, daemon_exit_code, duration_sec
    )
