"""A Governor that grants, as the executor meets one: plans with its permits, and what became of them."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from brain.execution.orders import client_order_id
from brain.identifiers import PlanId
from tests.integration.pipeline import PLANS, RESULTS, Fields, Pipeline
from tests.integration.waiting import until

#: The executor's results of these statuses are the last of their plans.
_ENDED = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"})
_PERMIT_TTL_SEC = 60

Result = dict[str, str]


class VenueOrder(msgspec.Struct, frozen=True):
    """An order at the exchange, as its control request shows it."""

    order_id: int
    client_order_id: str
    symbol: str
    status: str
    executed: Decimal


def id_at_exchange(plan_id: str) -> str:
    """Return the client order id of a plan's only order."""
    return client_order_id("quantum", PlanId(plan_id))


def permit_of(fields: Fields) -> str:
    """Return the Governor's permit of a plan, with the predecessor's fields."""
    return json.dumps(
        {
            "granted": True, "symbol": fields["symbol"], "decision": fields["decision"],
            "computed_qty": float(fields["qty"]), "computed_notional": 0.0,
            "created_at": time.time(), "consumed": False,
            "eff_score": "", "eff_confidence": "", "eff_stale": "", "eff_factor": "", "eff_action": "",
            "eff_reason": "", "downsize_factor": "1.0", "extra_cooldown_sec": "0",
        }
    )  # fmt: skip


class PlayedGovernor:
    """Publishes plans with permits, and reads results."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._redis = pipeline.redis
        self._read = "0"
        self.pipeline = pipeline
        self.results: defaultdict[str, list[Result]] = defaultdict(list)

    async def executor_reads(self, group: str = "intent_executor") -> None:
        """Wait until the group exists: it begins with what is published behind that."""

        def there() -> bool:
            return any(each["name"] == group for each in self._redis.xinfo_groups(PLANS))

        await until(lambda: self._redis.exists(PLANS), "the plans' stream", 30)
        await until(there, f"the group {group}", 30)

    async def has_price(self, symbol: str) -> None:
        """Wait until the daemon knows the symbol's mark price, without which no order is sized."""
        await until(lambda: self.pipeline.snapshot(symbol).get("mark_price"), "a mark price", 10)

    def grant(self, plan_id: str, fields: Fields) -> None:
        """Write the Governor's permit of a plan."""
        self._redis.set(f"quantum:permit:{plan_id}", permit_of(fields), ex=_PERMIT_TTL_SEC)

    def publish(self, plan_id: str, fields: Fields) -> None:
        """Publish a plan and grant it."""
        self.pipeline.publish_plan(plan_id, fields)
        self.grant(plan_id, fields)

    def read_results(self) -> list[Result]:
        """Take in the results since the last call, and return them."""
        rows: list[Result] = []
        for entry_id, row in self._redis.xrange(RESULTS, min=f"({self._read}"):
            self._read = entry_id
            self.results[row["plan_id"]].append(row)
            rows.append(row)
        return rows

    def result_now(self, plan_id: str) -> Result | None:
        """Return the plan's last result, if it is there."""
        self.read_results()
        return next((row for row in self.results[plan_id] if is_last(row)), None)

    async def result(self, plan_id: str, within_sec: float = 5.0) -> Result:
        """Wait for a plan's last result."""
        found = await until(lambda: self.result_now(plan_id), f"the result of {plan_id}", within_sec)
        assert found is not None
        return found

    async def all_end(self, plan_ids: Iterable[str], within_sec: float) -> None:
        """Wait until each of these plans has a last result."""
        wanted = list(plan_ids)

        def lacking() -> list[str]:
            self.read_results()
            return [plan_id for plan_id in wanted if not any(map(is_last, self.results[plan_id]))]

        await until(lambda: not lacking(), "a last result for each plan", within_sec)

    def record(self, plan_id: str) -> Mapping[str, str]:
        """Return the executor's record of a plan."""
        found: dict[str, str] = self._redis.hgetall(f"quantum:executor:order:{plan_id}")
        return found

    def assert_results_fit(self, orders: Iterable[VenueOrder], plan_ids: Iterable[str]) -> None:
        """Check for at most one order a plan, one last result, and results that say what was filled."""
        at_exchange: defaultdict[str, list[VenueOrder]] = defaultdict(list)
        for order in orders:
            at_exchange[order.client_order_id].append(order)
        known = {id_at_exchange(plan_id): plan_id for plan_id in plan_ids}
        assert not at_exchange.keys() - known.keys(), at_exchange.keys() - known.keys()
        twice = {client_id: found for client_id, found in at_exchange.items() if len(found) > 1}
        assert not twice, twice
        wrong = []
        for client_id, plan_id in known.items():
            rows = self.results[plan_id]
            only = next(iter(at_exchange[client_id]), None)
            if sum(map(is_last, rows)) != 1 or not is_last(rows[-1]) or not _fits(rows, only):
                wrong.append((plan_id, only, rows))
        assert not wrong, (len(wrong), wrong[:3])

    def nothing_open(self) -> bool:
        """Return True if no record is open and no symbol held."""
        held = next(iter(self._redis.scan_iter("quantum:reconcile:hold:*", count=1000)), None)
        return not self._redis.zcard("quantum:executor:open") and held is None


class GovernorWithLimits(PlayedGovernor):
    """Grants so many opens and adds of a symbol an hour, blocks others, and never answers for one symbol.

    Permits and blocks are the predecessor's: no `plan_id`, no `reason` in a permit.
    """

    def __init__(self, pipeline: Pipeline, *, per_hour: int, silent: str) -> None:
        super().__init__(pipeline)
        self._per_hour = per_hour
        self._silent = silent
        self._granted: Counter[str] = Counter()

    def judge(self, plan_id: str, fields: Fields) -> str:
        """Publish a plan with the answer to it; return the plan's entry."""
        symbol, opens = str(fields["symbol"]), fields["action"] == "ENTRY_PROPOSED"
        if symbol != self._silent:
            if opens and self._granted[symbol] >= self._per_hour:
                block = {"reason": "hourly_limit_exceeded", "timestamp": time.time(), "symbol": symbol}
                self._redis.set(f"quantum:governor:block:{plan_id}", json.dumps(block), ex=3600)
            else:
                self._granted[symbol] += opens
                self.grant(plan_id, fields)
        return self.pipeline.publish_plan(plan_id, fields)


def is_last(result: Result) -> bool:
    """Return True if nothing follows a result."""
    return result["executed"] == "false" or result["order_status"] in _ENDED


def _fits(rows: list[Result], order: VenueOrder | None) -> bool:
    """Return True if there is one result for each growth of the order and one for its end, and no other."""
    if order is None:
        return all(row["executed"] == "false" for row in rows)
    filled = [Decimal(row["filled_qty"]) for row in rows]
    return (
        all(row["executed"] == "true" and row["order_id"] == str(order.order_id) for row in rows)
        and filled == sorted(filled)
        and len({(row["filled_qty"], row["order_status"]) for row in rows}) == len(rows)
        and rows[-1]["order_status"] == order.status
        and filled[-1] == order.executed
    )


def plain(fields: Mapping[str, Any]) -> VenueOrder:
    """Read an order of the control request."""
    return msgspec.convert(fields, VenueOrder, strict=False)
