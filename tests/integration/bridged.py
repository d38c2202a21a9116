"""Intents, and what becomes of them on their way through all roles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from store.keys import BridgeNames, PlanStream
from tests.integration.pipeline import PLANS, RESULTS, Pipeline
from tests.integration.waiting import until

NAMES = BridgeNames("quantum", shadow=False)
SHADOW = BridgeNames("quantum", shadow=True)
INTENTS, EXITS, HARVESTS = (
    each.key for each in (NAMES.trade_intents, NAMES.exit_intents, NAMES.harvest_intents)
)

#: All roles that stand between an intent and its booking; limits that let a test trade on.
CHAIN = {
    "P33_INTENT_BRIDGE": "on",
    "INTENT_BRIDGE_EXIT_LANES": "exit.intent,harvest.intent",
    "MIN_HOLD_SECONDS": "0",
    "P33_GOVERNOR": "on",
    "P33_EXECUTOR": "on",
    "GOV_MAX_EXEC_PER_HOUR": "0",
    "GOV_MAX_EXEC_PER_5MIN": "0",
    "GOV_SYMBOL_COOLDOWN_SECONDS": "0",
    "GOV_MAX_NOTIONAL_PER_TRADE_USDT": "0",
    "GOV_MAX_TOTAL_NOTIONAL_USDT": "0",
    "GOV_MAX_OPEN_POSITIONS": "0",
}


class Intents:
    """Publishes intents, and finds their answers, plans and results."""

    def __init__(self, pipeline: Pipeline, names: BridgeNames = NAMES) -> None:
        self._pipeline = pipeline
        self._names = names

    def buy(self, symbol: str, **fields: str) -> str:
        """Publish an intent to buy for 50 USDT; its entry id."""
        return self._pipeline.publish(
            INTENTS, {"symbol": symbol, "side": "BUY", "position_usd": "50", **fields}
        )

    def publish(self, stream: str, fields: Mapping[Any, Any]) -> str:
        """Publish any intent; its entry id."""
        return self._pipeline.publish(stream, fields)

    def answers(self) -> dict[tuple[str, str], dict[str, str]]:
        """All answers by stream and entry id; none may be there twice."""
        rows = [row for _, row in self._pipeline.entries(self._names.audit)]
        doubled = Counter((row["stream"], row["entry_id"]) for row in rows)
        assert max(doubled.values(), default=1) == 1, doubled.most_common(3)
        return {(row["stream"], row["entry_id"]): row for row in rows}

    async def answer(self, entry_id: str, stream: str = INTENTS, within_sec: float = 5.0) -> dict[str, str]:
        """Wait for the answer to an intent."""
        key = stream.rpartition(":")[2], entry_id
        found = await until(lambda: self.answers().get(key), f"the answer to {entry_id}", within_sec)
        assert found is not None
        return found

    async def outcome(self, entry_id: str, stream: str = INTENTS, within_sec: float = 5.0) -> str:
        """Wait for the outcome of an intent: `plan`, or the reason of a refusal."""
        row = await self.answer(entry_id, stream, within_sec)
        return row["reason"] or row["outcome"]

    def plans(self) -> dict[str, dict[str, str]]:
        """All plans by their id; none may be there twice."""
        rows = [row for _, row in self._pipeline.entries(PLANS)]
        ids = Counter(row["plan_id"] for row in rows)
        assert max(ids.values(), default=1) == 1, ids.most_common(3)
        return {row["plan_id"]: row for row in rows}

    async def result(self, plan_id: str, within_sec: float = 10.0) -> dict[str, str]:
        """Wait for the result of a plan."""

        def look() -> dict[str, str] | None:
            rows = [row for _, row in self._pipeline.entries(RESULTS) if row["plan_id"] == plan_id]
            return rows[-1] if rows else None

        found = await until(look, f"the result of {plan_id}", within_sec)
        assert found is not None
        return found


async def reads(
    pipeline: Pipeline, names: BridgeNames = NAMES, lanes: Sequence[PlanStream] | None = None
) -> None:
    """Wait until the bridge has its groups: what is published from now on is read."""
    read = lanes or (names.trade_intents, names.exit_intents, names.harvest_intents)

    def there() -> bool:
        return all(
            pipeline.redis.exists(lane.key)
            and any(group["name"] == lane.group for group in pipeline.redis.xinfo_groups(lane.key))
            for lane in read
        )

    await until(there, "the bridge's groups", 10)
