"""Every close is granted within 100 ms, whatever stops opens and whatever cannot be read; none when halted.

Each time is measured by Redis's clock from the plan's entry to the step that writes its permit, less the time
for which daemon and Redis were ready to run and others ran.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from statistics import median

from simulator import external_events
from tests.integration.daemon_process import DaemonProcess
from tests.integration.execution_load import opening
from tests.integration.governed_plans import KEYS, TRADING_STATE, GovernedPlans, knows_the_account
from tests.integration.pipeline import PLANS, full_close
from tests.integration.rigs import QUARTER
from tests.integration.site import Site
from tests.integration.stopped_opens import ADDED, CONDITIONS, HELD, LIMITS, lists
from tests.integration.surroundings import POSITION_RISK, cut_stream
from tests.integration.waiting import until, until_async

WITHIN_MS = 100
#: Changes to a full close, and the kind of each.
CLOSES: tuple[tuple[dict[str, str], str], ...] = (
    ({}, "close"),
    ({"action": "PARTIAL_50"}, "close"),
    ({"action": "REDUCE", "side": "SELL", "qty": "0.001", "reduceOnly": "true"}, "close"),
    ({"action": "UPDATE_SL", "stop_loss": "1"}, "none"),
)


class Scene:
    """A daemon that judges plans of an account with positions."""

    def __init__(self, site: Site, daemon: DaemonProcess) -> None:
        self.site = site
        self.redis = site.redis
        self.daemon = daemon
        self.took_ms: list[float] = []
        self._plans = GovernedPlans(site)
        self._numbers = itertools.count()
        self._processes = daemon.process.pid, int(site.redis.info("server")["process_id"])

    def now_ms(self) -> int:
        """Return Redis's clock."""
        sec, microseconds = self.redis.time()
        return int(sec) * 1000 + int(microseconds) // 1000

    async def judges(self) -> None:
        """Wait for the Governor's group, which begins with what is published behind that."""

        def there() -> bool:
            return self.redis.exists(PLANS) and any(
                each["name"] == KEYS.plans.group for each in self.redis.xinfo_groups(PLANS)
            )

        await until(there, "the Governor's group", 30)

    async def opens(self, symbol: str, **changes: str) -> str:
        """Return the reason of the judgement of an open or add."""
        fields = opening(self.site.exchange.symbol(symbol)) | changes
        plan_id = f"open-{next(self._numbers)}"
        reason, _ = await self._plans.judged(plan_id, fields)
        permit = self._plans.permit(plan_id)
        assert (permit is not None) is reason.startswith("governor_granted"), (reason, permit)
        return reason

    async def every_close_is_granted(self, what: str, close: Mapping[str, str] | None = None) -> bool:
        """Publish closes, one at a time, and check for their permits in time.

        True if the position was known to all of these judgements.
        """
        known = True
        for symbol, (fields, kind) in zip(HELD, itertools.cycle(CLOSES), strict=False):
            plan_id, delayed_ms = f"close-{next(self._numbers)}", self._delayed_ms()
            reason, judged_ms = await self._plans.judged(
                plan_id, {**full_close(symbol), **fields, **(close or {})}
            )
            took_ms = judged_ms - (self._delayed_ms() - delayed_ms)
            permit = self._plans.permit(plan_id)
            assert permit is not None and permit["granted"] is True, (what, fields, reason)
            assert (reason, permit["kind"]) == ("governor_granted_close", kind), (what, fields, permit)
            assert took_ms <= WITHIN_MS, (what, fields, took_ms, judged_ms)
            self.took_ms.append(took_ms)
            known = known and self._plans.record(plan_id)["case"]["kind_known"]
        return known

    def _delayed_ms(self) -> float:
        """Return how long daemon and Redis were ready to run while others ran (Linux)."""
        waited = [int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) for pid in self._processes]
        return sum(waited) / 1e6

    async def no_close_is_granted(self) -> None:
        """Publish closes, and check that each is refused because all trading is halted."""
        for symbol, (fields, _) in zip(HELD, CLOSES, strict=False):
            plan_id = f"close-{next(self._numbers)}"
            reason, _ = await self._plans.judged(plan_id, full_close(symbol) | fields)
            assert (reason, self._plans.permit(plan_id)) == ("trading_halted", None), fields

    def everything_is_written(self) -> None:
        """Write all conditions, one over the other."""
        for each in CONDITIONS:
            each.write(self.redis, self.now_ms())

    async def every_close_is_granted_whatever_is_written(self, what: str) -> None:
        """Check the closes with all conditions at once, with and without those of a plan's own."""
        self.everything_is_written()
        assert await self.opens(ADDED) == "kill_switch_active"
        await self.every_close_is_granted(f"{what}, all together")
        await self.every_close_is_granted(f"{what}, all together", {"kill_score": "very", "leverage": "99"})


