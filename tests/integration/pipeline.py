"""The services around the daemon: they publish plans and results, and read what comes of them in Redis."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from simulator import Order
from tests.integration.waiting import until

PLANS = "quantum:stream:apply.plan"
RESULTS = "quantum:stream:apply.result"
AUDIT = "quantum:stream:permit.audit"
EVENTS = "quantum:stream:reconcile.events"
GROUP = "p33"

Fields = Mapping[Any, Any]


def entry(symbol: str, quantity: str, side: str = "BUY") -> dict[str, str]:
    """Return the fields of an entry as the intent bridge publishes it."""
    return {
        "symbol": symbol, "decision": "EXECUTE", "action": "ENTRY_PROPOSED", "side": side,
        "type": "MARKET", "qty": quantity, "reduceOnly": "false", "source": "intent_bridge",
        "timestamp": f"{time.time():.3f}",
    }  # fmt: skip


def full_close(symbol: str) -> dict[str, str]:
    """Return the fields of a full close as the harvest path publishes it."""
    return {
        "symbol": symbol, "decision": "EXECUTE", "action": "FULL_CLOSE_PROPOSED", "side": "CLOSE",
        "qty": "0", "reduceOnly": "True", "kill_score": "0.71", "timestamp": f"{time.time():.3f}",
    }  # fmt: skip


def executed(plan_id: str, symbol: str, order_id: object, side: str, filled: object) -> dict[str, str]:
    """Return the fields of an executed result in the flat dialect."""
    return {
        "plan_id": plan_id, "symbol": symbol, "action": "ENTRY_PROPOSED", "executed": "True",
        "reduceOnly": "false", "side": side, "filled_qty": str(filled), "order_id": str(order_id),
        "order_status": "FILLED", "timestamp": f"{time.time():.3f}",
    }  # fmt: skip


class Pipeline:
    """A plain client, as other services use one. Raises what redis-py raises, at once."""

    def __init__(self, url: str) -> None:
        self.redis: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=2,
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )

    def publish_plan(self, plan_id: str, fields: Fields) -> str:
        """Publish a plan; its entry id."""
        return self.publish(PLANS, {"plan_id": plan_id, **fields})

    def publish_result(self, fields: Fields) -> str:
        return self.publish(RESULTS, fields)

    def publish_fill(self, plan_id: str, order: Order) -> str:
        """Publish the result of an order of ours."""
        return self.publish_result(
            executed(plan_id, order.symbol.name, order.order_id, order.side, order.executed)
        )

    def publish(self, stream: str, fields: Fields) -> str:
        """Append an entry; its id."""
        flat: dict[Any, Any] = {
            name: value if isinstance(value, bytes) else str(value) for name, value in fields.items()
        }
        return str(self.redis.xadd(stream, flat))

    def permit_now(self, plan_id: str) -> dict[str, Any] | None:
        """Return the permit, if there is one by now; its numbers exact."""
        text = self.redis.get(f"quantum:permit:p33:{plan_id}")
        if text is None:
            return None
        permit: dict[str, Any] = json.loads(str(text), parse_float=Decimal)
        return permit

    async def permit(self, plan_id: str, within_sec: float = 3.0) -> dict[str, Any]:
        """Wait for the answer to a plan."""
        found = await until(lambda: self.permit_now(plan_id), f"a permit for {plan_id}", within_sec)
        assert found is not None and found["plan_id"] == plan_id
        return found

    async def ask(self, plan_id: str, fields: Fields, within_sec: float = 3.0) -> dict[str, Any]:
        """Publish a plan and wait for its answer."""
        self.publish_plan(plan_id, fields)
        return await self.permit(plan_id, within_sec)

    def decisions(self) -> Counter[str]:
        """Count the decisions of each plan in the audit stream."""
        return Counter(fields["plan_id"] for _, fields in self.entries(AUDIT))

    def dead_letters(self, stream: str) -> list[dict[str, str]]:
        return [fields for _, fields in self.entries(f"{stream}.dead")]

    def entries(self, stream: str) -> list[tuple[str, dict[str, str]]]:
        rows: list[tuple[str, dict[str, str]]] = self.redis.xrange(stream)
        return rows

    def unread(self, stream: str) -> int:
        """Entries that the service was not given yet, or has not acknowledged."""
        groups: list[dict[str, Any]] = self.redis.xinfo_groups(stream)
        (group,) = [group for group in groups if group["name"] == GROUP]
        read = group["last-delivered-id"]
        return int(group["pending"]) + len(self.redis.xrange(stream, min=f"({read}"))

    async def nothing_pends(self, *streams: str, within_sec: float = 5.0) -> None:
        """Wait until everything that was published is acknowledged."""
        for stream in streams:
            await until(lambda s=stream: self.unread(s) == 0, f"{stream} is read", within_sec)  # type: ignore[misc]

    def snapshot(self, symbol: str) -> dict[str, str]:
        return self._hash(f"quantum:position:snapshot:{symbol}")

    async def snapshot_reaches(self, symbol: str, amount: str, within_sec: float = 5.0) -> None:
        """Wait until the snapshot has that position, to the letter."""
        await until(
            lambda: self.snapshot(symbol).get("position_amt") == amount, f"{symbol} at {amount}", within_sec
        )

    def ledger(self, symbol: str) -> dict[str, str]:
        return self._hash(f"quantum:position:ledger:{symbol}")

    def ledger_amount(self, symbol: str) -> str | None:
        return self.ledger(symbol).get("last_known_amt")

    async def ledger_reaches(self, symbol: str, amount: str, within_sec: float = 3.0) -> None:
        await until(
            lambda: self.ledger_amount(symbol) == amount,
            f"the ledger of {symbol} at {amount}, not {self.ledger_amount(symbol)}",
            within_sec,
        )

    def _hash(self, key: str) -> dict[str, str]:
        stored: dict[str, str] = self.redis.hgetall(key)
        return stored

    async def decided_once(self, plan_ids: Iterable[str], within_sec: float = 5.0) -> None:
        """Wait until all of these are decided; no plan at all may have been decided twice."""
        wanted = list(plan_ids)
        await until(
            lambda: set(wanted) <= self.decisions().keys(), f"decisions on {len(wanted)} plans", within_sec
        )
        doubled = {plan_id: count for plan_id, count in self.decisions().items() if count > 1}
        assert not doubled
