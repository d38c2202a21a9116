from __future__ import annotations

from typing import Any

import msgspec
import pytest

from brain.durability import Durability
from brain.identifiers import EntryId, PlanId, Symbol
from channels import Lease, StreamStatus, Uncovered, UnknownExecution, WaitingResult
from monitoring.page_view.headline import Observed, actor, overall
from monitoring.status.document import (
    UncoveredShown,
    UncoveredSymbol,
    UnknownExecutionShown,
    UnknownExecutionsShown,
    WaitingResultShown,
)
from page.content import Holding, Holdings, HoldsAndCooldowns, Weight
from page.tone import Tone
from tests.monitoring.status_rig import NOON_MS, StatusRig, node
from tests.page.test_rendering import read

NONE = HoldsAndCooldowns(holds=(), cooldowns=(), left_out=0, unread=None)
WEIGHT = Weight(own_used=40, own_budget=1200, address_used=45, address_limit=2400, ban_left_sec=None)


@pytest.fixture
def rig() -> StatusRig:
    """Returns one whose stream is trusted."""
    rig = StatusRig()
    now = rig.clock.now()
    rig.channels.stream_status.send(StreamStatus(1, now.earlier_by(60), now.earlier_by(0.5), 0.25))
    return rig


def observed(rig: StatusRig, **changes: Any) -> Observed:
    status = rig.monitor.status.status()
    usual = Observed(status, actor(status.tree), Holdings((), 0, 0, "1"), NONE, WEIGHT)
    return msgspec.structs.replace(usual, **changes)


def apart(symbol: str, apart_sec: float) -> Holding:
    return Holding(
        symbol=symbol, exchange="1", ledger="0", difference="1", apart_sec=apart_sec, tone=Tone.BAD
    )


async def test_all_is_well_only_when_nothing_wants_looking_at(rig: StatusRig) -> None:
    seen = overall(observed(rig))
    assert (seen.tone, seen.headline, seen.reasons) == (Tone.GOOD, "Ready", ())


async def test_not_deciding_is_reported_with_every_reason(rig: StatusRig) -> None:
    rig.waits.append(("brain/permit_evaluator", "Redis at redis://localhost:6379/0"))
    rig.channels.ledgers_adopted.send(False)
    seen = overall(observed(rig))
    assert (seen.tone, seen.headline) == (Tone.BAD, "Not ready")
    assert len(seen.reasons) == 2


async def test_a_standby_is_in_order(rig: StatusRig) -> None:
    rig.lease.send(Lease(None, "other:8045"))
    seen = overall(observed(rig))
    assert (seen.tone, seen.headline) == (Tone.ASIDE, "Standby")
    assert "other:8045" in seen.reasons[0]
    rig.channels.ledgers_adopted.send(False)
    assert overall(observed(rig)).tone is Tone.BAD


async def test_a_standby_to_a_process_of_its_own_name_is_not_in_order(rig: StatusRig) -> None:
    rig.lease.send(Lease(None, "here:8045", "trade-2/71/ab"))
    seen = overall(observed(rig))
    assert (seen.tone, seen.headline) == (Tone.BAD, "Not ready")
    assert "trade-2/71/ab" in seen.reasons[0]


@pytest.mark.parametrize(
    ("changes", "reported"),
    [
        ({"weight": msgspec.structs.replace(WEIGHT, own_used=961)}, "961 of 1200 request weight is used"),
        (
            {"holdings": Holdings((apart("BTCUSDT", 5.0), apart("ETHUSDT", 4.9)), 2, 0, "1")},
            "ledger and exchange differ for BTCUSDT",
        ),
        (
            {"holdings": Holdings(tuple(apart(f"S{n}", 9.0) for n in range(5)), 5, 0, "1")},
            "ledger and exchange differ for S0, S1, S2 and 2 more",
        ),
        (
            {
                "holds_and_cooldowns": HoldsAndCooldowns(
                    holds=(), cooldowns=(), left_out=0, unread="Redis: away"
                )
            },
            "holds and cooldowns could not be read: Redis: away",
        ),
        (
            {"tree": actor(node("brain", node("metrics", restarts=1, last_reason="boom", since_sec=12.0)))},
            "metrics was restarted 12 s ago: boom",
        ),
        (
            {"tree": actor(node("brain", node("a", node("b", state="backing_off", last_reason="boom"))))},
            "b has failed and is about to be started again: boom",
        ),
    ],
)
async def test_each_warning_is_named(rig: StatusRig, changes: dict[str, Any], reported: str) -> None:
    seen = overall(observed(rig, **changes))
    assert (seen.tone, seen.headline) == (Tone.WATCH, "Ready, 1 warning")
    assert seen.reasons == (reported,)


async def test_a_restart_of_long_ago_is_no_warning(rig: StatusRig) -> None:
    tree = actor(node("brain", node("metrics", restarts=1, last_reason="boom", since_sec=301.0)))
    assert overall(observed(rig, tree=tree)).tone is Tone.GOOD


