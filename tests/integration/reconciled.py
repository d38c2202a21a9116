"""A daemon with the reconcile engine, the account's other parties, and what is written of a symbol's case."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from brain.numbers import plain
from brain.reconciliation.texts import CaseEvent
from simulator import Order, RunningSimulator
from simulator.external_events import move_position
from store.keys import Keys, ReconcileKeys
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.pipeline import EVENTS, Pipeline
from tests.integration.rigs import QUARTER
from tests.integration.surroundings import environment, stream_is_trusted
from tests.integration.waiting import until

KEYS = ReconcileKeys(Keys("quantum"), shadow=False)
#: The engine's own settings are those it usually has, but for the pause before a release. P3.3 reports a fill
#: without a result after the grace.
ON = {**QUARTER, "P33_RECONCILE": "on", "P34_CLEAR_AFTER_SEC": "0.2", "P33_EXECUTION_GRACE_SEC": "4"}
SETTLE_SEC = 2.0
#: From the drift to the ledger that is right again, without a person.
REPAIRED_WITHIN_SEC = 5.0
#: From the drift to its hold.
HELD_WITHIN_SEC = SETTLE_SEC + 1.0
#: Time to wait for what is measured by Redis's clock afterwards.
PATIENCE_SEC = 20.0
#: A case ends with one of them, for good or until a person comes.
_OUTCOMES = ("AUTO_REPAIR", "MANUAL_REQUIRED")


class Reconciled(Pipeline):
    """Redis and the exchange as other services, operators and traders see them."""

    def __init__(self, redis_url: str, simulator: RunningSimulator) -> None:
        super().__init__(redis_url)
        self.redis_url = redis_url
        self.simulator = simulator
        self.exchange = simulator.exchange

    @asynccontextmanager
    async def daemon(self, settings: Mapping[str, str] | None = None) -> AsyncIterator[DaemonProcess]:
        """Run a daemon that believes its positions; no actor of it may have failed at the end."""
        async with self.another(settings) as daemon:
            await stream_is_trusted(await daemon.ready(), 30)
            yield daemon

    @asynccontextmanager
    async def another(self, settings: Mapping[str, str] | None = None) -> AsyncIterator[DaemonProcess]:
        """Run a daemon that may stand by; no actor of it may have failed at the end."""
        environ = environment(self.redis_url, self.simulator, {**ON, **(settings or {})})
        async with daemon_process(environ) as daemon:
            yield daemon
            assert "Actor failed" not in daemon.output, daemon.output[-2000:]

    def moved(self, symbol: str, by: str, **how: Any) -> Order:
        """Move a position by another party's order: a person's at the website unless `how` says otherwise."""
        order = move_position(self.exchange, symbol, delta=Decimal(by), **how)
        assert order is not None
        return order

    def lost(self, symbol: str, by: str, **how: Any) -> Order:
        """Move a position by an order of the executor's of which nothing else is known."""
        return self.moved(symbol, by, client_order_id=f"p33-{symbol}-{len(self.exchange.orders)}", **how)

    def state(self, symbol: str) -> dict[str, str]:
        """Return `reconcile:state` of a symbol."""
        return self._hash(KEYS.state(symbol))

    def events(self, symbol: str) -> list[dict[str, str]]:
        """Return the symbol's entries of `reconcile.events`, each with its time (`ms`, Redis's clock)."""
        return [
            {**fields, "ms": entry_id.partition("-")[0]}
            for entry_id, fields in self.entries(EVENTS)
            if fields["symbol"] == symbol
        ]

    def told(self, symbol: str) -> list[str]:
        """Return the names of a case's events of a symbol; those of other actors are left out."""
        return [each["event"] for each in self.events(symbol) if each["event"] in set(CaseEvent)]

    def event(self, symbol: str, name: str) -> dict[str, str] | None:
        """Return the first event of that name."""
        return next((each for each in self.events(symbol) if each["event"] == name), None)

    def held_by(self, symbol: str) -> str | None:
        """Return the owner of the hold, None where the symbol is not held."""
        if not self.redis.exists(KEYS.hold(symbol)):
            return None
        return str(self.redis.get(KEYS.hold_sig(symbol)))

    async def outcome(self, symbol: str, within_sec: float = PATIENCE_SEC) -> dict[str, str]:
        """Wait for a repair, or for the call for a person; the first of them."""

        def look() -> dict[str, str] | None:
            return next((each for each in self.events(symbol) if each["event"] in _OUTCOMES), None)

        found = await until(look, f"an outcome of {symbol}: {self.events(symbol)}", within_sec)
        assert found is not None
        return found

    async def repaired(self, symbol: str, within_sec: float = PATIENCE_SEC) -> dict[str, str]:
        """Wait for the repair of a symbol, and check its hold and its ledger against the exchange."""
        event = await self.outcome(symbol, within_sec)
        assert event["event"] == "AUTO_REPAIR", (event, self.state(symbol))
        self.assert_agrees(symbol)
        assert self.ledger(symbol)["source"] == "reconciled"
        assert self.held_by(symbol) is None
        return event

    async def needs_person(self, symbol: str, within_sec: float = PATIENCE_SEC) -> dict[str, str]:
        """Wait for the call for a person; the state, under a hold of the engine."""
        await until(
            lambda: self.event(symbol, "MANUAL_REQUIRED"),
            f"{symbol} waits for a person: {self.events(symbol)}",
            within_sec,
        )
        state = self.state(symbol)
        assert state["status"] == "MANUAL_REQUIRED", state
        assert self.held_by(symbol) == state["hold_sig"]
        return state

    async def diverged(self, symbol: str) -> dict[str, str]:
        """Wait for P3.3's own event about a fill without a result."""
        found = await until(
            lambda: self.event(symbol, "LEDGER_DIVERGED"), f"P3.3 reports {symbol}", PATIENCE_SEC
        )
        assert found is not None
        return found

    async def released(self, symbol: str, within_sec: float = PATIENCE_SEC) -> None:
        """Wait until the engine has released its hold, and the state says that both sides agree."""
        await until(
            lambda: self.state(symbol).get("status") == "OK" and self.held_by(symbol) is None,
            f"{symbol} is released: {self.state(symbol)}",
            within_sec,
        )

    async def agreement_noted(self, *symbols: str) -> None:
        """Wait until agreements of the present ledgers are noted."""

        def noted(symbol: str) -> bool:
            return self.state(symbol).get("agreed_version") == self.ledger(symbol).get("version")

        for symbol in symbols:
            await until(lambda symbol=symbol: noted(symbol), f"{symbol} is noted", PATIENCE_SEC)  # type: ignore[misc]

    def assert_agrees(self, symbol: str) -> None:
        """Check the ledger against the exchange, by leg in hedge mode."""
        exchange, stored = self.exchange, self.ledger(symbol)
        amounts = {leg: exchange.position(symbol, leg).amount for leg in exchange.legs}
        assert Decimal(stored["last_known_amt"]) == sum(amounts.values()), stored
        for leg, name in (("LONG", "long_amt"), ("SHORT", "short_amt")):
            assert name not in stored or Decimal(stored[name]) == amounts[leg], stored  # type: ignore[index]

    def accept(self, symbol: str, amount: str | None = None) -> None:
        """Correct the ledger by hand: to the exchange's position, unless `amount` is another."""
        shown = amount or plain(self.exchange.position(symbol).amount)
        self.redis.hset(f"quantum:position:ledger:{symbol}", "last_known_amt", shown)


def orders_of(fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the orders that a state or an event names."""
    found: list[dict[str, Any]] = json.loads(fields["orders"])
    return found


def named(fields: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return client order id, cause and quantity of the orders that a state or an event names."""
    return [(each["client_order_id"], each["cause"], each["qty"]) for each in orders_of(fields)]


def filled_ms(order: Order) -> int:
    """Return the time of an order's latest fill (the exchange's clock, which is this host's)."""
    return max(fill.transaction_time_ms for fill in order.fills)


def sec_between(order: Order, event: Mapping[str, str]) -> float:
    """Return the time from an order's latest fill to an event (seconds)."""
    return (int(event["ms"]) - filled_ms(order)) / 1000
