"""What the demo has shown, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from commands.demo.exchange_client import RequestCost
from commands.demo.final_check import Reckoning
from commands.demo.outcome import Verdict
from commands.demo.tally import Spread, Tally, spread

_ORDERS = "/fapi/v1/order"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in the unit that the name says; `request_weight_by_path`: path, requests, weight."""

    duration_sec: float
    plans: int
    allowed: int
    denied: int
    refused: int
    kinds: list[tuple[str, int]]
    denied_by_reason: list[tuple[str, int]]
    refused_by_reason: list[tuple[str, int]]
    permit_ms: Spread
    booking_ms: Spread
    oldest_snapshot_sec: Spread
    median_snapshot_sec: Spread
    orders: int
    results: int
    repeated_results: int
    request_weight: int
    request_weight_by_path: list[tuple[str, int, int]]
    dead_letters: int
    unusable_entries: int
    daemon_exit_code: int
    reckoning: Reckoning
    surprises: int
    first_surprises: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether everything was as it has to be."""
        return not self.failures()

    def failures(self) -> list[str]:
        """What was not, a sentence each."""
        reckoning = self.reckoning
        found: list[str] = []
        if not self.plans:
            found.append("no plan was decided")
        if self.surprises:
            found.append(f"{self.surprises} unexpected outcomes")
        if reckoning.differences:
            found.append(f"{len(reckoning.differences)} differences from the exchange")
        if reckoning.unsettled:
            found.append(f"{reckoning.unsettled} entries of plans and results not acknowledged")
        if self.dead_letters != self.unusable_entries:
            found.append(f"{self.dead_letters} dead letters of {self.unusable_entries} unusable entries")
        if self.daemon_exit_code != 0:
            found.append(f"the daemon ended with {self.daemon_exit_code}")
        return found


def summed_up(
    tally: Tally,
    reckoning: Reckoning,
    costs: Sequence[RequestCost],
    *,
    dead_letters: int,
    daemon_exit_code: int,
    duration_sec: float,
) -> Summary:
    """The summary of a finished demo; `costs` are all requests since the daemon was started."""
    by_path: dict[str, tuple[int, int]] = {}
    for cost in costs:
        if cost.path != _ORDERS:
            requests, weight = by_path.get(cost.path, (0, 0))
            by_path[cost.path] = requests + 1, weight + cost.weight
    return Summary(
        duration_sec=duration_sec,
        plans=tally.plans,
        allowed=tally.total(Verdict.ALLOWED),
        denied=tally.total(Verdict.DENIED),
        refused=tally.total(Verdict.REFUSED),
        kinds=sorted(tally.kinds.items(), key=lambda row: (-row[1], row[0])),
        denied_by_reason=tally.by_reason(Verdict.DENIED),
        refused_by_reason=tally.by_reason(Verdict.REFUSED),
        permit_ms=spread(tally.permit_ms),
        booking_ms=spread(tally.booking_ms),
        oldest_snapshot_sec=spread(tally.oldest_snapshot_sec),
        median_snapshot_sec=spread(tally.median_snapshot_sec),
        orders=tally.orders,
        results=tally.results,
        repeated_results=tally.repeated_results,
        request_weight=sum(cost.weight for cost in costs),
        request_weight_by_path=sorted(
            ((path, requests, weight) for path, (requests, weight) in by_path.items()),
            key=lambda row: (-row[2], row[0]),
        ),
        dead_letters=dead_letters,
        unusable_entries=tally.unusable_entries,
        daemon_exit_code=daemon_exit_code,
        reckoning=reckoning,
        surprises=tally.surprises,
        first_surprises=tuple(tally.first_surprises),
    )