async def test_a_lost_stream_and_stale_snapshots_are_two_things(rig: StatusRig) -> None:
    rig.publish("ETHUSDT", "0", age_sec=11.0)
    rig.publish("SOLUSDT", "0", age_sec=1.0)
    rig.channels.stream_status.send(StreamStatus(1, losses=1, last_loss="no pong"))
    seen = overall(observed(rig))
    assert seen.headline == "Ready, 2 warnings"
    assert seen.reasons == (
        "the private stream is not trusted: no pong",
        "1 of 3 snapshots are stale or not trusted",
    )


async def test_a_trouble_with_the_exchange_and_unreadable_symbols_want_looking_at(rig: StatusRig) -> None:
    rig.exchange_trouble = "the exchange refuses the API key (-2015)"
    rig.channels.unreadable_rules.send(dict.fromkeys(("AUSDT", "BUSDT", "CUSDT", "DUSDT"), "no filters"))
    seen = overall(observed(rig, weight=msgspec.structs.replace(WEIGHT, ban_left_sec=42.0)))
    assert (seen.tone, seen.headline) == (Tone.WATCH, "Ready, 2 warnings")
    assert seen.reasons == (
        "the exchange refuses the API key (-2015)",
        "4 symbols cannot be read, plans are denied for AUSDT, BUSDT, CUSDT and 1 more",
    )


async def test_a_symbol_that_the_stream_does_not_cover_is_named_after_three_seconds_with_the_reason(
    rig: StatusRig,
) -> None:
    rig.book.set_uncovered("ABCUSDT", Uncovered("it was not read", rig.clock.now()))
    assert overall(observed(rig)).reasons == ()
    rig.clock.advance(3.0)
    assert rig.monitor.status.status().snapshots.uncovered == UncoveredShown(
        1, [UncoveredSymbol("ABCUSDT", "it was not read", 3.0)]
    )
    assert overall(observed(rig)).reasons == ("the private stream does not cover a symbol: ABCUSDT",)
    assert "ABCUSDT it was not read" in read((await rig.monitor.page.document()).decode()).text
    rig.book.set_uncovered("ABCUSDT", None)
    assert overall(observed(rig)).reasons == ()


async def test_unknown_executions_and_results_that_wait_are_named_until_they_end(rig: StatusRig) -> None:
    ends_sec = rig.clock.now().monotonic_sec + 60
    rig.channels.unknown_executions.send(
        (UnknownExecution(PlanId("plan-1"), Symbol("BTCUSDT"), NOON_MS - 500, ends_sec),)
    )
    rig.channels.waiting_results.send(
        (WaitingResult(EntryId("5-0"), Symbol("ETHUSDT"), PlanId("plan-2"), "set long_amt"),)
    )
    status = rig.monitor.status.status()
    assert status.unknown_executions == UnknownExecutionsShown(
        1, [UnknownExecutionShown(PlanId("plan-1"), "BTCUSDT", "2026-09-21T14:13:19.500Z", 60.0)]
    )
    assert status.ledgers.waiting_results == [
        WaitingResultShown("ETHUSDT", PlanId("plan-2"), EntryId("5-0"), "set long_amt")
    ]
    assert overall(observed(rig)).reasons == (
        "unknown executions: 1 (BTCUSDT)",
        "a result of ETHUSDT is not booked: set long_amt",
    )
    rig.channels.waiting_results.send(())
    rig.clock.advance(60)
    assert rig.monitor.status.status().unknown_executions.count == rig.monitor.status.unknown_count() == 0


async def test_a_redis_that_forgets_is_a_concern(rig: StatusRig) -> None:
    rig.channels.durability.send(Durability(False, "noeviction", 0))
    seen = overall(observed(rig, status=rig.monitor.status.status()))
    assert seen.reasons == (
        "Redis keeps no append-only file: after a crash of Redis a plan could be allowed twice",
    )
    rig.channels.durability.send(Durability(True, "allkeys-lru", 12))
    seen = overall(observed(rig, status=rig.monitor.status.status()))
    assert seen.reasons == (
        "Redis may evict keys of this service (maxmemory-policy allkeys-lru): it has evicted 12 keys so far",
    )
    rig.channels.durability.send(Durability(True, "noeviction", 12))
    assert overall(observed(rig, status=rig.monitor.status.status())).tone is Tone.GOOD


async def test_a_key_that_denies_for_good_is_a_concern(rig: StatusRig) -> None:
    problem = "quantum:cooldown:last_exec_ts:BTCUSDT holds a hash, not a string"
    holds_and_cooldowns = HoldsAndCooldowns(
        holds=(), cooldowns=(), left_out=0, unread=None, problems=(problem,) * 4
    )
    seen = overall(observed(rig, holds_and_cooldowns=holds_and_cooldowns))
    assert (seen.tone, seen.reasons) == (Tone.WATCH, (problem,) * 3)
