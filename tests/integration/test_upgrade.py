"""The previous release and this one by turns on one Redis: nothing is lost, doubled or misread."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio

from simulator import Order, RunningSimulator
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.pipeline import GROUP, PLANS, RESULTS, Pipeline, entry, full_close
from tests.integration.previous_release import THIS_TREE, gate_answer, unpack
from tests.integration.site import Site
from tests.integration.surroundings import is_ready, is_unready, trade
from tests.integration.test_ledger_sum import flat, report_of
from tests.integration.test_two_instances import is_warm_standby
from tests.integration.trading_load import SETTINGS, TradingLoad
from tests.integration.waiting import until

SIGNING_KEY = "of-the-permits-and-nothing-else"
PATIENCE_SEC = 30.0
#: Under load, with a backlog to answer.
LOAD_PATIENCE_SEC = 60.0
STOP_SEC = 5.0
#: As an executor writes it that does not know whether its order was placed.
UNKNOWN_OUTCOME = "APIError(code=-1007): Timeout waiting for response from backend server"


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the previous release."""
    return unpack(tmp_path_factory.mktemp("release"))


class Releases(msgspec.Struct, frozen=True):
    """The tree that runs first, the one that finishes what the first has left, and that of the executors.

    With a signing key the service is upgraded before the executors' gates, which refuse what a service of
    before `key_prefix` has signed; docs/integration.md.
    """

    leaves: Path
    finishes: Path
    gate: Path
    signing_key: str


@pytest.fixture(params=["upgrade", "back"])
def releases(request: pytest.FixtureRequest, previous: Path) -> Releases:
    if request.param == "upgrade":
        return Releases(previous, THIS_TREE, previous, SIGNING_KEY)
    return Releases(THIS_TREE, previous, THIS_TREE, "")


class Left(msgspec.Struct):
    """Orders whose results come only after the change of releases."""

    sold: Order
    partly: Order
    unknown: Order
    unread: Order


async def test_plans_in_flight_are_finished_by_the_other_release(site: Site, releases: Releases) -> None:
    settings = {"P33_PERMIT_SIGNING_KEY": releases.signing_key} if releases.signing_key else {}
    gate = partial(gate_answer, releases.gate, site.redis_url, releases.signing_key)
    async with AsyncExitStack() as processes:

        async def started(root: Path, instance: str) -> DaemonProcess:
            environ = site.environ(settings | {"P33_INSTANCE": instance})
            return await processes.enter_async_context(daemon_process(environ, root=root))

        first = await started(releases.leaves, "first")
        await first.ready()
        second = await started(releases.finishes, "second")
        await is_warm_standby(second, behind="first", within_sec=PATIENCE_SEC)
        left = await leave_in_flight(site, site.simulator, first)
        await is_ready_at(second)
        await find_it_in_flight(site)
        unknown = await site.ask("dot-again", entry("DOTUSDT", "10"))
        assert unknown["allow"] is False
        if releases.leaves == THIS_TREE:
            # The previous release freed a permit whose outcome is unknown.
            assert unknown["reason"] == "in_flight_permit"

        assert await gate("eth-close", "ETHUSDT") == "granted", "issued by the first"
        assert await gate("doge-open", "DOGEUSDT") == "granted", "issued by the second"
        assert await gate("eth-close", "ETHUSDT") == "permit_already_consumed"
        await finish(site, site.simulator, left)

        # The first goes on after its lease was taken, by a release that it may not know.
        first.process.send_signal(signal.SIGCONT)
        await is_unready(await first.url(), "standing by", "second", within_sec=PATIENCE_SEC)
        assert (await site.ask("late", full_close("ETHUSDT")))["issued_by"].endswith(" second")
        for daemon in (first, second):
            assert await daemon.stop(signal.SIGTERM, STOP_SEC) == 0
            assert "Actor failed" not in daemon.output, daemon.output
    assert set(site.decisions().values()) == {1}
    for stream in (PLANS, RESULTS):
        assert site.dead_letters(stream) == []


