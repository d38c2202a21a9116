"""Faults of the Governor's field, brought about: its steps, the account it reads, what neighbours say."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import trio
import trio.lowlevel

from simulator import external_events
from simulator.external_events import BalanceReason
from simulator.faults import RestFault
from tests.simulation.faults import Fault
from tests.simulation.fields import as_entry
from tests.simulation.governor_look import GUARDS
from tests.simulation.order_faults import OrderFaults

if TYPE_CHECKING:
    from tests.simulation.world import World

_PLACES = (
    "before judge_plans", "at judge_plans", "at judge_plans", "after judge_plans", "before change_grants",
    "at change_grants", "at change_grants", "after change_grants", "before write_equity",
    "after write_equity",
)  # fmt: skip
_METHODS = (
    "judge_plans", "judge_plans", "judge_plans", "change_grants", "change_grants", "governor_state",
    "judged_plans.read_new", "settled_results.read_new", "judged_plans.recover", "settled_results.recover",
    "write_equity", "stored_equity", "governor_run",
)  # fmt: skip
_ACCOUNT_FAULTS: tuple[RestFault, ...] = ("5xx", "truncated", "not_json", "reset", "-1008", "hang")
_LOSSES: tuple[BalanceReason, ...] = ("FUNDING_FEE", "INSURANCE_CLEAR", "ADJUSTMENT")
_TRANSFERS: tuple[BalanceReason, ...] = ("DEPOSIT", "WITHDRAW", "ASSET_TRANSFER")
_GARBAGE = ("nan", "x", "-1", "")
_AGES_SEC = (0.0, 0.0, 30.0, 400.0)


class GovernorFaults:
    """The faults of seeds in which the service's own Governor runs."""

    def __init__(self, world: World, may_crash: Callable[[], bool]) -> None:
        self._world = world
        self._order_faults = OrderFaults(world, may_crash)

    def _symbol(self, fault: Fault) -> str:
        symbols = self._world.scene.symbols
        return symbols[fault.which % len(symbols)]

    # Its steps.

    async def do_governor_point(self, fault: Fault) -> None:
        """Strike the next process that comes to a step of the Governor."""
        await self._order_faults.strike_at(_PLACES, fault)

    async def do_governor_calls(self, fault: Fault) -> None:
        """Lose requests or answers of the Governor's store."""
        processes = list(self._world.processes.values())
        store = processes[fault.which % len(processes)].store
        if store is not None:
            method = _METHODS[fault.which // 2 % len(_METHODS)]
            count = 1 + int(fault.size * 3)
            store.faults.fail_next("before" if fault.which % 2 else "after", method=method, count=count)
        await trio.lowlevel.checkpoint()

    async def do_governor_eviction(self, fault: Fault) -> None:
        """Let Redis evict windows, statistics or permits of the Governor."""
        world, rng = self._world, Random(fault.which)
        base = world.governing.look.keys.base
        prefix = (f"{base}:window:", f"{base}:kill_stats:", "quantum:permit:plan-")[fault.which % 3]
        keys = [key for key in sorted(world.redis.keys()) if key.startswith(prefix)]
        world.evict([key for key in keys if rng.random() < 0.3 + fault.size])
        await trio.lowlevel.checkpoint()

    # The account.

    async def do_failing_account(self, fault: Fault) -> None:
        """Let every read of the account fail for a while."""
        venue = self._world.venue
        venue.account_fault = _ACCOUNT_FAULTS[fault.which % len(_ACCOUNT_FAULTS)]
        await trio.sleep(fault.for_sec)
        venue.account_fault = None

    async def do_gain_or_loss(self, fault: Fault) -> None:
        """Change the balance by up to a tenth, mostly downwards."""
        share = Decimal(round(fault.size * 100)) / 1000
        reason = _LOSSES[fault.which % len(_LOSSES)]
        await self._change(reason, share if fault.which % 4 == 0 else -share)

    async def do_transfer(self, fault: Fault) -> None:
        """Move money in or out."""
        share = Decimal(round(fault.size * 300)) / 1000
        reason = _TRANSFERS[fault.which % len(_TRANSFERS)]
        downwards = reason == "WITHDRAW" or (reason == "ASSET_TRANSFER" and fault.which % 2)
        await self._change(reason, -share if downwards else share)

    async def _change(self, reason: BalanceReason, share: Decimal) -> None:
        venue = self._world.venue
        amount = (venue.wallet_balance * share).quantize(Decimal("0.01"))
        self._world.governing.equity.look()
        external_events.change_balance(venue, reason=reason, amount=amount)
        self._world.governing.equity.look()
        self._world.trace.note(f"{reason} {amount}")
        await trio.lowlevel.checkpoint()

    # Neighbours.

    async def do_churn(self, fault: Fault) -> None:
        """Freeze every open, or those of a symbol."""
        key = "quantum:churn:global_freeze" if fault.which % 3 == 0 else ""
        await self._stands(key or f"quantum:churn:blacklist:{self._symbol(fault)}", "1", fault.for_sec)

    async def do_risk_guard(self, fault: Fault) -> None:
        """Let a guard of another service stand."""
        name = GUARDS[fault.which % len(GUARDS)]
        text = json.dumps({"type": name, "active": True, "reason": "played"})
        await self._stands(f"quantum:risk:guard_active:{name}", text, fault.for_sec)

    async def _stands(self, key: str, text: str, for_sec: float) -> None:
        self._world.redis.set(key, text, ttl_ms=max(1, round(for_sec * 1000)))
        await trio.sleep(for_sec)
        self._world.redis.delete(key)

    async def do_budget(self, fault: Fault) -> None:
        """Publish a budget or an allocation: enforced or not, fresh or old, at times unreadable."""
        symbol, rng = self._symbol(fault), Random(fault.which)
        budget = fault.which % 2 == 0
        key = f"quantum:portfolio:budget:{symbol}" if budget else f"quantum:allocation:target:{symbol}"
        amount = f"{self._world.venue.mark_price(symbol) * rng.choice((0, 1, 30, 3000)) / 100:f}"
        asof = self._world.redis.now_ms() / 1000 - rng.choice(_AGES_SEC)
        fields = {
            "mode": rng.choice(("enforce", "enforce", "shadow")),
            "budget_usd" if budget else "target_usd": rng.choice((amount, amount, amount, "much")),
            "timestamp": f"{asof:.3f}",
        }
        await self._published(key, fields, fault.for_sec)

    async def do_efficiency(self, fault: Fault) -> None:
        """Publish how efficient a symbol's capital is: good or bad, certain or not."""
        rng = Random(fault.which)
        asof = self._world.redis.now_ms() / 1000 - rng.choice(_AGES_SEC)
        fields = {
            "efficiency_score": rng.choice((f"{fault.size:.3f}", "0.05", "x")),
            "confidence": rng.choice(("0.9", "0.9", "0.2")),
            "ts": f"{asof:.0f}",
        }
        await self._published(f"quantum:capital:efficiency:{self._symbol(fault)}", fields, fault.for_sec)

    async def _published(self, key: str, fields: dict[str, str], for_sec: float) -> None:
        self._world.redis.delete(key)
        self._world.redis.hset(key, as_entry(fields))
        self._world.trace.note(f"{key} {fields}")
        await trio.sleep(for_sec)
        self._world.redis.delete(key)

    async def do_unreadable_stats(self, fault: Fault) -> None:
        """Write into the statistics of a symbol what cannot be read."""
        side, symbol = self._world.governing, self._symbol(fault)
        eval_type = ("entry", "exit")[fault.which // 8 % 2]
        known = side.kept.observed.pop((symbol, eval_type), None)
        if known is not None:
            side.garbled = True
            name = ("mean", "var", "n")[fault.which // 16 % 3]
            text = _GARBAGE[fault.which // 64 % len(_GARBAGE)]
            self._world.redis.hset(side.look.keys.stats(symbol), {f"{eval_type}_{name}": text})
            self._world.trace.note(f"garbled {symbol} {eval_type}_{name} {text}")
        await trio.lowlevel.checkpoint()
