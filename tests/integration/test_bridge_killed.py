"""SIGKILL at random moments, and handovers, under 200 intents a second: one answer an intent, one plan."""

from __future__ import annotations

import os
import signal
from random import Random

import trio

from store.keys import BridgeNames
from tests.integration.bridged import EXITS, INTENTS, NAMES, Intents, reads
from tests.integration.governed_plans import prices_are_known
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS
from tests.integration.test_two_instances import is_warm_standby, lease
from tests.integration.waiting import until

#: A few in the suite; ten with P33_TEST_BRIDGE_KILLS=10.
KILLS = int(os.environ.get("P33_TEST_BRIDGE_KILLS", "3"))
SEED = 1
PER_SEC = 200
PATIENCE_SEC = 120.0
LEASE = "quantum:p33:lease"
SETTINGS = {
    "P33_INTENT_BRIDGE": "on",
    "INTENT_BRIDGE_EXIT_LANES": "exit.intent",
    # Intents of the time between two lives become plans, too, on a busy machine long behind them.
    "INTENT_BRIDGE_MAX_AGE_SEC": "600",
    "MIN_HOLD_SECONDS": "0",
}


class IntentLoad:
    """Publishes intents of all kinds, some of the exits twice, and looks at what became of them."""

    def __init__(self, site: Site, names: BridgeNames = NAMES) -> None:
        self._site = site
        self._intents = Intents(site, names)
        self._random = Random(SEED)  # noqa: S311 - the same intents in every run
        self._ended = False
        self.published: list[tuple[str, str]] = []
        self.exits = 0

    async def run(self) -> None:
        """Publish until `end`."""
        while not self._ended:
            for _ in range(PER_SEC // 50):
                self._publish()
            await trio.sleep(0.02)

    def end(self) -> None:
        """Publish no more."""
        self._ended = True

    def _publish(self) -> None:
        symbol = self._random.choice(SYMBOLS)
        kind = self._random.random()
        if kind < 0.2:
            self.exits += 1
            # Each has an id of its own, and half of them are published twice.
            for _ in range(self._random.randint(1, 2)):
                fields = {"symbol": symbol, "action": "PARTIAL_50", "intent_id": f"e{self.exits}"}
                self.published.append(("exit.intent", self._intents.publish(EXITS, fields)))
        elif kind < 0.3:
            entry_id = self._intents.publish(INTENTS, {"symbol": symbol, "side": "HOLD"})
            self.published.append(("trade.intent", entry_id))
        else:
            self.published.append(("trade.intent", self._intents.buy(symbol)))

    async def more_is_answered(self, count: int) -> None:
        """Wait until so many answers more are written."""
        before = self._site.redis.xlen(NAMES.audit)
        await until(
            lambda: self._site.redis.xlen(NAMES.audit) >= before + count,
            f"{count} more answers",
            PATIENCE_SEC,
        )

    async def assert_one_answer_each(self) -> dict[str, int]:
        """Wait until all is answered; the number of intents by outcome."""
        await until(
            lambda: self._site.redis.xlen(NAMES.audit) >= len(self.published), "all answers", PATIENCE_SEC
        )
        answers, plans = self._intents.answers(), self._intents.plans()
        assert set(answers) == set(self.published)
        planned = {row["plan_id"] for row in answers.values() if row["outcome"] == "plan"}
        assert planned == set(plans)
        exits = {plan["intent_id"] for plan in plans.values() if "intent_id" in plan}
        assert exits <= {f"e{number + 1}" for number in range(self.exits)}
        assert len(exits) == sum("intent_id" in plan for plan in plans.values())
        for lane in (NAMES.trade_intents, NAMES.exit_intents):
            (group,) = [
                each for each in self._site.redis.xinfo_groups(lane.key) if each["name"] == lane.group
            ]
            assert (group["pending"], group["lag"]) == (0, 0)
            assert not self._site.redis.exists(lane.dead)
        counts: dict[str, int] = {}
        for row in answers.values():
            outcome = row["reason"] or row["outcome"]
            counts[outcome] = counts.get(outcome, 0) + 1
        return counts


async def test_kills_under_load_leave_one_answer_and_one_plan_an_intent(site: Site) -> None:
    random, load = Random(SEED), IntentLoad(site)  # noqa: S311 - the same moments in every run
    async with trio.open_nursery() as nursery:
        for life in range(KILLS):
            async with site.daemon(SETTINGS) as daemon:
                if life == 0:
                    await daemon.ready()
                    await reads(site, lanes=(NAMES.trade_intents, NAMES.exit_intents))
                    await prices_are_known(site.redis, *SYMBOLS)
                    nursery.start_soon(load.run)
                await load.more_is_answered(200)
                await trio.sleep(random.uniform(0.0, 0.5))
                assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        async with site.daemon(SETTINGS) as daemon:
            await load.more_is_answered(400)
            load.end()
            counts = await load.assert_one_answer_each()
            assert daemon.alive and "Actor failed" not in daemon.output, daemon.output[-2000:]
    print(f"{KILLS} kills, {len(load.published)} intents: {counts}")
    assert counts["plan"] > 100 * KILLS
    assert counts["malformed_intent"] > 0


async def test_two_instances_that_hand_over_the_lease_answer_each_intent_once(site: Site) -> None:
    """The first is stopped in the middle of its work, and goes on once the second has taken over."""
    load = IntentLoad(site)
    async with (
        trio.open_nursery() as nursery,
        site.daemon({**SETTINGS, "P33_INSTANCE": "first"}) as first,
    ):
        await first.ready()
        await reads(site, lanes=(NAMES.trade_intents, NAMES.exit_intents))
        await prices_are_known(site.redis, *SYMBOLS)
        nursery.start_soon(load.run)
        async with site.daemon({**SETTINGS, "P33_INSTANCE": "second"}) as second:
            await is_warm_standby(second, behind=lease(site)[1], within_sec=60)
            await load.more_is_answered(50)
            first.process.send_signal(signal.SIGSTOP)
            await until(lambda: str(site.redis.get(LEASE)).endswith(":second"), "the second holds it", 60)
            await load.more_is_answered(100)
            first.process.send_signal(signal.SIGCONT)
            await load.more_is_answered(100)
            load.end()
            counts = await load.assert_one_answer_each()
            assert second.alive and "Actor failed" not in second.output, second.output[-2000:]
    issuers = {row["issued_by"].split(" ")[-1] for _, row in site.entries(NAMES.audit)}
    assert issuers == {"first", "second"}
    assert counts["plan"] > 0
