"""Plans that end without an order: the reason, the time, and that nothing was consumed or sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio

from brain.symbols.allowlist import Allowlist, AllowlistSource
from permit_gate.sources import PermitSource
from tests.actors.executor_rig import RULES, ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time

Before = Callable[[ExecutorRig], object]


async def refusal(rig: ExecutorRig, before: Before, *, close: bool = False, **fields: str) -> str:
    """Return the error of one plan, after `before`, and hold that it was not sent."""
    async with running_executor(rig):
        before(rig)
        if close:
            rig.publish_close("p1", **fields)
        else:
            rig.publish("p1", **fields)
        await trio.sleep(2)
    assert rig.exchange.requests == []
    result = rig.result("p1")
    assert result["executed"] == "false"
    assert rig.pending() == 0
    assert rig.redis.get(rig.keys.permit_consumer("p1")) is None
    return result["error"]


def both(rig: ExecutorRig) -> None:
    rig.permit("p1")
    rig.grant("p1")


def both_to_close(rig: ExecutorRig) -> None:
    rig.position("BTCUSDT", "1")
    rig.permit_close("p1", 1)
    rig.grant("p1")


def then(*steps: Before) -> Before:
    def all_of_them(rig: ExecutorRig) -> None:
        for step in steps:
            step(rig)

    return all_of_them


def setting(key: str, value: str) -> Before:
    return lambda rig: rig.redis.set(f"quantum:{key}", value)


@pytest.mark.parametrize(
    ("before", "error"),
    [
        (lambda rig: None, "permit_timeout (missing: Governor, P3.3)"),
        (lambda rig: rig.permit("p1"), "permit_timeout (missing: Governor)"),
        (lambda rig: rig.grant("p1"), "permit_timeout (missing: P3.3)"),
        (lambda rig: rig.deny("p1", "stale_exchange_state"), "permit_denied (P3.3: stale_exchange_state)"),
        (lambda rig: rig.block("p1", "symbol_cooldown"), "permit_denied (Governor: symbol_cooldown)"),
        (lambda rig: rig.redis.set(rig.own.block("p1"), "{"), "permit_denied (Governor: blocked)"),
        (
            lambda rig: rig.grant("p1", granted=False, reason="symbol_cooldown"),
            "permit_denied (Governor: symbol_cooldown)",
        ),
        (
            lambda rig: rig.permit("p1", symbol="ETHUSDT"),
            "permit_for_another_symbol (P3.3: the permit names ETHUSDT)",
        ),
        (
            then(both, lambda rig: rig.redis.set(rig.keys.permit_consumer("p1"), "gate")),
            "permit_already_consumed (by gate)",
        ),
        (then(both, setting("governor:trading_state", "HALTED")), "trading_halted"),
        (then(both, setting("governor:trading_state", "??")), "trading_halted"),
        (then(both, setting("governor:trading_state", "REDUCING")), "kill_switch_active"),
        (then(both, setting("kill", "1")), "kill_switch_active"),
        (then(both, setting("global:kill_switch", "yes")), "kill_switch_active"),
        (then(both, setting("system:mode", "LOCKDOWN")), "kill_switch_active"),
        (then(both, setting("lockdown", "anything")), "kill_switch_active"),
        (then(both, setting("reconcile:hold:BTCUSDT", "1")), "reconcile_hold_active"),
        (then(both, lambda rig: rig.exchange_is_busy()), "order_rate_limit"),
        (
            then(both, lambda rig: rig.allowlist.send(_allowlist("ETHUSDT"))),
            "symbol_not_in_allowlist:BTCUSDT",
        ),
        (lambda rig: (rig.permit("p1", plan_qty=0.0001), rig.grant("p1")), "below_min_qty"),
    ],
)
async def test_the_reason_of_a_refusal(rig: ExecutorRig, before: Before, error: str) -> None:
    consumed = "already_consumed" in error
    if consumed:
        async with running_executor(rig):
            before(rig)
            rig.publish("p1")
            await trio.sleep(0.1)
        assert rig.result("p1")["error"] == error
    else:
        assert await refusal(rig, before) == error


@pytest.mark.parametrize("issuer", ["Governor", "P3.3"])
@pytest.mark.parametrize("age_sec", [61, -60])
async def test_a_permit_that_is_too_old_or_from_the_future_is_named(
    rig: ExecutorRig, issuer: str, age_sec: int
) -> None:
    created: dict[str, Any] = {"created_at": rig.clock.now().wall_ms / 1000 - age_sec}

    def both_of_which_one_is_off(rig: ExecutorRig) -> None:
        rig.permit("p1", **(created if issuer == "P3.3" else {}))
        rig.grant("p1", **(created if issuer == "Governor" else {}))

    error = await refusal(rig, both_of_which_one_is_off)
    reason = "permit_too_old" if age_sec > 0 else "permit_from_the_future"
    assert error.startswith(f"{reason} ({issuer}: ")


def _allowlist(*symbols: str) -> Allowlist:
    return Allowlist(AllowlistSource.ENV, False, frozenset(symbols), None, None)


@pytest.mark.parametrize("text", ["reconcile:hold:BTCUSDT", "governor:trading_state"])
async def test_a_close_is_stopped_by_a_hold_and_by_an_operators_halt(rig: ExecutorRig, text: str) -> None:
    error = await refusal(rig, then(both_to_close, setting(text, "HALTED")), close=True)
    assert error == ("trading_halted" if "trading" in text else "reconcile_hold_active")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kill", "1"),
        ("lockdown", "1"),
        ("governor:trading_state", "REDUCING"),
    ],
)
async def test_a_close_passes_kill_switches_and_a_missing_universe(
    rig: ExecutorRig, key: str, value: str
) -> None:
    rig.allowlist.send(_allowlist())
    rig.exchange_is_busy()
    async with running_executor(rig):
        then(both_to_close, setting(key, value))(rig)
        rig.publish_close("p1")
        await trio.sleep(0.3)
    assert rig.result("p1")["order_status"] == "FILLED"


@pytest.mark.parametrize("trusted", [False, True])
async def test_without_the_stream_and_reads_of_the_position_nothing_is_sent(
    rig: ExecutorRig, trusted: bool
) -> None:
    await trio.sleep(11)
    if trusted:
        rig.trust_stream()
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.3)
    result = rig.result("p1")
    assert (result["executed"], len(rig.exchange.requests)) == (str(trusted).lower(), int(trusted))
    assert trusted or result["error"].startswith("not_sent:")


async def test_a_wait_ends_after_its_time_from_the_moment_of_reading(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.publish("p1")
        await trio.sleep(1.15)
        assert rig.published_results() == []
        await trio.sleep(0.1)
        assert rig.result("p1")["error"].startswith("permit_timeout")


async def test_a_denial_ends_the_wait_at_once(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.publish("p1")
        await trio.sleep(0.1)
        rig.deny("p1", "no_position")
        await trio.sleep(0.001)
        assert rig.result("p1")["error"] == "permit_denied (P3.3: no_position)"


async def test_a_permit_in_time_counts_and_one_behind_the_deadline_does_not(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.publish("p1")
        rig.publish("p2", "ETHUSDT")
        rig.permit("p1")
        rig.permit("p2", "ETHUSDT")
        await trio.sleep(1.19)
        rig.grant("p1")
        await trio.sleep(0.02)
        rig.grant("p2")
        await trio.sleep(0.3)
    assert rig.result("p1")["executed"] == "true"
    assert rig.result("p2")["error"] == "permit_timeout (missing: Governor)"


async def test_a_foreign_source_is_executed_with_a_permit_of_p33_and_named_without(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.open("p1", source="harvest_brain")
        rig.publish("p2", source="harvest_brain")
        rig.publish("p3", source="harvest_brain")
        rig.permit("p3")
        rig.publish("p4", source="harvest_brain")
        rig.deny("p4", "no_position")
        await trio.sleep(2)
    assert rig.result("p1")["executed"] == "true"
    assert rig.result("p2")["error"] == "source_not_allowed:harvest_brain"
    assert rig.result("p3")["error"] == "permit_timeout (missing: Governor)"
    assert rig.result("p4")["error"] == "permit_denied (P3.3: no_position)"


async def test_a_plan_that_is_too_old_is_never_executed(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        await trio.sleep(0.1)
    rig.permit("p1")
    rig.grant("p1")
    rig.publish("p1")
    await trio.sleep(5.1)
    async with running_executor(rig):
        await trio.sleep(0.2)
    assert rig.result("p1")["error"] == "plan_expired"
    assert rig.exchange.requests == []


async def test_a_reconcile_close_needs_p33_alone_and_passes_the_hold(rig: ExecutorRig) -> None:
    rig.position("BTCUSDT", "1")
    rig.redis.set(rig.keys.hold("BTCUSDT"), "1")
    fields = {"decision": "RECONCILE_CLOSE", "side": "SELL", "qty": "0.4", "source": "p3.4"}
    async with running_executor(rig):
        rig.permit_close("p1", 0.4, reason="reconcile_close_bypass")
        rig.publish_close("p1", **fields)
        rig.permit_close("p2", 0.4)
        rig.publish_close("p2", **fields)
        await trio.sleep(2)
    assert rig.result("p1")["filled_qty"] == "0.4"
    assert rig.result("p2")["error"].startswith("permit_denied (P3.3:")
    assert len(rig.exchange.requests) == 1


async def test_a_reconcile_close_is_stopped_by_a_halt(rig: ExecutorRig) -> None:
    rig.redis.set(rig.own.trading_state, "HALTED")
    async with running_executor(rig):
        rig.permit_close("p1", 0.4, reason="reconcile_close_bypass")
        rig.publish_close("p1", decision="RECONCILE_CLOSE", qty="0.4", side="SELL")
        await trio.sleep(0.3)
    assert rig.result("p1")["error"] == "trading_halted"


async def test_a_further_permit_is_needed_where_one_is_configured() -> None:
    further = PermitSource("P26", "{prefix}:permit:p26:{plan_id}", "granted", plain_yes="1")
    rig = ExecutorRig(msgspec.structs.replace(RULES, extra_permits=(further,)))
    async with running_executor(rig):
        rig.open("p1")
        rig.open("p2", "ETHUSDT")
        rig.redis.set("quantum:permit:p26:p2", "1")
        await trio.sleep(2)
    assert rig.result("p1")["error"] == "permit_timeout (missing: P26)"
    assert rig.result("p2")["executed"] == "true"
    assert rig.redis.get("quantum:permit:p26:p2") is None


async def test_a_malformed_plan_is_refused_by_the_reason_of_p33(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.publish("p1", qty="much")
        await trio.sleep(0.1)
        rig.deny("p1", "malformed_plan")
        rig.publish("p2", "not a symbol: *", qty="1")
        rig.publish("p3", "ETHUSDT", qty="much")
        rig.permit("p3", "ETHUSDT")
        rig.grant("p3")
        await trio.sleep(0.1)
    assert rig.result("p1")["error"] == "permit_denied (P3.3: malformed_plan)"
    assert rig.result("p2")["error"] == "malformed_plan"
    assert rig.result("p3")["error"] == "malformed_plan"
    assert rig.exchange.requests == []


@pytest.mark.parametrize("key", ["governor:trading_state", "kill", "reconcile:hold:BTCUSDT"])
async def test_a_change_between_look_and_begin_is_seen(
    rig: ExecutorRig, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_order = rig.store.begin_order

    async def late(*arguments: object) -> object:
        rig.redis.set(f"quantum:{key}", "1")
        return await begin_order(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rig.store, "begin_order", late)
    error = await refusal(rig, both)
    assert error in ("trading_halted", "kill_switch_active", "reconcile_hold_active")


async def test_an_order_that_begins_too_late_is_not_sent(
    rig: ExecutorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_order = rig.store.begin_order

    async def late(*arguments: object) -> object:
        await trio.sleep(1.3)
        return await begin_order(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rig.store, "begin_order", late)
    assert await refusal(rig, both) == "permit_timeout (too late to begin)"
    assert rig.redis.get(rig.keys.permit("p1")) is not None