async def is_ready_at(daemon: DaemonProcess) -> None:
    url = await daemon.url()
    await is_ready(lambda: url, within_sec=PATIENCE_SEC)


async def leave_in_flight(pipeline: Pipeline, simulator: RunningSimulator, first: DaemonProcess) -> Left:
    """Leave permits open, results to come, and entries that were delivered and never acknowledged."""
    exchange = simulator.exchange
    for symbol, quantity in {"ETHUSDT": "0.4", "SOLUSDT": "4"}.items():
        pipeline.publish_fill(f"held-{symbol}", trade(exchange, symbol, "BUY", quantity))
        await pipeline.ledger_reaches(symbol, quantity)
    for plan_id, symbol in {"eth-close": "ETHUSDT", "sol-close": "SOLUSDT"}.items():
        permit = await pipeline.ask(plan_id, full_close(symbol) | {"action": "PARTIAL_75"})
        assert permit["reason"] == "sanity_checks_passed"
    for plan_id, fields in {
        "ltc-open": entry("LTCUSDT", "2"),
        "xrp-open": entry("XRPUSDT", "100"),
        "dot-open": entry("DOTUSDT", "10"),
    }.items():
        assert (await pipeline.ask(plan_id, fields))["reason"] == "open_permit_granted"

    for plan_id in ("sol-close", "ltc-open", "dot-open"):
        assert pipeline.redis.delete(f"quantum:permit:p33:{plan_id}") == 1
    sold = trade(exchange, "SOLUSDT", "SELL", "3")
    exchange.first_fill_share = Decimal("0.3")
    partly = trade(exchange, "LTCUSDT", "BUY", "2")
    exchange.first_fill_share = None
    pipeline.publish_result(flat(report_of(partly, 0)) | {"plan_id": "ltc-open"})
    await pipeline.ledger_reaches("LTCUSDT", "0.6")
    unknown = trade(exchange, "DOTUSDT", "BUY", "10")
    pipeline.publish_result(
        {"plan_id": "dot-open", "symbol": "DOTUSDT", "executed": "False", "error": UNKNOWN_OUTCOME}
    )
    await pipeline.nothing_pends(RESULTS)

    # Stopped, it is given entries which it does not answer.
    first.process.send_signal(signal.SIGSTOP)
    unread = trade(exchange, "BCHUSDT", "BUY", "0.5")
    pipeline.publish_fill("held-BCHUSDT", unread)
    pipeline.publish_plan("doge-open", entry("DOGEUSDT", "100"))
    for stream in (PLANS, RESULTS):
        await until(lambda s=stream: pipeline.redis.xpending(s, GROUP)["pending"] == 1, f"{stream} pends")  # type: ignore[misc]
    pipeline.publish_plan("ada-open", entry("ADAUSDT", "100"))
    pipeline.publish_plan("eth-close", full_close("ETHUSDT"))
    return Left(sold, partly, unknown, unread)


async def find_it_in_flight(pipeline: Pipeline) -> None:
    """Check that delivered plans are answered, and that the first process's permits still count."""
    for plan_id in ("doge-open", "ada-open"):
        permit = await pipeline.permit(plan_id, within_sec=PATIENCE_SEC)
        assert permit["reason"] == "open_permit_granted"
        assert permit["issued_by"].endswith(" second")
    await pipeline.ledger_reaches("BCHUSDT", "0.5")
    await pipeline.nothing_pends(PLANS, RESULTS)
    assert pipeline.permit_now("eth-close")["safe_close_qty"] == Decimal("0.3")  # type: ignore[index]

    rest = await pipeline.ask("eth-rest", full_close("ETHUSDT"))
    assert (rest["reason"], rest["safe_close_qty"]) == ("sanity_checks_passed", Decimal("0.1"))
    for plan_id, fields in {
        "sol-again": full_close("SOLUSDT"),
        "ltc-again": entry("LTCUSDT", "1"),
        "xrp-again": entry("XRPUSDT", "100"),
    }.items():
        assert (await pipeline.ask(plan_id, fields))["reason"] == "in_flight_permit", plan_id