@asynccontextmanager
async def scene(site: Site, **settings: str) -> AsyncIterator[Scene]:
    """Run a daemon beside positions in the symbols `HELD`."""
    for symbol in HELD:
        quantity = Decimal(opening(site.exchange.symbol(symbol))["qty"])
        external_events.move_position(site.exchange, symbol, target=2 * quantity)
    async with site.daemon({"P33_GOVERNOR": "on", **LIMITS, **settings}) as daemon:
        running = Scene(site, daemon)
        yield running
        assert daemon.alive and "Actor failed" not in daemon.output, daemon.output[-2000:]
    if running.took_ms:
        took_ms = sorted(running.took_ms)
        print(f"{len(took_ms)} closes: median {median(took_ms):.1f} ms, most {took_ms[-1]:.1f} ms")


async def test_closes_are_granted_in_time_under_each_stop_of_opens_and_under_all_together(site: Site) -> None:
    async with scene(site) as running:
        await knows_the_account(await running.daemon.ready())
        usual = set(site.redis.scan_iter("*"))
        stopped: dict[str, str] = {}
        for each in CONDITIONS:
            each.write(site.redis, running.now_ms())
            stopped[each.name] = await running.opens(each.symbol, **each.plan)
            await running.every_close_is_granted(each.name, each.close)
            written = set(site.redis.scan_iter("*")) - usual
            site.redis.delete(*(key for key in written if ":p33:" not in key and ":stream:" not in key))
        assert stopped == {each.name: each.stops for each in CONDITIONS}
        await running.every_close_is_granted_whatever_is_written("a quiet exchange")


async def test_closes_are_granted_in_time_without_equity_then_without_a_book_and_whatever_is_written(
    site: Site,
) -> None:
    faults = site.exchange.faults
    faults.rest_fault_rates, faults.rest_fault_paths = {"5xx": 1.0}, ["/fapi/v3/account"]
    async with scene(site, **QUARTER) as running:
        await running.daemon.ready()
        assert await running.opens(ADDED) == "no_portfolio_state"
        await running.every_close_is_granted("no equity")
        faults.rest_fault_paths.append("/fapi/v")
        await cut_stream(site.simulator)

        async def forgotten() -> bool:
            return not await running.every_close_is_granted("no book")

        await until_async(forgotten, "positions are not known", 10)
        assert await running.opens(ADDED) == "no_portfolio_state"
        await running.every_close_is_granted("no book")
        await running.every_close_is_granted_whatever_is_written("no book")


async def test_closes_are_granted_in_time_before_any_position_was_read_and_whatever_is_written(
    site: Site,
) -> None:
    faults = site.exchange.faults
    faults.rest_fault_rates = {"5xx": 1.0}
    faults.rest_fault_paths, faults.refuse_streams = ["/fapi/v3/account", POSITION_RISK], True
    async with scene(site) as running:
        await running.judges()
        assert await running.opens(ADDED) == "no_portfolio_state"
        assert not await running.every_close_is_granted("no position")
        await running.every_close_is_granted_whatever_is_written("no position")


async def test_no_close_is_granted_while_the_trading_state_is_halted_or_cannot_be_read(site: Site) -> None:
    async with scene(site) as running:
        await knows_the_account(await running.daemon.ready())
        await running.every_close_is_granted("no state")
        for text in ("HALTED", "halted", "perhaps", "", "\ufffd", "ACTIVE REDUCING"):
            site.redis.set(TRADING_STATE, text)
            await running.no_close_is_granted()
        lists(TRADING_STATE)(site.redis, 0)
        await running.no_close_is_granted()
        site.redis.delete(TRADING_STATE)
        await running.every_close_is_granted("no state again")
