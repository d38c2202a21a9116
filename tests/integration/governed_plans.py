"""Plans that the Governor judges, and its judgements as its audit stream shows them."""

from __future__ import annotations

import json
from typing import Any

import httpx

from store.keys import GovernorKeys, Keys
from tests.integration.pipeline import Fields, Pipeline
from tests.integration.waiting import until, until_async

KEYS_OF_ALL = Keys("quantum")
KEYS = GovernorKeys(KEYS_OF_ALL, shadow=False)
SHADOW = GovernorKeys(KEYS_OF_ALL, shadow=True)
TRADING_STATE = "quantum:governor:trading_state"


async def asked(url: str, path: str) -> httpx.Response:
    """Return an answer of the HTTP side."""
    async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
        return await client.get(path, timeout=10)


async def governor(url: str) -> dict[str, Any]:
    """Return the Governor as `/status` shows it."""
    shown: dict[str, Any] = (await asked(url, "/status")).json()["roles"]["governor"]
    return shown


async def knows_the_account(url: str, within_sec: float = 5.0) -> None:
    """Wait until the Governor has read the account's equity and knows all positions by their prices."""

    async def there() -> bool:
        shown, metrics = await governor(url), (await asked(url, "/metrics")).text
        proven = 'gov_input_age_sec{input="positions"} ' in metrics
        return proven and shown["equity"] is not None and shown["open_positions"] is not None

    await until_async(there, "the Governor's view of the account", within_sec)


async def prices_are_known(redis: Any, *symbols: str) -> None:
    """Wait until a snapshot of each symbol has a mark price."""
    keys = [KEYS_OF_ALL.snapshot(symbol) for symbol in symbols]
    await until(lambda: all(redis.hget(key, "mark_price") for key in keys), "mark prices", 10)


def epoch_ms(entry_id: str) -> int:
    """Return the time of a stream's entry."""
    return int(entry_id.partition("-")[0])


class GovernedPlans:
    """Publishes plans and waits for their judgements."""

    def __init__(self, pipeline: Pipeline, audit: str = KEYS.audit) -> None:
        self._pipeline = pipeline
        self._audit = audit
        self._read = "0"
        self._judged: dict[str, tuple[int, dict[str, str]]] = {}

    async def judged(self, plan_id: str, fields: Fields, within_sec: float = 5.0) -> tuple[str, int]:
        """Publish a plan; the reason of its judgement, and the milliseconds to it by Redis's clock."""
        published_ms = epoch_ms(self._pipeline.publish_plan(plan_id, fields))
        return await self.judgement(plan_id, published_ms, within_sec)

    async def judgement(self, plan_id: str, published_ms: int, within_sec: float = 5.0) -> tuple[str, int]:
        """Wait for the judgement of a plan; its reason, and the milliseconds since its publication."""

        def look() -> tuple[int, dict[str, str]] | None:
            for entry_id, row in self._pipeline.redis.xrange(self._audit, min=f"({self._read}"):
                self._read = entry_id
                self._judged[row["plan_id"]] = epoch_ms(entry_id), row
            return self._judged.get(plan_id)

        found = await until(look, f"the judgement of {plan_id}", within_sec)
        assert found is not None
        at_ms, row = found
        return row["reason"], at_ms - published_ms

    def permit(self, plan_id: str) -> dict[str, Any] | None:
        """Return the Governor's permit of a plan; its key is written in the step of the audit."""
        text = self._pipeline.redis.get(KEYS.permit(plan_id))
        permit: dict[str, Any] | None = None if text is None else json.loads(text)
        return permit

    def record(self, plan_id: str) -> dict[str, Any]:
        """Return the audit record of a plan that was waited for."""
        record: dict[str, Any] = json.loads(self._judged[plan_id][1]["record"])
        return record