async def finish(pipeline: Pipeline, simulator: RunningSimulator, left: Left) -> None:
    """Book what the first has permitted, once, and free what it reserved."""
    exchange = simulator.exchange
    pipeline.publish_fill("eth-close", trade(exchange, "ETHUSDT", "SELL", "0.3"))
    await pipeline.ledger_reaches("ETHUSDT", "0.1")

    for _ in range(2):
        pipeline.publish_result(flat(report_of(left.sold, 0)) | {"plan_id": "sol-close"})
    await pipeline.ledger_reaches("SOLUSDT", "1")
    last = await pipeline.ask("sol-last", full_close("SOLUSDT"))
    assert last["safe_close_qty"] == Decimal(1)

    exchange.fill_remainder(left.partly)
    pipeline.publish_result(flat(report_of(left.partly, 0)) | {"plan_id": "ltc-open"})
    await pipeline.ledger_reaches("LTCUSDT", "2")
    pipeline.publish_fill("again", left.unread)

    refused = {"plan_id": "xrp-open", "symbol": "XRPUSDT", "executed": "False", "error": "order rejected"}
    pipeline.publish_result(refused)
    await pipeline.nothing_pends(RESULTS)
    assert pipeline.permit_now("xrp-open") is None
    assert (await pipeline.ask("xrp-third", entry("XRPUSDT", "100")))["reason"] == "open_permit_granted"
    for symbol, amount in {"BCHUSDT": "0.5", "SOLUSDT": "1"}.items():
        assert pipeline.ledger_amount(symbol) == amount

    pipeline.publish_result(flat(report_of(left.unknown, 0)) | {"plan_id": "dot-open"})
    await pipeline.ledger_reaches("DOTUSDT", "10")
    whole = await pipeline.ask("dot-close", full_close("DOTUSDT"))
    assert whole["safe_close_qty"] == Decimal(10)


#: Which release decides next, as which instance, and how the one before it ends.
TURNS = (
    ("this", "second", signal.SIGKILL),
    ("previous", "first", signal.SIGTERM),
    ("this", "first", signal.SIGKILL),
    ("previous", "first", signal.SIGKILL),
    ("this", "first", signal.SIGTERM),
)


async def test_releases_by_turns_under_load_leave_one_decision_a_plan_and_the_ledger_the_sum_of_the_fills(
    site: Site, previous: Path
) -> None:
    trees = {"previous": previous, "this": THIS_TREE}
    load = TradingLoad(site, site.simulator, 4, plans_per_sec=80, results_per_sec=80)
    output = ""
    async with AsyncExitStack() as processes, trio.open_nursery() as nursery:

        async def started(release: str, instance: str) -> DaemonProcess:
            environ = site.environ(SETTINGS | {"P33_INSTANCE": instance})
            return await processes.enter_async_context(daemon_process(environ, root=trees[release]))

        active, holder = await started("previous", "first"), "first"
        await active.ready()
        nursery.start_soon(load.run)
        for release, instance, number in TURNS:
            await load.more_is_allowed(10, LOAD_PATIENCE_SEC)
            if instance != holder:
                standby = await started(release, instance)
                await is_warm_standby(standby, behind=holder, within_sec=PATIENCE_SEC)
            assert await active.stop(number, LOAD_PATIENCE_SEC) in (0, -number)
            output += active.output
            active, holder = (standby if instance != holder else await started(release, instance)), instance
            await load.decided_by(holder, LOAD_PATIENCE_SEC)
        await load.more_is_allowed(10, LOAD_PATIENCE_SEC)
        await load.drained()
        output += active.output

    assert "Actor failed" not in output
    assert load.issuers() == ["first", "second", "first"]
    load.assert_exactly_once()
