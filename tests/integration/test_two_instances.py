"""Two instances under load, killed and stopped by turns: one at a time decides, and nothing is done twice."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack

import trio

from tests.integration.daemon_process import DaemonProcess
from tests.integration.pipeline import PLANS, Pipeline
from tests.integration.site import Site
from tests.integration.surroundings import is_unready
from tests.integration.trading_load import SETTINGS, TradingLoad
from tests.integration.waiting import until, until_async

TAKEOVER_SEC = 3.0
#: How long this test waits for what it then measures by Redis's clock.
PATIENCE_SEC = 10.0
SEED = 2
LEASE = "quantum:p33:lease"


#: What a standby that has just started does not know yet, in the words of `/readyz`.
COLD = ("exchangeInfo", "position mode", "allowlist", "snapshot")


def lease(pipeline: Pipeline) -> tuple[int, str]:
    """Return the fencing token, and who holds it."""
    token, _, holder = str(pipeline.redis.get(LEASE)).partition(":")
    return int(token.partition("@")[0]), holder


async def is_warm_standby(daemon: DaemonProcess, behind: str, within_sec: float) -> None:
    """Wait until its stream is connected and its book warm, as it is after a while."""
    url = await daemon.url()

    async def warm() -> bool:
        shown = await is_unready(url, "standing by", behind, within_sec=within_sec)
        return not any(what in reason for reason in shown.reasons for what in COLD)

    await until_async(warm, "a warm standby", within_sec)


async def test_the_lease_goes_from_one_to_the_other_and_back_and_only_its_holder_ever_writes(
    site: Site,
) -> None:
    load = TradingLoad(site, site.simulator, SEED, plans_per_sec=150, results_per_sec=80)
    leases: list[tuple[int, str]] = []
    takeovers_sec: list[float] = []

    def redis_ms() -> int:
        sec, microseconds = site.redis.time()
        return int(sec) * 1000 + int(microseconds) // 1000

    async def deciding(instance: str) -> None:
        await load.decided_by(instance, PATIENCE_SEC)
        leases.append(lease(site))

    async def takes_over(instance: str, lost: DaemonProcess, number: signal.Signals) -> None:
        """From the moment of the signal to the other's first decision."""
        struck_ms = redis_ms()
        lost.process.send_signal(number)
        await deciding(instance)
        first_ms = next(
            decided.at_ms
            for decided in load.decided
            if decided.instance == instance and decided.at_ms > struck_ms
        )
        takeovers_sec.append((first_ms - struck_ms) / 1000)

    async with AsyncExitStack() as processes, trio.open_nursery() as nursery:

        async def started(instance: str) -> DaemonProcess:
            return await processes.enter_async_context(site.daemon(SETTINGS | {"P33_INSTANCE": instance}))

        first = await started("first")
        await first.ready()
        second = await started("second")
        await is_warm_standby(second, "first", PATIENCE_SEC)
        nursery.start_soon(load.run)
        await deciding("first")
        await load.more_is_decided()

        await takes_over("second", first, signal.SIGKILL)
        first = await started("first")
        await is_warm_standby(first, "second", PATIENCE_SEC)

        # Stopped in the middle of its work, with plans and results in hand.
        await takes_over("first", second, signal.SIGSTOP)
        # With the holder stopped as well, nothing but the token keeps the other from answering.
        first.process.send_signal(signal.SIGSTOP)
        site.redis.pexpire(LEASE, 30_000)
        await until(lambda: site.unread(PLANS) > 100, "plans wait")
        second.process.send_signal(signal.SIGCONT)
        await is_warm_standby(second, "first", PATIENCE_SEC)
        first.process.send_signal(signal.SIGCONT)
        await load.more_is_decided()
        await until(lambda: site.redis.pttl(LEASE) <= 2_000, "the lease is renewed")
        assert load.issuers() == ["first", "second", "first"]

        await takes_over("second", first, signal.SIGKILL)
        await load.drained()
        assert "Actor failed" not in first.output + second.output

    assert load.issuers() == ["first", "second", "first", "second"]
    assert len(takeovers_sec) == 3
    assert max(takeovers_sec) < TAKEOVER_SEC, takeovers_sec
    assert [holder for _, holder in leases] == load.issuers()
    tokens = [token for token, _ in leases]
    assert tokens == sorted(set(tokens))
    assert int(site.redis.get("quantum:p33:fence")) == tokens[-1], "no process took it in between"
    load.assert_exactly_once()
